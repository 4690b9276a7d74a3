import {
  type ChunkStore,
  type ObjectPart,
  type ObjectRange,
  type ObjectState,
  rangeWithin,
} from '../../../src/storage/chunk-store.ts';

/** A chunk store for tests. Keeps copies; what it holds and what goes wrong with it is the test's to see and to set. */
export class MemoryChunkStore implements ChunkStore {
  readonly objects: Map<string, Uint8Array>;
  /** When they were put. */
  readonly storedMs = new Map<string, number>();
  nowMs: () => number = Date.now;
  /** Awaited before each operation: throw to refuse it, wait to delay it. */
  before: ((operation: 'put' | 'get' | 'delete', key: string) => void | Promise<void>) | undefined;

  /** Those that were read. */
  readonly ranges: { readonly key: string; readonly start: number; readonly end: number }[] = [];
  readonly #versions = new WeakMap<Uint8Array, string>();
  #versionCount = 0;

  constructor(objects = new Map<string, Uint8Array>()) {
    this.objects = objects;
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    const copy = bytes.slice();
    await this.before?.('put', key);
    this.objects.set(key, copy);
    this.storedMs.set(key, this.nowMs());
  }

  async get(key: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    await this.before?.('get', key);
    const bytes = this.objects.get(key);
    return bytes && new Uint8Array(bytes);
  }

  async getRange(key: string, range: ObjectRange, version?: string): Promise<ObjectPart | undefined> {
    await this.before?.('get', key);
    const object = this.objects.get(key);
    const within = object && rangeWithin(range, object.length);
    const found = object && this.#versionOf(object);
    if (!within || !found || (version !== undefined && version !== found)) return undefined;
    this.ranges.push({ key, ...within });
    const bytes = new Uint8Array(object.subarray(within.start, within.end));
    return { bytes, start: within.start, size: object.length, version: found };
  }

  async state(key: string): Promise<ObjectState | undefined> {
    await this.before?.('get', key);
    const object = this.objects.get(key);
    return object && { size: object.length, storedMs: this.storedMs.get(key) ?? 0 };
  }

  async delete(key: string): Promise<boolean> {
    await this.before?.('delete', key);
    return this.objects.delete(key);
  }

  async *list(prefix: string): AsyncIterable<string> {
    for (const key of [...this.objects.keys()].sort()) if (key.startsWith(prefix)) yield key;
  }

  #versionOf(object: Uint8Array): string {
    const known = this.#versions.get(object) ?? String(++this.#versionCount);
    this.#versions.set(object, known);
    return known;
  }

  async close(): Promise<void> {}
}
