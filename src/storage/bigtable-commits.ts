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
import { RefusedError } from '../protocol/refusal.ts';
import { RowDecoder } from './bigtable-row-decoder.ts';
import { type BigtableLayout, rowKeyOf } from './bigtable-row-key.ts';
import type { BigtableRpc, ReadRequest } from './bigtable-rpc.ts';
import {
  type BigtableError,
  bigtableErrorOf,
  bigtableRetries,
  isNoTable,
  isTransient,
  refusalOf,
} from './bigtable-status.ts';
import type { CellMutation } from './bigtable-writer.ts';
import { BoundedMap } from './bounded-map.ts';
import { streamOfChunkKey } from './chunk-key.ts';
import { COMMIT_FAMILY, commitsOf, interleave } from './commit-filter.ts';
import { chunkKeyOfRedo, formatRedo, parseRedo, type Redo, readableRedo } from './commit-redo.ts';
import { chunkKeyOfCommit, formatCommit, parseCommit } from './commit-value.ts';
import type { IndexEntry, SegmentCommit, SegmentName, StreamName, StreamSegment } from './index-store.ts';
import { COMMIT_TABLE } from './own-tables.ts';
import type { RetryBudget, RetryDeps } from './retry-budget.ts';

type RowFilter = google.bigtable.v2.IRowFilter;

const REDO_FAMILY = 'r';
export const COMMIT_FAMILIES: readonly string[] = [COMMIT_FAMILY, REDO_FAMILY];

/** Measured: a cell takes about 0.7 µs to decode. */
const CHUNKS_A_TURN = 1_000;

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
  readonly report: (problem: string, error: unknown) => void;
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

