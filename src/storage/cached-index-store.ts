import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '../protocol/clock.ts';
import { bytesOfPack, IndexCells, joinPacks, type PackedCells, packCells } from './index-cells.ts';
import { cachedDayOf, dayOfGeneration, generationsLookup } from './index-generation.ts';
import type { IndexLookup, IndexStore, VisitCells } from './index-store.ts';

export interface IndexCacheFigures {
  /** Lookups of rows of past days. */
  readonly requests: number;
  readonly hits: number;
  readonly bytes: number;
}

/** Lookups that are not kept go to the store so many at a time, which reads some at a time of those. */
const MISSED_TOGETHER = 8_192;

/** Cells of a long row shown in one turn. */
const CELLS_TOGETHER = 2_048;

/** Lookups looked at in one turn of the event loop: shown from memory, some µs each. */
const LOOKUPS_TOGETHER = 256;

/** Chosen: one large row must not empty the cache. */
const ROW_SHARE_MAX = 1 / 8;

/** Measured: what the map and objects of a row take beside its bytes. */
const ROW_OVERHEAD_BYTES = 750;

/** What `rangeStart` is of a lookup of chunks of a whole day: nothing is before it. */
const START_OF_DAY = '00000000\0';

/** That can say which tables there are. */
type ListedIndexStore = IndexStore & Required<Pick<IndexStore, 'tables'>>;

interface CachedRow {
  readonly generation: string;
  readonly cells: PackedCells;
  readonly bytes: number;
}

/** A lookup that is on its way to the store, and what has come of it. */
interface Missed<Lookup> extends IndexLookup {
  readonly lookup: Lookup;
  /** undefined where it is not to be kept: it is of no past day, became too long, or had enough before its end. */
  kept: { readonly key: string; readonly generation: string; readonly packs: PackedCells[]; bytes: number } | undefined;
}

/**
 * Keeps rows of past days in memory, up to a size, those used lately. Before it shows any it asks the store for the generations of their days, one small row a table,
 * and what was read under another generation is read anew: what is stored late is seen by the first scan that begins after its flush was told
 * (index-generation.ts). Everything else goes through.
 */
export class CachedIndexStore implements IndexStore {
  readonly #store: ListedIndexStore;
  readonly #clock: Pick<Clock, 'nowMs'>;
  readonly #bytesMax: number;
  /** Those used least lately first. */
  readonly #rows = new Map<string, CachedRow>();
  #bytes = 0;
  #requests = 0;
  #hits = 0;

  /** @param store one that writes generations; closed with this one */
  constructor(store: ListedIndexStore, clock: Pick<Clock, 'nowMs'>, bytesMax: number) {
    this.#store = store;
    this.#clock = clock;
    this.#bytesMax = bytesMax;
  }

