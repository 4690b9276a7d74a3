import type { google } from '@google-cloud/bigtable/build/protos/protos.js';
import { bytesOfText } from '../protocol/byte-text.ts';
import { forEachConcurrent } from '../protocol/for-each-concurrent.ts';
import { TurnBudget } from '../protocol/turn-budget.ts';
import { RetryBudget, type RetryDeps } from './bigtable-retry.ts';
import { type DecodedRow, RowDecoder } from './bigtable-row-decoder.ts';
import { type BigtableLayout, hashValueOf, INDEX_FAMILY, rowKeyOf } from './bigtable-row-key.ts';
import type { BigtableRpc, ReadRequest } from './bigtable-rpc.ts';
import { type BigtableError, bigtableErrorOf, isNoTable, isTransient, refusalOf } from './bigtable-status.ts';
import { bytesAfterPrefix } from './bytes-after-prefix.ts';
import type { IndexCell, IndexLookup, IndexRow } from './index-store.ts';

type RowFilter = google.bigtable.v2.IRowFilter;
type Visit<Lookup> = (cells: readonly IndexCell[], lookup: Lookup) => boolean;

/** Loki asks for 100 at a time; measured: beyond 200 a call's own cost no longer shows. */
const ROWS_PER_READ = 200;

/** Hides round trips. Each holds one message and one row. */
const READS_IN_FLIGHT = 4;

/** Cells of one row that are asked for at a time, so that a row of any size takes about 2 MiB: one shard of 100,000 series is one page. */
const PAGE_CELLS = 8_192;