interface Row {
  /** Its bytes as latin1 text. */
  readonly key: string;
  readonly cells: readonly Cell[];
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
    const request = { rowKey, predicateFilter: commitsOf(segments), falseMutations };
    const budget = bigtableRetries(this.#deps, STEP_TIMEOUT_MS);
    for (;;) {
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

  /** False if Bigtable does not find a table that is there: then what it does not find is the app profile. */
  async isFound(table: string): Promise<boolean> {
    const budget = bigtableRetries(this.#deps, STEP_TIMEOUT_MS);
    for (;;) {
      try {
        for await (const _ of this.#rows({ rows: { rowKeys: [Buffer.of(0)] } }, table)) return true;
        return true;
      } catch (error) {
        const failure = bigtableErrorOf(error);
        if (isNoTable(failure)) return false;
        if (!isTransient(failure) || !(await budget.wait())) throw refusalOf('cannot read the commits', failure);
      }
    }
  }

  async committed({ stream, segment }: StreamSegment): Promise<string | undefined> {
    return (await this.#find(stream, [segment])).get(segment);
  }

  async *commits(): AsyncIterable<SegmentCommit> {
    const budget = bigtableRetries(this.#deps, Number.POSITIVE_INFINITY);
    let last: Buffer | undefined;
    for (;;) {
      const rows = last ? { rows: { rowRanges: [{ startKeyOpen: last }] } } : {};
      try {
        for await (const row of this.#rows({ ...rows, filter: LATEST })) {
          yield* commitsIn(row);
          last = Buffer.from(row.key, 'latin1');
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
          if (family === REDO_FAMILY) await this.#finishIfReadable(Buffer.from(key, 'latin1'), qualifier, value);
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
    const unfinished = new Set<StreamName>();
    for (let first = 0; first < streams.length; first += ROWS_A_READ) {
      for (const stream of await this.#finishAll(streams.slice(first, first + ROWS_A_READ))) unfinished.add(stream);
    }
    const isKept = ({ stream, segment }: StreamSegment): boolean => unfinished.has(stream) && !this.#told.get(segment);
    const forgotten = segments.filter((segment) => !isKept(segment));
    await this.#deps.write(
      forgotten.flatMap(({ stream, segment }) => {
        const rowKey = rowKeyOfStream(stream);
        return COMMIT_FAMILIES.map((family) => cell(rowKey, family, segment, undefined));
      }),
    );
  }

  /** Writes all that is left of commits of these streams. @returns those where something cannot be read */
  async #finishAll(streams: readonly StreamName[]): Promise<ReadonlySet<StreamName>> {
    const found = await this.#rowsOf(streams, { chain: { filters: [{ familyNameRegexFilter: REDO_FAMILY }, LATEST] } });
    const unfinished = new Set<StreamName>();
    for (const { key, cells } of found) {
      for (const { qualifier, value } of cells) {
        const isFinished = await this.#finishIfReadable(Buffer.from(key, 'latin1'), qualifier, value);
        if (!isFinished) unfinished.add(streamOfRowKey(key));
      }
    }
    return unfinished;
  }

  /** @returns false if what is left to write cannot be read: the commit is kept */
  async #finishIfReadable(rowKey: Buffer, segment: SegmentName, value: string): Promise<boolean> {
    const redo = readableRedo(value);
    if (redo instanceof RefusedError) {
      this.#deps.report('a commit is kept: what is left to write of it cannot be read', redo);
      return false;
    }
    await this.#finish(rowKey, segment, redo);
    return true;
  }

  async #rowsOf(streams: readonly StreamName[], filter: RowFilter): Promise<readonly Row[]> {
    const rowKeys = streams.map(rowKeyOfStream);
    return await this.#call(bigtableRetries(this.#deps, STEP_TIMEOUT_MS), async () => {
      const rows: Row[] = [];
      for await (const row of this.#rows({ rows: { rowKeys }, filter })) rows.push(row);
      return rows;
    });
  }

  /** Waits for what nobody else waits for. */
  async close(): Promise<void> {
    await Promise.all(this.#tidying);
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
      // One of another chunk is nobody's business here, readable or not.
      if (!chunkKeys.has(chunkKeyOfRedo(value)) && !known.has(qualifier)) continue;
      await this.#finish(rowKey, qualifier, parseRedo(value));
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

  /** Of these segments, and what is left to write. */
  async #cellsOf(rowKey: Buffer, segments: readonly SegmentName[]): Promise<readonly Cell[]> {
    const columns = interleave([commitsOf(segments), { familyNameRegexFilter: REDO_FAMILY }]);
    const filter = { chain: { filters: [columns, { cellsPerColumnLimitFilter: 1 }] } };
    const budget = bigtableRetries(this.#deps, STEP_TIMEOUT_MS);
    return await this.#call(budget, async () => {
      const found: Cell[] = [];
      for await (const { cells } of this.#rows({ rows: { rowKeys: [rowKey] }, filter })) found.push(...cells);
      return found;
    });
  }

  async *#rows(request: ReadRequest, table: string = COMMIT_TABLE): AsyncIterable<Row> {
    const decoder = new RowDecoder();
    for await (const messages of this.#deps.rpc.readRows(table, request, CALL_TIMEOUT_MS, true)) {
      for (const message of messages) {
        decoder.feed(message);
        while (!decoder.isTaken) {
          if (decoder.take(CHUNKS_A_TURN)) yield rowOf(decoder);
          else if (!decoder.isTaken) await nextTurn();
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

const rowOf = (decoder: RowDecoder): Row => {
  const { key, cells } = decoder;
  const found = Array.from(cells, ({ rangeValue: qualifier, value }, index) => {
    return { family: decoder.familyOf(index), qualifier, value };
  });
  return { key, cells: found };
};

const commitsIn = ({ key, cells }: Row): readonly SegmentCommit[] => {
  const left = cells.filter(({ family }) => family === REDO_FAMILY);
  const unfinished = new Set(left.map(({ value }) => chunkKeyOfRedo(value)));
  const stream = streamOfRowKey(key);
  return cells.flatMap(({ family, qualifier: segment, value }) => {
    if (family !== COMMIT_FAMILY) return [];
    const { chunkKey, committedMs, isShared } = parseCommit(value);
    return [{ stream, segment, chunkKey, committedMs, isShared, isUnfinished: unfinished.has(chunkKey) }];
  });
};

/** Streams of one tenant spread over the table. */
const rowKeyOfStream = (stream: StreamName): Buffer => rowKeyOf('bigtable-hashed', stream);

const streamOfRowKey = (key: string): StreamName => {
  const stream = Buffer.from(key.slice(key.indexOf('-') + 1), 'latin1');
  return stream.toString();
};

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

const ignore = (): void => {};
