import type { google } from '@google-cloud/bigtable/build/protos/protos.js';
import { bytesOfText } from '../protocol/byte-text.ts';
import { forEachConcurrent } from '../protocol/for-each-concurrent.ts';
import { TurnBudget } from '../protocol/turn-budget.ts';
import { RowDecoder } from './bigtable-row-decoder.ts';
import { type BigtableLayout, hashValueOf, INDEX_FAMILY, rowKeyOf } from './bigtable-row-key.ts';
import type { BigtableRpc, ReadRequest } from './bigtable-rpc.ts';
import { BigtableError, bigtableRetries, isNoTable, isTransient, refusalOf } from './bigtable-status.ts';
import { bytesAfterPrefix } from './bytes-after-prefix.ts';
import type { IndexCell, IndexCells } from './index-cells.ts';
import type { IndexLookup, IndexRow, VisitCells } from './index-store.ts';
import type { RetryDeps } from './retry-budget.ts';

type RowFilter = google.bigtable.v2.IRowFilter;

/** Measured: of 1,000 rows a call's own cost no longer shows, here or there; Loki asks for 100. */
const ROWS_PER_READ = 1_000;
/** Chosen: Bigtable takes requests of 1 MB and advises less; 1,000 usual keys are half of this. */
const KEY_BYTES_PER_READ = 256 << 10;

/** Hides round trips. Each holds a few messages and one row. */
const READS_IN_FLIGHT = 4;

/** Cells of one row that are asked for at a time, so that a row of any size takes about 2 MiB: one shard of 100,000 series is one page. */
const PAGE_CELLS = 8_192;

/** Of a page of a walk, with so many cells of each row: about 10 MiB at the most. */
const WALKED_ROWS = 200;
const WALKED_CELLS = 256;

/** Measured: a cell takes about 0.3 µs to decode. */
const DECODED_TOGETHER = 512;

/** Cells shown at a time. */
const BATCH_CELLS = 512;

/** Chosen: all reads of a store together take less of one turn of the event loop than a push may notice. */
const READ_SLICE_MS = 1;

/** Chosen: of one message; Bigtable's own client takes 20 s for a call. */
const MESSAGE_TIMEOUT_MS = 20_000;
/** Chosen: of one page of rows with all its tries. */
const READ_TIMEOUT_MS = 40_000;

export interface BigtableReaderDeps extends RetryDeps {
  readonly rpc: BigtableRpc;
  /** False if Bigtable finds nothing at all: no table is missing then. */
  readonly isFound: () => Promise<boolean>;
}

/** Reads rows of the index: many in one call, long ones in pages. A table that is not there is empty. */
export class BigtableReader {
  readonly #deps: BigtableReaderDeps;
  readonly #layout: BigtableLayout;
  readonly #turns: TurnBudget;

  constructor(layout: BigtableLayout, deps: BigtableReaderDeps) {
    this.#deps = deps;
    this.#layout = layout;
    this.#turns = new TurnBudget(deps.clock, READ_SLICE_MS);
  }

