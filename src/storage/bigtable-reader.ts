import type { google } from '@google-cloud/bigtable/build/protos/protos.js';
import { bytesOfText } from '../protocol/byte-text.ts';
import { forEachConcurrent } from '../protocol/for-each-concurrent.ts';
import { TurnBudget } from '../protocol/turn-budget.ts';
import { RowDecoder } from './bigtable-row-decoder.ts';
import { type BigtableLayout, INDEX_FAMILY, rowKeyOf } from './bigtable-row-key.ts';
import type { BigtableRpc, ReadRequest } from './bigtable-rpc.ts';
import { BigtableError, bigtableRetries, isNoTable, isTransient, refusalOf } from './bigtable-status.ts';
import { bytesAfterPrefix } from './bytes-after-prefix.ts';
import type { IndexCells } from './index-cells.ts';
import type { IndexLookup, VisitCells } from './index-store.ts';
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
      const failure = await this.#tryPage(first.table, { rows: { rowKeys }, filter }, rows, visit, next);
      // If only the end of the answer was lost nothing is left to ask for: Bigtable takes no keys for all keys.
      if (!failure || rows.size === 0) return;
      if (isNoTable(failure) && (await this.#deps.isFound())) return;
      if (rows.size < missing) budget.progressed();
      if (!isTransient(failure) || !(await budget.wait())) throw refusalOf('cannot read the index', failure);
    }
  }

  /** Takes the rows that come out of `rows`. @returns why not all of them came */
  async #tryPage<Lookup extends IndexLookup>(
    table: string,
    request: ReadRequest,
    rows: RowsByKey<Lookup>,
    visit: VisitCells<Lookup>,
    next: Page<Lookup>[],
  ): Promise<BigtableError | undefined> {
    const decoder = new RowDecoder();
    try {
      for await (const messages of this.#deps.rpc.readRows(table, request, MESSAGE_TIMEOUT_MS)) {
        for (const message of messages) {
          decoder.feed(message);
          await this.#showRows(decoder, rows, visit, next);
        }
      }
      return undefined;
    } catch (error) {
      if (error instanceof BigtableError) return error;
      throw error;
    }
  }

  async #showRows<Lookup>(
    decoder: RowDecoder,
    rows: RowsByKey<Lookup>,
    visit: VisitCells<Lookup>,
    next: Page<Lookup>[],
  ): Promise<void> {
    while (!decoder.isTaken) {
      while (!this.#turns.hasTime()) await this.#turns.nextTurn();
      if (!decoder.take(DECODED_TOGETHER)) continue;
      const { key, cells } = decoder;
      const row = rows.get(key);
      if (!row) continue;
      rows.delete(key);
      const { count } = cells;
      // Most rows are short: no promise for each of them.
      const isEnough = count <= BATCH_CELLS ? visit(cells, row.lookup) : await this.#show(cells, row.lookup, visit);
      if (!isEnough && count >= PAGE_CELLS) next.push({ rows: new Map([[key, row]]), after: lastPlace(cells) });
    }
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

/** By the row's key as latin1 text. */
type RowsByKey<Lookup> = Map<string, { readonly key: Buffer; readonly lookup: Lookup }>;

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