  get figures(): IndexCacheFigures {
    return { requests: this.#requests, hits: this.#hits, bytes: this.#bytes };
  }

  write: IndexStore['write'] = (entries) => this.#store.write(entries);
  commit: IndexStore['commit'] = (...commit) => this.#store.commit(...commit);
  committed: IndexStore['committed'] = (segment) => this.#store.committed(segment);
  commits: IndexStore['commits'] = () => this.#store.commits();
  forget: IndexStore['forget'] = (segments) => this.#store.forget(segments);
  delete: IndexStore['delete'] = (entries) => this.#store.delete(entries);
  unsettled: IndexStore['unsettled'] = (chunkKeys) => this.#store.unsettled(chunkKeys);
  rows: IndexStore['rows'] = (table, rangeEnd) => this.#store.rows(table, rangeEnd);

  tables(): Promise<readonly string[]> {
    return this.#store.tables();
  }

  async scan<Lookup extends IndexLookup>(lookups: Iterable<Lookup>, visit: VisitCells<Lookup>): Promise<void> {
    const generations = new Generations(this.#store);
    const missed: Missed<Lookup>[] = [];
    const readMissed = async (): Promise<void> => {
      if (missed.length > 0) await this.#read(missed.splice(0), visit);
    };
    let looked = 0;
    for (const lookup of lookups) {
      missed.push(...(await this.#fromCache(lookup, visit, generations)));
      looked += 1;
      if (missed.length >= MISSED_TOGETHER) await readMissed();
      if (looked % LOOKUPS_TOGETHER === 0) await nextTurn();
    }
    await readMissed();
  }

  async close(): Promise<void> {
    await this.#store.close();
    this.#rows.clear();
    this.#bytes = 0;
  }

  /** Shows what is kept; otherwise what the store is to be asked. */
  async #fromCache<Lookup extends IndexLookup>(
    lookup: Lookup,
    visit: VisitCells<Lookup>,
    generations: Generations,
  ): Promise<readonly Missed<Lookup>[]> {
    const { table, hashValue, rangePrefix = '', rangeStart = START_OF_DAY } = lookup;
    const miss: Missed<Lookup> = { ...lookup, lookup, kept: undefined };
    const day = cachedDayOf(hashValue, this.#clock.nowMs());
    if (day === undefined || rangeStart !== START_OF_DAY) return [miss];
    const known = generations.known(table) ?? (await generations.of(table));
    const generation = known.get(day) ?? '';
    const key = `${table}\0${hashValue}\0${rangePrefix}`;
    this.#requests += 1;
    const row = this.#rows.get(key);
    if (row?.generation === generation) {
      this.#hits += 1;
      this.#rows.delete(key);
      this.#rows.set(key, row);
      await showAll(IndexCells.of(row.cells), lookup, visit);
      return [];
    }
    this.#forget(key);
    miss.kept = { key, generation, packs: [], bytes: 0 };
    return [miss];
  }

  async #read<Lookup extends IndexLookup>(missed: readonly Missed<Lookup>[], visit: VisitCells<Lookup>): Promise<void> {
    const rowBytesMax = this.#bytesMax * ROW_SHARE_MAX;
    let bytes = 0;
    await this.#store.scan(missed, (cells, miss) => {
      const { kept } = miss;
      if (kept) {
        const pack = packCells(cells);
        kept.packs.push(pack);
        kept.bytes += bytesOfPack(pack);
        bytes += bytesOfPack(pack);
        if (kept.bytes > rowBytesMax || bytes > this.#bytesMax) miss.kept = undefined;
      }
      const isEnough = visit(cells, miss.lookup);
      if (isEnough) miss.kept = undefined;
      return isEnough;
    });
    for (const { kept } of missed) if (kept) this.#keep(kept.key, kept.generation, joinPacks(kept.packs));
  }

  #keep(key: string, generation: string, cells: PackedCells): void {
    this.#forget(key);
    const bytes = bytesOfPack(cells) + key.length + ROW_OVERHEAD_BYTES;
    this.#rows.set(key, { generation, cells, bytes });
    this.#bytes += bytes;
    for (const oldest of this.#rows.keys()) {
      if (this.#bytes <= this.#bytesMax) return;
      this.#forget(oldest);
    }
  }

  #forget(key: string): void {
    this.#bytes -= this.#rows.get(key)?.bytes ?? 0;
    this.#rows.delete(key);
  }
}

const showAll = async <Lookup>(cells: IndexCells, lookup: Lookup, visit: VisitCells<Lookup>): Promise<void> => {
  for (let first = 0; first < cells.count; first += CELLS_TOGETHER) {
    if (first > 0) await nextTurn();
    if (visit(cells.show(first, CELLS_TOGETHER), lookup)) return;
  }
};

/** Of the days of each table, as they were when the scan first asked. */
class Generations {
  readonly #store: IndexStore;
  readonly #tables = new Map<string, ReadonlyMap<number, string>>();

  constructor(store: IndexStore) {
    this.#store = store;
  }

  known(table: string): ReadonlyMap<number, string> | undefined {
    return this.#tables.get(table);
  }

  async of(table: string): Promise<ReadonlyMap<number, string>> {
    const found = new Map<number, string>();
    await this.#store.scan([generationsLookup(table)], (cells) => {
      for (const { rangeValue, value } of cells) found.set(dayOfGeneration(rangeValue), value);
      return false;
    });
    this.#tables.set(table, found);
    return found;
  }
}
