import type { ChunkRef } from '../storage/index-reader.ts';
import type { ChunkBytes, ChunkSource } from './scan/scan-messages.ts';

/** Chunks a log query has begun to read, up to a size: those used least lately are fetched again when they are wanted. */
export class ChunkCache {
  readonly #bytesMax: number;
  readonly #fetch: (ref: ChunkRef) => Promise<ChunkSource>;
  readonly #chunks = new Map<string, ChunkBytes>();
  #bytes = 0;

  constructor(bytesMax: number, fetch: (ref: ChunkRef) => Promise<ChunkSource>) {
    this.#bytesMax = bytesMax;
    this.#fetch = fetch;
  }

  put(chunk: ChunkBytes): void {
    this.#remove(chunk.key);
    this.#chunks.set(chunk.key, chunk);
    this.#bytes += chunk.bytes.byteLength;
    for (const key of this.#chunks.keys()) {
      if (this.#bytes <= this.#bytesMax) return;
      this.#remove(key);
    }
  }

  has(key: string): boolean {
    return this.#chunks.has(key);
  }

  /** Hands the chunk over: its buffer is about to be moved. */
  async take(ref: ChunkRef): Promise<ChunkSource> {
    return this.#remove(ref.key) ?? (await this.#fetch(ref));
  }

  #remove(key: string): ChunkBytes | undefined {
    const chunk = this.#chunks.get(key);
    if (!chunk) return undefined;
    this.#chunks.delete(key);
    this.#bytes -= chunk.bytes.byteLength;
    return chunk;
  }
}
