import { type ChunkStore, type ObjectPart, type ObjectRange, type ObjectState, rangeWithin } from './chunk-store.ts';
import { type KeptPart, KeptParts } from './kept-parts.ts';

export interface ChunkCacheFigures {
  readonly requests: number;
  /** Of them without a request to the store: kept, or just on its way for somebody else. */
  readonly hits: number;
  readonly bytes: number;
}

/** Chosen: one large object must not empty the cache. */
const OBJECT_SHARE_MAX = 1 / 4;

/** Of an object that was read as a whole: parts of it are what the key says. */
const WHOLE = 'whole';

/**
 * Keeps objects and parts of objects that were read lately in memory, up to a size: they never change. Everybody gets a copy, since a buffer may be moved to a
 * thread; copying 1 MiB takes a tenth of getting it over the network. Who wants what is on its way waits for it. What is written is not kept: most of it nobody
 * asks for.
 */
export class CachedChunkStore implements ChunkStore {
  readonly #store: ChunkStore;
  readonly #kept: KeptParts;
  /** By key, by what is asked of it. What comes of them is kept, unless it is taken away meanwhile. */
  readonly #loading = new Map<string, Map<string, Promise<KeptPart | undefined>>>();
  #requests = 0;
  #hits = 0;

  constructor(store: ChunkStore, bytesMax: number) {
    this.#store = store;
    this.#kept = new KeptParts(bytesMax, OBJECT_SHARE_MAX);
  }

  get figures(): ChunkCacheFigures {
    return { requests: this.#requests, hits: this.#hits, bytes: this.#kept.bytes };
  }

  put(key: string, bytes: Uint8Array): Promise<void> {
    return this.#store.put(key, bytes);
  }

  async get(key: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    // A part may be damaged, also one that reaches from end to end: nothing checked it.
    const isWhole = (kept: string | undefined): boolean => kept === undefined;
    const whole = await this.#find(key, { start: 0 }, isWhole, '', async () => {
      const bytes = await this.#store.get(key);
      return bytes && { bytes, start: 0, size: bytes.length, version: undefined };
    });
    return whole?.bytes.slice();
  }

  async getRange(key: string, range: ObjectRange, version?: string): Promise<ObjectPart | undefined> {
    const asked = `${range.start} ${range.end} ${version}`;
    const willDo = (kept: string | undefined): boolean =>
      kept === undefined || version === undefined || kept === version;
    const found = await this.#find(key, range, willDo, asked, () => this.#store.getRange(key, range, version));
    const within = found && rangeWithin(range, found.size);
    if (!within) return undefined;
    return {
      bytes: found.bytes.slice(within.start - found.start, within.end - found.start),
      start: within.start,
      size: found.size,
      version: found.version ?? version ?? WHOLE,
    };
  }

  state(key: string): Promise<ObjectState | undefined> {
    return this.#store.state(key);
  }

  async delete(key: string): Promise<boolean> {
    this.#kept.forget(key);
    this.#loading.delete(key);
    return await this.#store.delete(key);
  }

  list(prefix: string): AsyncIterable<string> {
    return this.#store.list(prefix);
  }

  async close(): Promise<void> {
    await this.#store.close();
    this.#kept.clear();
  }

  async #find(
    key: string,
    range: ObjectRange,
    willDo: (version: string | undefined) => boolean,
    asked: string,
    load: () => Promise<KeptPart | undefined>,
  ): Promise<KeptPart | undefined> {
    this.#requests += 1;
    const found = this.#kept.find(key, range, willDo) ?? this.#loading.get(key)?.get(asked);
    if (found === undefined) return await this.#load(key, asked, load);
    this.#hits += 1;
    return await found;
  }

  async #load(key: string, asked: string, load: () => Promise<KeptPart | undefined>): Promise<KeptPart | undefined> {
    const loading = load();
    const ofKey = this.#loading.get(key) ?? new Map<string, Promise<KeptPart | undefined>>();
    this.#loading.set(key, ofKey);
    ofKey.set(asked, loading);
    const isWanted = (): boolean => this.#loading.get(key)?.get(asked) === loading;
    try {
      const part = await loading;
      if (part && isWanted()) this.#kept.keep(key, part);
      return part;
    } finally {
      if (isWanted()) ofKey.delete(asked);
      if (ofKey.size === 0 && this.#loading.get(key) === ofKey) this.#loading.delete(key);
    }
  }
}
