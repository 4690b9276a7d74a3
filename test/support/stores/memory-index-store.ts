import { forEachConcurrent } from '../../../src/protocol/for-each-concurrent.ts';
import { compareBytes } from '../../../src/protocol/label-text.ts';
import { streamOfChunkKey } from '../../../src/storage/chunk-key.ts';
import { IndexCells } from '../../../src/storage/index-cells.ts';
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
} from '../../../src/storage/index-store.ts';

const BATCH_CELLS = 256;

const LOOKUPS_IN_FLIGHT = 16;
/** As in Bigtable. */
const LONG_ROW_SIZE = 4_096;

interface Row {
  readonly cells: Map<string, string>;
  /** Range values in byte order; undefined after a change. */
  order: readonly string[] | undefined;
}

/** An index store for tests: rows in nested maps, sorted when they are read. */
export class MemoryIndexStore implements IndexStore {
  readonly #rows = new Map<string, Map<string, Row>>();
  readonly #commits = new Map<
    SegmentName,
    { readonly chunkKey: string; readonly committedMs: number; readonly isShared: boolean }
  >();
  /** For the time of commits. */
  nowMs: () => number = Date.now;
  /** Chunks some of whose rows their commits still have to write, and those rows; `unsettled` writes them. */
  readonly unfinished = new Map<string, readonly IndexEntry[]>();
  /** Every lookup that was read, oldest first. */
  readonly lookups: IndexLookup[] = [];
  /** Awaited before each operation: throw to refuse it, wait to delay it. */
  before: ((operation: 'write' | 'delete' | 'read') => void | Promise<void>) | undefined;

  async write(entries: readonly IndexEntry[]): Promise<void> {
    await this.before?.('write');
    for (const { table, hashValue, rangeValue, value } of entries) {
      const row = this.#row(table, hashValue);
      row.cells.set(rangeValue, value);
      row.order = undefined;
    }
  }

  async commit(
    segments: readonly SegmentName[],
    chunkKey: string,
    entries: readonly IndexEntry[],
    shared?: ReadonlySet<SegmentName>,
  ): Promise<ReadonlyMap<SegmentName, string>> {
    const known = segments.flatMap((segment) => {
      const commit = this.#commits.get(segment);
      return commit ? [[segment, commit.chunkKey] as const] : [];
    });
    if (known.length > 0) return new Map(known);
    const committedMs = this.nowMs();
    for (const segment of segments) {
      this.#commits.set(segment, { chunkKey, committedMs, isShared: shared?.has(segment) ?? false });
    }
    try {
      await this.write(entries);
    } catch (error) {
      for (const segment of segments) this.#commits.delete(segment);
      throw error;
    }
    return new Map();
  }

  async committed({ segment }: StreamSegment): Promise<string | undefined> {
    const chunkKey = this.#commits.get(segment)?.chunkKey;
    if (chunkKey !== undefined) await this.unsettled([chunkKey]);
    return chunkKey;
  }

  async *commits(): AsyncIterable<SegmentCommit> {
    for (const [segment, { chunkKey, committedMs, isShared }] of this.#commits) {
      const isUnfinished = this.unfinished.has(chunkKey);
      yield { stream: streamOfChunkKey(chunkKey), segment, chunkKey, committedMs, isShared, isUnfinished };
    }
  }

  async forget(segments: readonly StreamSegment[]): Promise<void> {
    for (const { segment } of segments) this.#commits.delete(segment);
  }

  async unsettled(chunkKeys: readonly string[]): Promise<ReadonlySet<string>> {
    const unsettled = new Set<string>();
    for (const key of chunkKeys) {
      const left = this.unfinished.get(key);
      if (!left) continue;
      await this.write(left);
      this.unfinished.delete(key);
      unsettled.add(key);
    }
    return unsettled;
  }

  async *rows(table: string, rangeEnd: string): AsyncIterable<readonly IndexRow[]> {
    for (const [hashValue, row] of [...(this.#rows.get(table) ?? [])]) {
      if (hashValue.length > LONG_ROW_SIZE) continue;
      const wanted = [...row.cells].filter(([rangeValue]) => rangeValue.endsWith(rangeEnd));
      const cells = wanted.map(([rangeValue, value]) => ({ rangeValue, value }));
      if (cells.length > 0)
        yield [{ hashValue, cells: cells.sort((a, b) => compareBytes(a.rangeValue, b.rangeValue)) }];
    }
  }

  async delete(entries: readonly IndexPlace[]): Promise<void> {
    await this.before?.('delete');
    for (const { table, hashValue, rangeValue } of entries) {
      const row = this.#rows.get(table)?.get(hashValue);
      row?.cells.delete(rangeValue);
      if (row) row.order = undefined;
    }
  }

  async scan<Lookup extends IndexLookup>(lookups: Iterable<Lookup>, visit: VisitCells<Lookup>): Promise<void> {
    await forEachConcurrent(lookups, LOOKUPS_IN_FLIGHT, (lookup) => this.#scanRow(lookup, visit));
  }

  async #scanRow<Lookup extends IndexLookup>(lookup: Lookup, visit: VisitCells<Lookup>): Promise<void> {
    const { table, hashValue, rangePrefix = '', rangeStart = '' } = lookup;
    this.lookups.push({ table, hashValue, rangePrefix, rangeStart });
    await this.before?.('read');
    const row = this.#rows.get(table)?.get(hashValue);
    if (!row) return;
    row.order ??= [...row.cells.keys()].sort(compareBytes);
    const wanted = row.order.filter(
      (rangeValue) => rangeValue.startsWith(rangePrefix) && compareBytes(rangeValue, rangeStart) >= 0,
    );
    const cells = new IndexCells();
    for (let first = 0; first < wanted.length; first += BATCH_CELLS) {
      cells.clear();
      for (const rangeValue of wanted.slice(first, first + BATCH_CELLS)) {
        cells.addText({ rangeValue, value: row.cells.get(rangeValue) ?? '' });
      }
      if (visit(cells, lookup)) return;
      await Promise.resolve();
    }
  }

  async tables(): Promise<readonly string[]> {
    return [...this.#rows.keys()].sort();
  }

  async close(): Promise<void> {}

  /** Everything stored, in no order: for assertions. */
  entries(): IndexEntry[] {
    const found: IndexEntry[] = [];
    for (const [table, rows] of this.#rows) {
      for (const [hashValue, row] of rows) {
        for (const [rangeValue, value] of row.cells) found.push({ table, hashValue, rangeValue, value });
      }
    }
    return found;
  }

  #row(table: string, hashValue: string): Row {
    const rows = this.#rows.get(table) ?? new Map<string, Row>();
    this.#rows.set(table, rows);
    const row = rows.get(hashValue) ?? { cells: new Map<string, string>(), order: undefined };
    rows.set(hashValue, row);
    return row;
  }
}
