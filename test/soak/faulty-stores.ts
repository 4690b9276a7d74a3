/** Stores that fail on command, around real ones. */
import { RefusedError } from '../../src/protocol/refusal.ts';
import type { ChunkStore } from '../../src/storage/chunk-store.ts';
import type {
  IndexEntry,
  IndexLookup,
  IndexPlace,
  IndexRow,
  IndexStore,
  SegmentCommit,
  SegmentName,
  StreamSegment,
  VisitCells,
} from '../../src/storage/index-store.ts';

export type StoreName = 'chunks' | 'index';

/** Says no; says nothing, and does it once the outage is over; does it and says no. */
export type OutageKind = 'refuse' | 'hang' | 'lose-answer';

export interface Outage {
  readonly store: StoreName;
  readonly kind: OutageKind;
  /** 0 ends the one under way. */
  readonly ms: number;
}

const failure = (store: StoreName): RefusedError =>
  new RefusedError({ code: 'STORAGE_UNAVAILABLE', text: `outage of the ${store}` });

/** Whether a store fails now. */
export class OutageSwitch {
  readonly #store: StoreName;
  #kind: OutageKind | undefined;
  #ended: Promise<void> = Promise.resolve();
  #end: () => void = () => undefined;

  constructor(store: StoreName) {
    this.#store = store;
  }

  start(kind: OutageKind, ms: number): void {
    this.#end();
    if (ms === 0) return;
    this.#kind = kind;
    this.#ended = new Promise((resolve) => {
      const timer = setTimeout(() => this.#end(), ms);
      this.#end = () => {
        clearTimeout(timer);
        this.#kind = undefined;
        this.#end = () => undefined;
        resolve();
      };
    });
  }

  async read<Answer>(work: () => Promise<Answer>): Promise<Answer> {
    if (this.#kind === 'refuse') throw failure(this.#store);
    if (this.#kind === 'hang') await this.#ended;
    return await work();
  }

  async write<Answer>(work: () => Promise<Answer>): Promise<Answer> {
    const answer = await this.read(work);
    if (this.#kind === 'lose-answer') throw failure(this.#store);
    return answer;
  }
}

export class FaultyChunkStore implements ChunkStore {
  readonly #inner: ChunkStore;
  readonly #outage: OutageSwitch;

  constructor(inner: ChunkStore, outage: OutageSwitch) {
    this.#inner = inner;
    this.#outage = outage;
  }

  put(key: string, bytes: Uint8Array): Promise<void> {
    return this.#outage.write(() => this.#inner.put(key, bytes));
  }

  get(key: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    return this.#outage.read(() => this.#inner.get(key));
  }

  getRange(...[key, range, version]: Parameters<ChunkStore['getRange']>): ReturnType<ChunkStore['getRange']> {
    return this.#outage.read(() => this.#inner.getRange(key, range, version));
  }

  state(key: string): ReturnType<ChunkStore['state']> {
    return this.#outage.read(() => this.#inner.state(key));
  }

  delete(key: string): Promise<boolean> {
    return this.#outage.write(() => this.#inner.delete(key));
  }

  list(prefix: string): AsyncIterable<string> {
    return this.#inner.list(prefix);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}

export class FaultyIndexStore implements IndexStore {
  readonly #inner: IndexStore;
  readonly #outage: OutageSwitch;

  constructor(inner: IndexStore, outage: OutageSwitch) {
    this.#inner = inner;
    this.#outage = outage;
  }

  write(entries: readonly IndexEntry[]): Promise<void> {
    return this.#outage.write(() => this.#inner.write(entries));
  }

  commit(
    segments: readonly SegmentName[],
    chunkKey: string,
    entries: readonly IndexEntry[],
    shared?: ReadonlySet<SegmentName>,
  ): Promise<ReadonlyMap<SegmentName, string>> {
    return this.#outage.write(() => this.#inner.commit(segments, chunkKey, entries, shared));
  }

  committed(segment: StreamSegment): Promise<string | undefined> {
    return this.#outage.read(() => this.#inner.committed(segment));
  }

  commits(): AsyncIterable<SegmentCommit> {
    return this.#inner.commits();
  }

  forget(segments: readonly StreamSegment[]): Promise<void> {
    return this.#outage.write(() => this.#inner.forget(segments));
  }

  unsettled(chunkKeys: readonly string[]): Promise<ReadonlySet<string>> {
    return this.#outage.read(() => this.#inner.unsettled(chunkKeys));
  }

  delete(entries: readonly IndexPlace[]): Promise<void> {
    return this.#outage.write(() => this.#inner.delete(entries));
  }

  async *rows(table: string, rangeEnd: string): AsyncIterable<readonly IndexRow[]> {
    await this.#outage.read(async () => undefined);
    yield* this.#inner.rows(table, rangeEnd);
  }

  scan<Lookup extends IndexLookup>(lookups: Iterable<Lookup>, visit: VisitCells<Lookup>): Promise<void> {
    return this.#outage.read(() => this.#inner.scan(lookups, visit));
  }

  async tables(): Promise<readonly string[]> {
    return await this.#outage.read(async () => (await this.#inner.tables?.()) ?? []);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}
