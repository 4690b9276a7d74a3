/**
 * Which segments are in which chunk: one row a stream in a table of ringlog's own, so that commits of one stream exclude each other.
 *
 *   row  hashed key of `tenant/fingerprint`     c:<segment>  =  chunk key, time (commit-value.ts), one for each segment of the chunk
 *                                               r:<segment>  =  chunk key 00 | layout 00 | its index entries as JSON, until they are all written
 *
 * Why this loses nothing and doubles nothing: docs/decisions/0005-bigtable-commits.md.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { google } from '@google-cloud/bigtable/build/protos/protos.js';
import { bytesOfText } from '../protocol/byte-text.ts';
import { compareBytes } from '../protocol/label-text.ts';
import { RetryBudget, type RetryDeps } from './bigtable-retry.ts';
import { type DecodedRow, RowDecoder } from './bigtable-row-decoder.ts';
import { BIGTABLE_LAYOUTS, type BigtableLayout, rowKeyOf } from './bigtable-row-key.ts';
import type { BigtableRpc, ReadRequest } from './bigtable-rpc.ts';
import { BigtableError, bigtableErrorOf, isNoTable, isTransient, refusalOf } from './bigtable-status.ts';
import type { CellMutation } from './bigtable-writer.ts';
import { BoundedMap } from './bounded-map.ts';
import { streamOfChunkKey } from './chunk-key.ts';
import { chunkKeyOfCommit, formatCommit, parseCommit } from './commit-value.ts';
import type { IndexEntry, SegmentCommit, SegmentName, StreamName, StreamSegment } from './index-store.ts';
import { COMMIT_TABLE } from './own-tables.ts';

type RowFilter = google.bigtable.v2.IRowFilter;

const COMMIT_FAMILY = 'c';
const REDO_FAMILY = 'r';
export const COMMIT_FAMILIES: readonly string[] = [COMMIT_FAMILY, REDO_FAMILY];

/** Measured: a cell takes about 0.7 µs to decode. */
const CHUNKS_A_TURN = 1_000;

/** Chosen: a filter may have 20 KB, and a name takes 130 bytes of it. More are told by the ranges between the others of the row. */
const NAMED_SEGMENTS_MAX = 50;

/** Chosen: a segment is forgotten seconds after its commit; what is pushed out costs a look. */
const TOLD_MAX = 100_000;
/** Chosen: of a kilobyte at most each. */
const ROWS_A_READ = 200;

/** Chosen: ten times what a step of a commit may take. */
const SETTLED_MS = 600_000;

const LATEST: RowFilter = { cellsPerColumnLimitFilter: 1 };

const CALL_TIMEOUT_MS = 10_000;
/** Chosen: of one step with all its tries. */
const STEP_TIMEOUT_MS = 30_000;

export interface BigtableCommitsDeps extends RetryDeps {
  readonly rpc: BigtableRpc;
  readonly write: (mutations: readonly CellMutation[]) => Promise<void>;
  readonly layout: BigtableLayout;
  readonly writeEntries: (layout: BigtableLayout, entries: readonly IndexEntry[]) => Promise<void>;
  /** @throws RefusedError */
  readonly createTable: () => Promise<void>;
}

interface Commit {
  readonly segments: readonly SegmentName[];
  readonly chunkKey: string;
  readonly entries: readonly IndexEntry[];
  readonly shared: ReadonlySet<SegmentName> | undefined;
}

interface Cell {
  readonly family: string;
  readonly qualifier: string;
  readonly value: string;
}

/** As the calls of IndexStore that have the same names. */
export class BigtableCommits {
  readonly #deps: BigtableCommitsDeps;
  readonly #tidying = new Set<Promise<void>>();
  /** Segments of chunks all of whose rows are durable, as far as this process said so lately: forgetting them needs no look. */
  readonly #told = new BoundedMap<SegmentName, true>(TOLD_MAX);

  constructor(deps: BigtableCommitsDeps) {
    this.#deps = deps;
  }