/** Cells of each row of a page of a walk: with 200 rows about 10 MiB at the most. */
const WALKED_CELLS = 256;

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
    const groups = groupsOf(this.#layout, lookups);
    await forEachConcurrent(groups, READS_IN_FLIGHT, (group) => this.#scanGroup(group, visit));
  }

  /** A call a page: nobody knows how long who takes the rows needs for them. @throws RefusedError STORAGE_UNAVAILABLE */
  async *rows(table: string, rangeEnd: string): AsyncIterable<readonly IndexRow[]> {
    for (let last: Buffer | undefined, isLast = false; !isLast; ) {
      const page = await this.#rowPage(table, rangeEnd, last);
      isLast = page.length < ROWS_PER_READ;
      last = Buffer.from(page.at(-1)?.key ?? '', 'latin1');
      const long: IndexRow[] = [];
      const rows = page.flatMap(({ key, cells }): readonly IndexRow[] => {
        const hashValue = hashValueOf(this.#layout, key);
        if (hashValue === undefined) return [];
        const row = { hashValue, cells };
        if (cells.length >= WALKED_CELLS) long.push(row);
        return [row];
      });
      if (rows.length > 0) yield rows;
      for (const { hashValue, cells: first } of long) {
        for await (const cells of this.#pages({ table, hashValue }, first.at(-1)?.rangeValue)) {
          const wanted = cells.filter(({ rangeValue }) => rangeValue.endsWith(rangeEnd));
          if (wanted.length > 0) yield [{ hashValue, cells: wanted }];
        }
      }
    }
  }

  async #rowPage(table: string, rangeEnd: string, last: Buffer | undefined): Promise<readonly DecodedRow<IndexCell>[]> {
    const range = last ? { rows: { rowRanges: [{ startKeyOpen: last }] } } : {};
    const request = { ...range, rowsLimit: ROWS_PER_READ, filter: endFilterOf(rangeEnd) };
    const budget = new RetryBudget(this.#retry, READ_TIMEOUT_MS);
    for (;;) {
      const page: DecodedRow<IndexCell>[] = [];
      try {
        for await (const rows of this.#decoded(table, request)) page.push(...rows);
        return page;
      } catch (error) {
        const failure = bigtableErrorOf(error);
        if (isNoTable(failure)) return [];
        await this.#again(budget, failure);
      }
    }
  }

  async #scanGroup<Lookup extends IndexLookup>({ first, rows }: LookupGroup<Lookup>, visit: Visit<Lookup>) {
    const keys = Array.from(rows.values(), ({ key }) => key);
    const long: { readonly lookup: Lookup; readonly after: string | undefined }[] = [];
    for await (const found of this.#rows(first, keys, undefined)) {
      for (const { key, cells } of found) {
        const lookup = rows.get(key)?.lookup;
        if (!lookup) continue;
        const isEnough = cells.length <= BATCH_CELLS ? visit(cells, lookup) : await this.#show(cells, lookup, visit);
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
      for await (const rows of this.#rows(lookup, [key], after)) {
        const cells = rows[0]?.cells ?? [];
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
  ): AsyncIterable<readonly DecodedRow<IndexCell>[]> {
    const filter = filterOf(lookup, after, this.#pageCells);
    if (!filter) return;
    const budget = new RetryBudget(this.#retry, READ_TIMEOUT_MS);
    let missing = keys;
    for (;;) {
      const came = new Set<string>();
      try {
        const request = { rows: { rowKeys: missing as Buffer[] }, filter };
        for await (const rows of this.#decoded(lookup.table, request)) {
          for (const { key } of rows) came.add(key);
          yield rows;
        }
        return;
      } catch (error) {
        const failure = bigtableErrorOf(error);
        if (isNoTable(failure)) return;
        if (came.size > 0) {
          missing = missing.filter((key) => !came.has(key.toString('latin1')));
          // Only the end of the answer was lost. Bigtable takes no keys for all keys.
          if (missing.length === 0) return;
          budget.progressed();
        }
        await this.#again(budget, failure);
      }
    }
  }

  async *#decoded(table: string, request: ReadRequest): AsyncIterable<readonly DecodedRow<IndexCell>[]> {
    const decoder = new RowDecoder<IndexCell>(cellOf);
    for await (const messages of this.#rpc.readRows(table, request, MESSAGE_TIMEOUT_MS)) {
      for (let next = 0; next < messages.length || !decoder.isTaken; ) {
        if (!this.#turns.hasTime()) await this.#time();
        const rows: DecodedRow<IndexCell>[] = [];
        // Most messages hold one row.
        for (let chunks = 0; chunks < DECODED_TOGETHER && (next < messages.length || !decoder.isTaken); ) {
          if (decoder.isTaken) decoder.feed(messages[next++] ?? NO_MESSAGE);
          chunks += decoder.take(DECODED_TOGETHER - chunks, rows);
        }
        if (rows.length > 0) yield rows;
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

const NO_MESSAGE = Buffer.alloc(0);

const batchOf = (cells: readonly IndexCell[], first: number): readonly IndexCell[] =>
  cells.length <= BATCH_CELLS ? cells : cells.slice(first, first + BATCH_CELLS);

const cellOf = (_family: string, rangeValue: string, value: string): IndexCell => ({ rangeValue, value });

/** Lookups that one call can answer: of one table and one range, each of another row. */
interface LookupGroup<Lookup> {
  readonly first: Lookup;
  /** By the row's key as latin1 text. */
  readonly rows: ReadonlyMap<string, { readonly key: Buffer; readonly lookup: Lookup }>;
}

function* groupsOf<Lookup extends IndexLookup>(
  layout: BigtableLayout,
  lookups: Iterable<Lookup>,
): Generator<LookupGroup<Lookup>, void> {
  let first: Lookup | undefined;
  let rows = new Map<string, { readonly key: Buffer; readonly lookup: Lookup }>();
  for (const lookup of lookups) {
    const key = rowKeyOf(layout, lookup.hashValue);
    const text = key.toString('latin1');
    if (first && (rows.size === ROWS_PER_READ || !isAlike(first, lookup) || rows.has(text))) {
      yield { first, rows };
      first = undefined;
      rows = new Map();
    }
    first ??= lookup;
    rows.set(text, { key, lookup });
  }
  if (first) yield { first, rows };
}

const isAlike = (a: IndexLookup, b: IndexLookup): boolean =>
  a.table === b.table && a.rangePrefix === b.rangePrefix && a.rangeStart === b.rangeStart;

/** Cells whose qualifier ends so, the first ones of a row. */
const endFilterOf = (rangeEnd: string): RowFilter => {
  const end = Array.from(rangeEnd, (letter) => `\\x${letter.charCodeAt(0).toString(16).padStart(2, '0')}`).join('');
  const filters = [
    { familyNameRegexFilter: INDEX_FAMILY },
    { columnQualifierRegexFilter: Buffer.from(`(?s:.*)${end}`) },
    { cellsPerColumnLimitFilter: 1 },
    { cellsPerRowLimitFilter: WALKED_CELLS },
  ];
  return { chain: { filters } };
};

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
