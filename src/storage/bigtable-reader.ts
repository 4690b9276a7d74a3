import type { google } from '@google-cloud/bigtable/build/protos/protos.js';
import { bytesOfText } from '../protocol/byte-text.ts';
import { TurnBudget } from '../protocol/turn-budget.ts';
import { RetryBudget, type RetryDeps } from './bigtable-retry.ts';
import { type DecodedRow, RowDecoder } from './bigtable-row-decoder.ts';
import { type BigtableLayout, INDEX_FAMILY, rowKeyOf } from './bigtable-row-key.ts';
import type { BigtableRpc } from './bigtable-rpc.ts';
import { type BigtableError, bigtableErrorOf, isNoTable, isTransient, refusalOf } from './bigtable-status.ts';
import { bytesAfterPrefix } from './bytes-after-prefix.ts';
import type { IndexCell, IndexLookup } from './index-store.ts';

type RowFilter = google.bigtable.v2.IRowFilter;
type Visit<Lookup> = (cells: readonly IndexCell[], lookup: Lookup) => boolean;

/** Loki asks for 100 at a time; measured: beyond 200 a call's own cost no longer shows. */
const ROWS_PER_READ = 200;

/** Hides round trips. Each holds one message and one row. */
const READS_IN_FLIGHT = 4;

/** Cells of one row that are asked for at a time, so that a row of any size takes about 2 MiB: one shard of 100,000 series is one page. */
const PAGE_CELLS = 8_192;

/** Measured: a cell takes about 0.7 µs to decode. */
const DECODED_TOGETHER = 256;

/** Cells shown at a time. */
const BATCH_CELLS = 512;

/** Chosen: all reads of a store together take less of one turn of the event loop than a push may notice. */
const READ_SLICE_MS = 1;

/** Chosen: of one message; Bigtable's own client takes 20 s for a call. */
const MESSAGE_TIMEOUT_MS = 20_000;
/** Chosen: of one page of rows with all its tries. */
const READ_TIMEOUT_MS = 40_000;

/** Reads rows of the index: many in one call, long ones in pages. A table that is not there is empty. */
export class BigtableReader {
  readonly #rpc: BigtableRpc;
  readonly #layout: BigtableLayout;
  readonly #retry: RetryDeps;
  readonly #turns: TurnBudget;
  readonly #pageCells: number;

  constructor(rpc: BigtableRpc, layout: BigtableLayout, retry: RetryDeps, pageCells = PAGE_CELLS) {
    this.#rpc = rpc;
    this.#layout = layout;
    this.#retry = retry;
    this.#turns = new TurnBudget(retry.clock, READ_SLICE_MS);
    this.#pageCells = pageCells;
  }

  /** @throws RefusedError STORAGE_UNAVAILABLE */
  read(lookup: IndexLookup): AsyncIterable<readonly IndexCell[]> {
    return this.#pages(lookup, undefined);
  }

  /** Shows all cells of all lookups, drawn as they are needed; true ends a lookup. @throws RefusedError STORAGE_UNAVAILABLE */
  async scan<Lookup extends IndexLookup>(lookups: Iterable<Lookup>, visit: Visit<Lookup>): Promise<void> {
    const groups = groupsOf(lookups);
    let hasFailed = false;
    const worker = async (): Promise<void> => {
      for (let next = groups.next(); !next.done && !hasFailed; next = groups.next()) {
        try {
          await this.#scanGroup(next.value, visit);
        } catch (error) {
          hasFailed = true;
          throw error;
        }
      }
    };
    await Promise.all(Array.from({ length: READS_IN_FLIGHT }, worker));
  }

