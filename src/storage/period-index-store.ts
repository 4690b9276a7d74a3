import { streamOfChunkKey } from './chunk-key.ts';
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
} from './index-store.ts';
import { type IndexStoreName, splitTable, tableIn } from './schema-config.ts';

/**
 * The index stores of all schema periods as one: the names of tables say which store each is in (schema-config.ts).
 *
 * Commits are made in the store of the newest period, and those of before are looked for in the others, where nothing is committed any more. A chunk that
 * lies on both sides of a period's start has rows in two stores; those outside the newest one's are written before the commit. If that fails or comes too late, they name an
 * object all of whose entries are in another chunk too, and an entry that is in two chunks is shown once.
 */
export class PeriodIndexStore implements IndexStore {
  readonly #stores: ReadonlyMap<IndexStoreName, IndexStore>;
  readonly #newest: IndexStore;
  readonly #newestName: IndexStoreName;
  /** Where else commits may be. */
  readonly #older: readonly IndexStore[];

  /** @param stores closed with this one */
  constructor(stores: ReadonlyMap<IndexStoreName, IndexStore>, newest: IndexStoreName) {
    this.#stores = stores;
    this.#newestName = newest;
    this.#newest = this.#storeOf(newest);
    // Both layouts of Bigtable have their commits in one table.
    const others = new Map(Array.from(stores, ([name, store]) => [name === 'lmdb' ? name : 'bigtable', store]));
    others.delete(newest === 'lmdb' ? newest : 'bigtable');
    this.#older = [...others.values()];
  }

  async write(entries: readonly IndexEntry[]): Promise<void> {
    await Promise.all(Array.from(byStore(entries), ([name, part]) => this.#storeOf(name).write(part)));
  }

  async commit(
    segments: readonly SegmentName[],
    chunkKey: string,
    entries: readonly IndexEntry[],
    shared?: ReadonlySet<SegmentName>,
  ): Promise<ReadonlyMap<SegmentName, string>> {
    const stream = streamOfChunkKey(chunkKey);
    const known = new Map<SegmentName, string>();
    for (const segment of segments) {
      const key = await this.#committedBefore({ stream, segment });
      if (key !== undefined) known.set(segment, key);
    }
    if (known.size > 0) return known;
    const parts = byStore(entries);
    const own = parts.get(this.#newestName) ?? [];
    parts.delete(this.#newestName);
    await Promise.all(Array.from(parts, ([name, part]) => this.#storeOf(name).write(part)));
    return await this.#newest.commit(segments, chunkKey, own, shared);
  }

  async committed(segment: StreamSegment): Promise<string | undefined> {
    return (await this.#newest.committed(segment)) ?? (await this.#committedBefore(segment));
  }

  async *commits(): AsyncIterable<SegmentCommit> {
    for (const store of [this.#newest, ...this.#older]) yield* store.commits();
  }

  async forget(segments: readonly StreamSegment[]): Promise<void> {
    await Promise.all([this.#newest, ...this.#older].map((store) => store.forget(segments)));
  }

  async unsettled(chunkKeys: readonly string[]): Promise<ReadonlySet<string>> {
    const unsettled = new Set<string>();
    for (const store of [this.#newest, ...this.#older]) {
      for (const key of await store.unsettled(chunkKeys)) unsettled.add(key);
    }
    return unsettled;
  }

  async delete(entries: readonly IndexPlace[]): Promise<void> {
    await Promise.all(Array.from(byStore(entries), ([name, part]) => this.#storeOf(name).delete(part)));
  }

  rows(table: string, rangeEnd: string): AsyncIterable<readonly IndexRow[]> {
    const split = splitTable(table);
    return this.#storeOf(split.store).rows(split.table, rangeEnd);
  }

  async scan<Lookup extends IndexLookup>(lookups: Iterable<Lookup>, visit: VisitCells<Lookup>): Promise<void> {
    for (const { store, run } of runsByStore(lookups)) {
      await this.#storeOf(store).scan(run, (cells, { lookup }) => visit(cells, lookup));
    }
  }

  async tables(): Promise<readonly string[]> {
    const tables: string[] = [];
    for (const [name, store] of this.#stores) {
      for (const table of (await store.tables?.()) ?? []) tables.push(tableIn(name, table));
    }
    return tables;
  }

  async close(): Promise<void> {
    await Promise.all(Array.from(this.#stores.values(), (store) => store.close()));
  }

  async #committedBefore(segment: StreamSegment): Promise<string | undefined> {
    for (const store of this.#older) {
      const key = await store.committed(segment);
      if (key !== undefined) return key;
    }
    return undefined;
  }

  #storeOf(name: IndexStoreName): IndexStore {
    const store = this.#stores.get(name);
    if (!store) throw new Error(`no index store is open for the period of ${name}`);
    return store;
  }
}

const byStore = <Entry extends { readonly table: string }>(entries: readonly Entry[]): Map<IndexStoreName, Entry[]> => {
  const parts = new Map<IndexStoreName, Entry[]>();
  for (const entry of entries) {
    const { store, table } = splitTable(entry.table);
    const part = parts.get(store) ?? [];
    if (part.length === 0) parts.set(store, part);
    part.push({ ...entry, table });
  }
  return parts;
};

interface Routed<Lookup> extends IndexLookup {
  readonly lookup: Lookup;
}

/** Lookups that follow each other in one store; each run is to be drawn to its end before the next is asked for. */
function* runsByStore<Lookup extends IndexLookup>(
  lookups: Iterable<Lookup>,
): Generator<{ readonly store: IndexStoreName; readonly run: Iterable<Routed<Lookup>> }> {
  const iterator = lookups[Symbol.iterator]();
  let next = iterator.next();
  while (!next.done) {
    const { store } = splitTable(next.value.table);
    const run = function* (): Generator<Routed<Lookup>> {
      while (!next.done) {
        const lookup = next.value;
        const split = splitTable(lookup.table);
        if (split.store !== store) return;
        next = iterator.next();
        yield { ...lookup, table: split.table, lookup };
      }
    };
    yield { store, run: run() };
  }
}