  /** As `scan` of an IndexStore. @throws RefusedError STORAGE_UNAVAILABLE */
  async scan<Lookup extends IndexLookup>(lookups: Iterable<Lookup>, visit: VisitCells<Lookup>): Promise<void> {
    const groups = groupsOf(this.#layout, lookups);
    await forEachConcurrent(groups, READS_IN_FLIGHT, (group) => this.#scanGroup(group, visit));
  }

  /** As that of an IndexStore. A call a page: nobody knows how long who takes the rows needs for them. @throws RefusedError STORAGE_UNAVAILABLE */
  async *rows(table: string, rangeEnd: string): AsyncIterable<readonly IndexRow[]> {
    for (let last: Buffer | undefined, isLast = false; !isLast; ) {
      const page = await this.#walkedPage(table, rangeEnd, last);
      isLast = page.length < WALKED_ROWS;
      last = Buffer.from(page.at(-1)?.key ?? '', 'latin1');
      const rows = page.flatMap(({ key, cells }): readonly IndexRow[] => {
        const hashValue = hashValueOf(this.#layout, key);
        return hashValue === undefined ? [] : [{ hashValue, cells }];
      });
      if (rows.length > 0) yield rows;
      for (const row of rows) if (row.cells.length >= WALKED_CELLS) yield* this.#restOf(table, rangeEnd, row);
    }
  }

  async #walkedPage(table: string, rangeEnd: string, last: Buffer | undefined): Promise<readonly WalkedRow[]> {
    const range = last ? { rows: { rowRanges: [{ startKeyOpen: last }] } } : {};
    const request = { ...range, rowsLimit: WALKED_ROWS, filter: endFilterOf(rangeEnd) };
    const budget = bigtableRetries(this.#deps, READ_TIMEOUT_MS);
    for (;;) {
      const page: WalkedRow[] = [];
      const failure = await this.#tryRead(table, request, async ({ key, cells }) => {
        page.push({ key, cells: [...cells] });
      });
      if (!failure || (isNoTable(failure) && (await this.#deps.isFound()))) return page;
      if (!isTransient(failure) || !(await budget.wait())) throw refusalOf('cannot read the index', failure);
    }
  }

  /** What a walk did not get of a long row with the others. */
  async *#restOf(table: string, rangeEnd: string, { hashValue, cells }: IndexRow): AsyncIterable<readonly IndexRow[]> {
    const key = rowKeyOf(this.#layout, hashValue);
    const lookup: IndexLookup = { table, hashValue };
    const rows = new Map([[key.toString('latin1'), { key, lookup }]]);
    const pages: Page<IndexLookup>[] = [{ rows, after: bytesOfText(cells.at(-1)?.rangeValue ?? '') }];
    for (let page = pages.pop(); page; page = pages.pop()) {
      const found: IndexCell[] = [];
      const take: VisitCells<IndexLookup> = (shown) => {
        for (const cell of shown) if (cell.rangeValue.endsWith(rangeEnd)) found.push(cell);
        return false;
      };
      await this.#readPage(lookup, page, take, pages);
      if (found.length > 0) yield [{ hashValue, cells: found }];
    }
  }

  /** All rows page by page, those that have a next page one after the other. */
  async #scanGroup<Lookup extends IndexLookup>(
    { first, rows }: LookupGroup<Lookup>,
    visit: VisitCells<Lookup>,
  ): Promise<void> {
    const pages: Page<Lookup>[] = [{ rows, after: undefined }];
    for (let page = pages.pop(); page; page = pages.pop()) await this.#readPage(first, page, visit, pages);
  }

  /**
   * At most a page of each row, each once, in any order; those that are longer are added to `next`. After an error only those are asked for again that did not
   * come.
   */
  async #readPage<Lookup extends IndexLookup>(
    first: Lookup,
    page: Page<Lookup>,
    visit: VisitCells<Lookup>,
    next: Page<Lookup>[],
  ): Promise<void> {
    const filter = filterOf(first, page.after);
    if (!filter) return;
    const { rows } = page;
    const budget = bigtableRetries(this.#deps, READ_TIMEOUT_MS);
    for (;;) {
      const missing = rows.size;
      const rowKeys = Array.from(rows.values(), ({ key }) => key);
      const request = { rows: { rowKeys }, filter };
      const failure = await this.#tryRead(first.table, request, (row) => this.#showRow(row, rows, visit, next));
      // If only the end of the answer was lost nothing is left to ask for: Bigtable takes no keys for all keys.
      if (!failure || rows.size === 0) return;
      if (isNoTable(failure) && (await this.#deps.isFound())) return;
      if (rows.size < missing) budget.progressed();
      if (!isTransient(failure) || !(await budget.wait())) throw refusalOf('cannot read the index', failure);
    }
  }

  /** @param take of each row; its cells are gone once it answers @returns why not all rows came */
  async #tryRead(
    table: string,
    request: ReadRequest,
    take: (row: RowDecoder) => Promise<void> | undefined,
  ): Promise<BigtableError | undefined> {
    const decoder = new RowDecoder();
    try {
      for await (const messages of this.#deps.rpc.readRows(table, request, MESSAGE_TIMEOUT_MS)) {
        for (const message of messages) {
          decoder.feed(message);
          await this.#takeRows(decoder, take);
        }
      }
      return undefined;
    } catch (error) {
      if (error instanceof BigtableError) return error;
      throw error;
    }
  }

  async #takeRows(decoder: RowDecoder, take: (row: RowDecoder) => Promise<void> | undefined): Promise<void> {
    while (!decoder.isTaken) {
      while (!this.#turns.hasTime()) await this.#turns.nextTurn();
      if (!decoder.take(DECODED_TOGETHER)) continue;
      // Most rows are short: no promise for each of them.
      const taking = take(decoder);
      if (taking !== undefined) await taking;
    }
  }

  /** Takes the row out of `rows`. */
  #showRow<Lookup>(
    { key, cells }: RowDecoder,
    rows: RowsByKey<Lookup>,
    visit: VisitCells<Lookup>,
    next: Page<Lookup>[],
  ): Promise<void> | undefined {
    const row = rows.get(key);
    if (!row) return undefined;
    rows.delete(key);
    if (cells.count > BATCH_CELLS) return this.#showLong(cells, { key, row }, visit, next);
    visit(cells, row.lookup);
    return undefined;
  }

  async #showLong<Lookup>(
    cells: IndexCells,
    { key, row }: { readonly key: string; readonly row: LookedUp<Lookup> },
    visit: VisitCells<Lookup>,
    next: Page<Lookup>[],
  ): Promise<void> {
    const isEnough = await this.#show(cells, row.lookup, visit);
    if (!isEnough && cells.count >= PAGE_CELLS) next.push({ rows: new Map([[key, row]]), after: lastPlace(cells) });
  }

  async #show<Lookup>(cells: IndexCells, lookup: Lookup, visit: VisitCells<Lookup>): Promise<boolean> {
    const { count } = cells;
    for (let first = 0; first < count; first += BATCH_CELLS) {
      while (!this.#turns.hasTime()) await this.#turns.nextTurn();
      if (visit(cells.show(first, BATCH_CELLS), lookup)) return true;
    }
    return false;
  }
}

const lastPlace = (cells: IndexCells): Buffer => {
  const last = cells.show(cells.count - 1, 1);
  return Buffer.from(last.bytes.subarray(last.rangeStart(0), last.rangeEnd(0)));
};

interface LookedUp<Lookup> {
  readonly key: Buffer;
  readonly lookup: Lookup;
}

/** By the row's key as latin1 text. */
type RowsByKey<Lookup> = Map<string, LookedUp<Lookup>>;

/** Of a walk: its key as latin1 text. */
interface WalkedRow {
  readonly key: string;
  readonly cells: readonly IndexCell[];
}

/** Lookups that one call can answer: of one table and one range, each of another row. */
interface LookupGroup<Lookup> {
  readonly first: Lookup;
  readonly rows: RowsByKey<Lookup>;
}

/** What is read of rows: after this place. */
interface Page<Lookup> {
  readonly rows: RowsByKey<Lookup>;
  readonly after: Buffer | undefined;
}

function* groupsOf<Lookup extends IndexLookup>(
  layout: BigtableLayout,
  lookups: Iterable<Lookup>,
): Generator<LookupGroup<Lookup>, void> {
  let first: Lookup | undefined;
  let rows: RowsByKey<Lookup> = new Map();
  let keyBytes = 0;
  for (const lookup of lookups) {
    const key = rowKeyOf(layout, lookup.hashValue);
    const text = key.toString('latin1');
    const isFull = rows.size === ROWS_PER_READ || keyBytes > KEY_BYTES_PER_READ;
    if (first && (isFull || !isAlike(first, lookup) || rows.has(text))) {
      yield { first, rows };
      first = undefined;
      rows = new Map();
      keyBytes = 0;
    }
    first ??= lookup;
    rows.set(text, { key, lookup });
    keyBytes += key.length;
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
  after: Buffer | undefined,
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
      ...(after === undefined ? { startQualifierClosed: start } : { startQualifierOpen: after }),
      ...(end.length > 0 ? { endQualifierOpen: end } : {}),
    };
    filters.push({ columnRangeFilter: { familyName: INDEX_FAMILY, ...bounds } });
  }
  // Other writers than Loki and ringlog may have dated their cells: the newest counts.
  filters.push({ cellsPerColumnLimitFilter: 1 }, { cellsPerRowLimitFilter: PAGE_CELLS });
  return { chain: { filters } };
};