  async #scanGroup<Lookup extends IndexLookup>(group: readonly Lookup[], visit: Visit<Lookup>): Promise<void> {
    const [first] = group;
    if (!first) return;
    const lookups = new Map<string, Lookup[]>();
    const keys: Buffer[] = [];
    for (const lookup of group) {
      const key = rowKeyOf(this.#layout, lookup.hashValue);
      const text = key.toString('latin1');
      const same = lookups.get(text);
      if (same) same.push(lookup);
      else {
        lookups.set(text, [lookup]);
        keys.push(key);
      }
    }
    const long: { readonly lookup: Lookup; readonly after: string | undefined }[] = [];
    for await (const { key, cells } of this.#rows(first, keys, undefined)) {
      for (const lookup of lookups.get(key) ?? []) {
        const isEnough = await this.#show(cells, lookup, visit);
        if (!isEnough && cells.length >= this.#pageCells) long.push({ lookup, after: cells.at(-1)?.rangeValue });
      }
    }
    for (const { lookup, after } of long) {
      for await (const cells of this.#pages(lookup, after)) if (visit(cells, lookup)) break;
    }
  }

  async #show<Lookup>(cells: readonly IndexCell[], lookup: Lookup, visit: Visit<Lookup>): Promise<boolean> {
    for (let first = 0; first < cells.length; first += BATCH_CELLS) {
      if (first > 0) await this.#time();
      if (visit(batchOf(cells, first), lookup)) return true;
    }
    return false;
  }

  async *#pages(lookup: IndexLookup, from: string | undefined): AsyncIterable<readonly IndexCell[]> {
    const key = rowKeyOf(this.#layout, lookup.hashValue);
    for (let after = from, isLast = false; !isLast; ) {
      isLast = true;
      for await (const { cells } of this.#rows(lookup, [key], after)) {
        for (let first = 0; first < cells.length; first += BATCH_CELLS) {
          if (first > 0) await this.#time();
          yield batchOf(cells, first);
        }
        after = cells.at(-1)?.rangeValue;
        isLast = cells.length < this.#pageCells;
      }
    }
  }

  /**
   * Rows with the part of the lookup's range after `after`, at most a page of each, each once, in any order. After an error only those are asked for again that
   * did not come.
   */
  async *#rows(
    lookup: IndexLookup,
    keys: readonly Buffer[],
    after: string | undefined,
  ): AsyncIterable<DecodedRow<IndexCell>> {
    const filter = filterOf(lookup, after, this.#pageCells);
    if (!filter) return;
    const budget = new RetryBudget(this.#retry, READ_TIMEOUT_MS);
    let missing = keys;
    for (;;) {
      const came = new Set<string>();
      try {
        for await (const row of this.#decoded(lookup.table, missing, filter)) {
          came.add(row.key);
          yield row;
        }
        return;
      } catch (error) {
        const failure = bigtableErrorOf(error);
        if (isNoTable(failure)) return;
        if (came.size > 0) {
          missing = missing.filter((key) => !came.has(key.toString('latin1')));
          budget.progressed();
        }
        await this.#again(budget, failure);
      }
    }
  }

  async *#decoded(table: string, rowKeys: readonly Buffer[], filter: RowFilter): AsyncIterable<DecodedRow<IndexCell>> {
    const decoder = new RowDecoder<IndexCell>(cellOf);
    const request = { rows: { rowKeys: rowKeys as Buffer[] }, filter };
    for await (const message of this.#rpc.readRows(table, request, MESSAGE_TIMEOUT_MS)) {
      decoder.feed(message);
      while (!decoder.isTaken) {
        await this.#time();
        yield* decoder.take(DECODED_TOGETHER);
      }
    }
  }

  async #time(): Promise<void> {
    while (!this.#turns.hasTime()) await this.#turns.nextTurn();
  }

  async #again(budget: RetryBudget, failure: BigtableError): Promise<void> {
    if (!isTransient(failure) || !(await budget.wait())) throw refusalOf('cannot read the index', failure);
  }
}

const batchOf = (cells: readonly IndexCell[], first: number): readonly IndexCell[] =>
  cells.length <= BATCH_CELLS ? cells : cells.slice(first, first + BATCH_CELLS);

const cellOf = (_family: string, rangeValue: string, value: string): IndexCell => ({ rangeValue, value });

/** Runs of lookups that one call can answer: of one table and one range. */
function* groupsOf<Lookup extends IndexLookup>(lookups: Iterable<Lookup>): Generator<readonly Lookup[], void> {
  let group: Lookup[] = [];
  for (const lookup of lookups) {
    const [first] = group;
    if (first && (group.length === ROWS_PER_READ || !isAlike(first, lookup))) {
      yield group;
      group = [];
    }
    group.push(lookup);
  }
  if (group.length > 0) yield group;
}

const isAlike = (a: IndexLookup, b: IndexLookup): boolean =>
  a.table === b.table && a.rangePrefix === b.rangePrefix && a.rangeStart === b.rangeStart;

/** undefined: nothing can be in that range. */
const filterOf = (
  { rangePrefix = '', rangeStart = '' }: IndexLookup,
  after: string | undefined,
  pageCells: number,
): RowFilter | undefined => {
  const filters: RowFilter[] = [];
  const prefix = bytesOfText(rangePrefix);
  const from = bytesOfText(rangeStart);
  const start = Buffer.compare(from, prefix) > 0 ? from : prefix;
  const end = bytesAfterPrefix(prefix);
  if (end.length > 0 && Buffer.compare(start, end) >= 0) return undefined;
  if (start.length === 0 && after === undefined) filters.push({ familyNameRegexFilter: INDEX_FAMILY });
  else {
    const bounds = {
      ...(after === undefined ? { startQualifierClosed: start } : { startQualifierOpen: bytesOfText(after) }),
      ...(end.length > 0 ? { endQualifierOpen: end } : {}),
    };
    filters.push({ columnRangeFilter: { familyName: INDEX_FAMILY, ...bounds } });
  }
  // Other writers than Loki and ringlog may have dated their cells: the newest counts.
  filters.push({ cellsPerColumnLimitFilter: 1 }, { cellsPerRowLimitFilter: pageCells });
  return { chain: { filters } };
};