  async commit(commit: Commit): Promise<ReadonlyMap<SegmentName, string>> {
    const { segments, chunkKey, entries } = commit;
    const stream = streamOfChunkKey(chunkKey);
    const rowKey = rowKeyOfStream(stream);
    const falseMutations = this.#mutationsOf(commit);
    const budget = new RetryBudget(this.#deps, STEP_TIMEOUT_MS);
    for (;;) {
      const predicateFilter = await this.#anyOf(rowKey, segments);
      const request = { rowKey, predicateFilter, falseMutations };
      // An attempt whose answer was lost may have come through: then this one finds its own commit.
      const isAnyThere = await this.#call(budget, (rpc, timeoutMs) =>
        rpc.checkAndMutateRow(COMMIT_TABLE, request, timeoutMs),
      );
      if (!isAnyThere) {
        await this.#finish(rowKey, segments[0] ?? '', { layout: this.#deps.layout, entries });
        for (const segment of segments) this.#told.set(segment, true);
        return NONE;
      }
      const known = await this.#find(stream, segments);
      if (known.size > 0) return known;
      // They were forgotten between the two calls.
      if (!(await budget.wait()))
        throw refusalOf('cannot commit', bigtableErrorOf(new Error('others keep committing')));
    }
  }

  async committed({ stream, segment }: StreamSegment): Promise<string | undefined> {
    return (await this.#find(stream, [segment])).get(segment);
  }

  async *commits(): AsyncIterable<SegmentCommit> {
    const filter = { chain: { filters: [{ familyNameRegexFilter: COMMIT_FAMILY }, { cellsPerColumnLimitFilter: 1 }] } };
    const budget = new RetryBudget(this.#deps, Number.POSITIVE_INFINITY);
    let last: Buffer | undefined;
    for (;;) {
      const rows = last ? { rows: { rowRanges: [{ startKeyOpen: last }] } } : {};
      try {
        for await (const { key, cells } of this.#rows({ ...rows, filter })) {
          for (const { qualifier, value } of cells) {
            const { committedMs, isShared } = parseCommit(value);
            yield { stream: streamOfRowKey(key), segment: qualifier, committedMs, isShared };
          }
          last = Buffer.from(key, 'latin1');
          budget.progressed();
        }
        return;
      } catch (error) {
        const failure = bigtableErrorOf(error);
        if (isNoTable(failure)) return;
        if (!isTransient(failure) || !(await budget.wait())) throw refusalOf('cannot read the commits', failure);
      }
    }
  }

  /**
   * What is left of a commit is written here. Somebody else may be writing the same in this moment, so a chunk of a commit that had something left, or was made
   * lately, stays unsettled for now.
   */
  async unsettled(chunkKeys: readonly string[]): Promise<ReadonlySet<string>> {
    const asked = new Set(chunkKeys);
    const streams = [...new Set(chunkKeys.map(streamOfChunkKey))].filter((stream) => stream !== '');
    const settledMs = this.#deps.clock.nowMs() - SETTLED_MS;
    const unsettled = new Set<string>();
    for (let first = 0; first < streams.length; first += ROWS_A_READ) {
      const rows = await this.#rowsOf(streams.slice(first, first + ROWS_A_READ), LATEST);
      for (const { key, cells } of rows) {
        for (const { family, qualifier, value } of cells) {
          const chunkKey = chunkKeyOfCommit(value);
          if (!asked.has(chunkKey)) continue;
          if (family === REDO_FAMILY) await this.#finish(Buffer.from(key, 'latin1'), qualifier, parseRedo(value));
          if (family === REDO_FAMILY || parseCommit(value).committedMs > settledMs) unsettled.add(chunkKey);
        }
      }
    }
    return unsettled;
  }

  async forget(segments: readonly StreamSegment[]): Promise<void> {
    // Who forgets by age was told nothing, and the chunk may have segments that are not forgotten yet.
    const untold = segments.filter(({ segment }) => !this.#told.get(segment));
    const streams = [...new Set(untold.map(({ stream }) => stream))];
    for (let first = 0; first < streams.length; first += ROWS_A_READ) {
      await this.#finishAll(streams.slice(first, first + ROWS_A_READ));
    }
    await this.#deps.write(
      segments.flatMap(({ stream, segment }) => {
        const rowKey = rowKeyOfStream(stream);
        return COMMIT_FAMILIES.map((family) => cell(rowKey, family, segment, undefined));
      }),
    );
  }

  /** All that is left to write of commits of these streams. */
  async #finishAll(streams: readonly StreamName[]): Promise<void> {
    const found = await this.#rowsOf(streams, { chain: { filters: [{ familyNameRegexFilter: REDO_FAMILY }, LATEST] } });
    for (const { key, cells } of found) {
      for (const { qualifier, value } of cells)
        await this.#finish(Buffer.from(key, 'latin1'), qualifier, parseRedo(value));
    }
  }

  async #rowsOf(streams: readonly StreamName[], filter: RowFilter): Promise<readonly DecodedRow<Cell>[]> {
    const rowKeys = streams.map(rowKeyOfStream);
    return await this.#call(new RetryBudget(this.#deps, STEP_TIMEOUT_MS), async () => {
      const rows: DecodedRow<Cell>[] = [];
      for await (const row of this.#rows({ rows: { rowKeys }, filter })) rows.push(row);
      return rows;
    });
  }

  /** Waits for what nobody else waits for. */
  async close(): Promise<void> {
    await Promise.all(this.#tidying);
  }

  /** True for a row where any of the segments is committed, now or when the mutation is done. */
  async #anyOf(rowKey: Buffer, segments: readonly SegmentName[]): Promise<RowFilter> {
    if (segments.length <= NAMED_SEGMENTS_MAX) return interleave(segments.map(commitColumn));
    const wanted = new Set(segments);
    const cells = await this.#cellsOf(rowKey, segments);
    const others = cells.filter(({ family, qualifier }) => family === COMMIT_FAMILY && !wanted.has(qualifier));
    return interleave(
      rangesBetween(
        segments,
        others.map(({ qualifier }) => qualifier),
      ).map(commitRange),
    );
  }

  /** Those of the segments that are committed, once the entries of their chunks are durable. */
  async #find(stream: StreamName, segments: readonly SegmentName[]): Promise<ReadonlyMap<SegmentName, string>> {
    const rowKey = rowKeyOfStream(stream);
    const cells = await this.#cellsOf(rowKey, segments);
    const wanted = new Set(segments);
    const known = new Map<SegmentName, string>();
    for (const { family, qualifier, value } of cells) {
      if (family === COMMIT_FAMILY && wanted.has(qualifier)) known.set(qualifier, chunkKeyOfCommit(value));
    }
    const chunkKeys = new Set(known.values());
    for (const { family, qualifier, value } of cells) {
      if (family !== REDO_FAMILY) continue;
      const redo = parseRedo(value);
      if (chunkKeys.has(redo.chunkKey)) await this.#finish(rowKey, qualifier, redo);
    }
    for (const segment of known.keys()) this.#told.set(segment, true);
    return known;
  }

  /** The second step of a commit, and the third, which nobody needs to wait for: repeating the second one changes nothing. */
  async #finish(rowKey: Buffer, segment: SegmentName, { layout, entries }: Redo): Promise<void> {
    await this.#deps.writeEntries(layout, entries);
    const tidying = this.#deps
      .write([cell(rowKey, REDO_FAMILY, segment, undefined)])
      .catch(ignore)
      .finally(() => this.#tidying.delete(tidying));
    this.#tidying.add(tidying);
  }

  /** Of some segments, and what is left to write; or of all that the row has. */
  async #cellsOf(rowKey: Buffer, segments: readonly SegmentName[]): Promise<readonly Cell[]> {
    const columns = [...segments.map(commitColumn), { familyNameRegexFilter: REDO_FAMILY }];
    const latest = { cellsPerColumnLimitFilter: 1 };
    const filter =
      segments.length <= NAMED_SEGMENTS_MAX ? { chain: { filters: [interleave(columns), latest] } } : latest;
    const budget = new RetryBudget(this.#deps, STEP_TIMEOUT_MS);
    return await this.#call(budget, async () => {
      const found: Cell[] = [];
      for await (const { cells } of this.#rows({ rows: { rowKeys: [rowKey] }, filter })) found.push(...cells);
      return found;
    });
  }

  async *#rows(request: ReadRequest) {
    const decoder = new RowDecoder<Cell>((family, qualifier, value) => ({ family, qualifier, value }));
    for await (const messages of this.#deps.rpc.readRows(COMMIT_TABLE, request, CALL_TIMEOUT_MS)) {
      for (const message of messages) {
        decoder.feed(message);
        while (!decoder.isTaken) {
          const rows: DecodedRow<Cell>[] = [];
          decoder.take(CHUNKS_A_TURN, rows);
          yield* rows;
          if (!decoder.isTaken) await nextTurn();
        }
      }
    }
  }

  /** @throws RefusedError when the budget is used up, or at once for what no other try changes */
  async #call<T>(budget: RetryBudget, call: (rpc: BigtableRpc, timeoutMs: number) => Promise<T>): Promise<T> {
    for (;;) {
      let failure: BigtableError;
      try {
        return await call(this.#deps.rpc, Math.min(CALL_TIMEOUT_MS, budget.leftMs));
      } catch (error) {
        failure = bigtableErrorOf(error);
      }
      const mayPass = isTransient(failure) || isNoTable(failure);
      if (!mayPass || !(await budget.wait())) throw refusalOf('cannot commit', failure);
      if (isNoTable(failure)) await this.#deps.createTable();
    }
  }

  #mutationsOf({ segments, chunkKey, entries, shared }: Commit): google.bigtable.v2.IMutation[] {
    const committedMs = this.#deps.clock.nowMs();
    const commits = segments.map((segment) => {
      const value = formatCommit({ chunkKey, committedMs, isShared: shared?.has(segment) ?? false });
      return setCell(COMMIT_FAMILY, segment, value);
    });
    return [
      ...commits,
      setCell(REDO_FAMILY, segments[0] ?? '', formatRedo(chunkKey, { layout: this.#deps.layout, entries })),
    ];
  }
}

const NONE: ReadonlyMap<SegmentName, string> = new Map();

/** Streams of one tenant spread over the table. */
const rowKeyOfStream = (stream: StreamName): Buffer => rowKeyOf('bigtable-hashed', stream);

const streamOfRowKey = (key: string): StreamName => {
  const stream = Buffer.from(key.slice(key.indexOf('-') + 1), 'latin1');
  return stream.toString();
};

/** What is left to write of a commit. Whoever finds it may write rows in another layout. */
interface Redo {
  readonly layout: BigtableLayout;
  readonly entries: readonly IndexEntry[];
}

const formatRedo = (chunkKey: string, { layout, entries }: Redo): string =>
  `${chunkKey}\0${layout}\0${JSON.stringify(entries)}`;

const parseRedo = (value: string): Redo & { readonly chunkKey: string } => {
  const [chunkKey = '', layoutName] = value.split('\0', 2);
  const layout = BIGTABLE_LAYOUTS.find((known) => known === layoutName);
  if (!layout) throw new BigtableError(DATA_LOSS, `the commit of ${chunkKey} names no layout`);
  return { chunkKey, layout, entries: JSON.parse(value.slice(chunkKey.length + layout.length + 2)) };
};

const DATA_LOSS = 15;

const setCell = (familyName: string, qualifier: string, value: string) => ({
  setCell: {
    familyName,
    columnQualifier: bytesOfText(qualifier),
    timestampMicros: 0,
    value: bytesOfText(value),
  },
});

const cell = (rowKey: Buffer, family: string, qualifier: string, value: Buffer | undefined): CellMutation => ({
  table: COMMIT_TABLE,
  rowKey,
  family,
  qualifier: bytesOfText(qualifier),
  value,
});

const commitColumn = (segment: SegmentName): RowFilter => commitRange([segment, segment]);

const commitRange = ([first, last]: readonly [SegmentName, SegmentName]): RowFilter => ({
  columnRangeFilter: {
    familyName: COMMIT_FAMILY,
    startQualifierClosed: bytesOfText(first),
    endQualifierClosed: bytesOfText(last),
  },
});

/** Ranges that hold all the segments and none of the others. */
const rangesBetween = (
  segments: readonly SegmentName[],
  others: readonly SegmentName[],
): readonly (readonly [SegmentName, SegmentName])[] => {
  const excluded = new Set(others);
  const ranges: [SegmentName, SegmentName][] = [];
  let isOpen = false;
  for (const name of [...segments, ...others].sort(compareBytes)) {
    const current = ranges.at(-1);
    if (excluded.has(name)) isOpen = false;
    else if (isOpen && current) current[1] = name;
    else {
      ranges.push([name, name]);
      isOpen = true;
    }
  }
  return ranges;
};

/** Bigtable takes two or more for that. */
const interleave = (filters: readonly RowFilter[]): RowFilter => {
  const [first, second] = filters;
  return first && !second ? first : { interleave: { filters: [...filters] } };
};

const ignore = (): void => {};
