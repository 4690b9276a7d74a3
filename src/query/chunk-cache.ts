import type { ChunkRef } from '../storage/index-reader.ts';
import { fetchChunk } from './fetch-chunk.ts';
import type { QueryContext } from './query-context.ts';
import type { ChunkBytes } from './scan/scan-messages.ts';

/** Chunks a log query has begun to read, up to a size: those used least lately are fetched again when they are wanted. */
export class ChunkCache {
  readonly #bytesMax: number;
  readonly #chunks = new Map<string, ChunkBytes>();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  put(chunk: ChunkBytes): void {
    this.take(chunk.key);
    this.#chunks.set(chunk.key, chunk);
    this.#bytes += chunk.bytes.byteLength;
    for (const key of this.#chunks.keys()) {
      if (this.#bytes <= this.#bytesMax) return;
      this.take(key);
    }
  }

  has(key: string): boolean {
    return this.#chunks.has(key);
  }

  /** Hands the chunk over: its buffer is about to be moved. */
  take(key: string): ChunkBytes | undefined {
    const chunk = this.#chunks.get(key);
    if (!chunk) return undefined;
    this.#chunks.delete(key);
    this.#bytes -= chunk.bytes.byteLength;
    return chunk;
  }
}

export const chunkCacheFetch = async (cache: ChunkCache, context: QueryContext, ref: ChunkRef): Promise<ChunkBytes> =>
  cache.take(ref.key) ?? (await fetchChunk(context, ref));
