import type { ChunkStore } from './chunk-store.ts';

export interface ChunkCacheFigures {
  readonly requests: number;
  /** Of them without a request to the store: kept, or just on its way for somebody else. */
  readonly hits: number;
  readonly bytes: number;
}

/** Chosen: one large object must not empty the cache. */
const OBJECT_SHARE_MAX = 1 / 4;

/**
 * Keeps objects that were read lately in memory, up to a size: they never change. Everybody gets a copy, since a buffer may be moved to a thread; copying
 * 1 MiB takes a tenth of getting it over the network. Who wants what is on its way waits for it. What is written is not kept: most of it nobody asks for.
 */
export class CachedChunkStore implements ChunkStore {
  readonly #store: ChunkStore;
  readonly #bytesMax: number;
  /** Those used least lately first. */
  readonly #kept = new Map<string, Uint8Array<ArrayBuffer>>();
  /** What comes of them is kept, unless it is taken away meanwhile. */
  readonly #loading = new Map<string, Promise<Uint8Array<ArrayBuffer> | undefined>>();
  #bytes = 0;
  #requests = 0;
  #hits = 0;

  constructor(store: ChunkStore, bytesMax: number) {
    this.#store = store;
    this.#bytesMax = bytesMax;
  }

  get figures(): ChunkCacheFigures {
    return { requests: this.#requests, hits: this.#hits, bytes: this.#bytes };
  }

  put(key: string, bytes: Uint8Array): Promise<void> {
    return this.#store.put(key, bytes);
  }

  async get(key: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    this.#requests += 1;
    const kept = this.#kept.get(key);
    if (kept) {
      this.#hits += 1;
      this.#kept.delete(key);
      this.#kept.set(key, kept);
      return kept.slice();
    }
    const loading = this.#loading.get(key);
    if (loading !== undefined) {
      this.#hits += 1;
      return (await loading)?.slice();
    }
    return (await this.#load(key))?.slice();
  }

  async delete(key: string): Promise<boolean> {
    this.#forget(key);
    this.#loading.delete(key);
    return await this.#store.delete(key);
  }

  list(prefix: string): AsyncIterable<string> {
    return this.#store.list(prefix);
  }

  async close(): Promise<void> {
    await this.#store.close();
    this.#kept.clear();
    this.#bytes = 0;
  }

  async #load(key: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const loading = this.#store.get(key);
    this.#loading.set(key, loading);
    try {
      const bytes = await loading;
      if (bytes && this.#loading.get(key) === loading) this.#keep(key, bytes);
      return bytes;
    } finally {
      if (this.#loading.get(key) === loading) this.#loading.delete(key);
    }
  }

  #keep(key: string, bytes: Uint8Array<ArrayBuffer>): void {
    if (bytes.length > this.#bytesMax * OBJECT_SHARE_MAX) return;
    this.#kept.set(key, bytes);
    this.#bytes += bytes.length;
    for (const oldest of this.#kept.keys()) {
      if (this.#bytes <= this.#bytesMax) return;
      this.#forget(oldest);
    }
  }

  #forget(key: string): void {
    this.#bytes -= this.#kept.get(key)?.length ?? 0;
    this.#kept.delete(key);
  }
}
