import type { ChunkStore } from '../../../src/storage/chunk-store.ts';

/** A chunk store for tests. Keeps copies; what it holds and what goes wrong with it is the test's to see and to set. */
export class MemoryChunkStore implements ChunkStore {
  readonly objects = new Map<string, Uint8Array>();
  /** Awaited before each operation: throw to refuse it, wait to delay it. */
  before: ((operation: 'put' | 'get' | 'delete', key: string) => void | Promise<void>) | undefined;

  async put(key: string, bytes: Uint8Array): Promise<void> {
    const copy = bytes.slice();
    await this.before?.('put', key);
    this.objects.set(key, copy);
  }

  async get(key: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    await this.before?.('get', key);
    const bytes = this.objects.get(key);
    return bytes && new Uint8Array(bytes);
  }

  async delete(key: string): Promise<boolean> {
    await this.before?.('delete', key);
    return this.objects.delete(key);
  }

  async *list(prefix: string): AsyncIterable<string> {
    for (const key of [...this.objects.keys()].sort()) if (key.startsWith(prefix)) yield key;
  }

  async close(): Promise<void> {}
}
