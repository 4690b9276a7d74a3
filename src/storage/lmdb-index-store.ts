import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { open } from 'lmdb';
import { bytesOfText, textOfBytes } from '../protocol/byte-text.ts';
import type { Clock } from '../protocol/clock.ts';
import { RefusedError } from '../protocol/refusal.ts';
import { TurnBudget } from '../protocol/turn-budget.ts';
import { within } from '../protocol/within.ts';
import { bytesAfterPrefix } from './bytes-after-prefix.ts';
import { chunkKeyOfCommit, formatCommit, parseCommit } from './commit-value.ts';
import { IndexCells } from './index-cells.ts';
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
import { type IndexDatabase, KEY_CODEC, VALUE_CODEC } from './lmdb-codec.ts';
import { keyAfter, keyRange, rowKey, rowsOfKeys } from './lmdb-index-key.ts';
import { type Operation, putsOf, removalsOf } from './lmdb-operations.ts';

/** Measured: 256 cells take about 0.3 ms to read and decode. */
const BATCH_CELLS = 256;

/** Chosen: all reads of a store together take less of one turn of the event loop than a push may notice. */
const READ_SLICE_MS = 1;

/** Chosen: queueing this many takes 1 ms of the event loop (measured 0.5 µs an operation), and a commit 15 ms. */
const COMMIT_OPERATIONS = 2_000;

/** Chosen: about 40 MiB of keys and values. */
const WAITING_OPERATIONS_MAX = 100_000;

/** Chosen: a disk that needs longer for one commit is out of order. */
const COMMIT_DEADLINE_MS = 30_000;

/** Of a database that is a folder. */
const DATA_FILE = 'data.mdb';

/** No table's name begins with a zero byte. */
const FORMAT_KEY = Buffer.from('\0format');
const FORMAT = '1';
/** Followed by the segment's name. */
const COMMIT_PREFIX = Buffer.from('\0commit\0');
const COMMITS_END = Buffer.from('\0commit\u0001');

export interface LmdbIndexStoreOptions {
  /** Folder of the database; made if it is not there. Never on a network file system. */
  readonly path: string;
  readonly clock: Clock;
  /** Other processes have it open too. */
  readonly isShared?: boolean;
  /** It must be there; nothing is written to it, and others may. */
  readonly isReadOnly?: boolean;
}

interface Commit {
  /** Keys of the segments' rows, and their names. */
  readonly rows: readonly { readonly key: Buffer; readonly segment: SegmentName }[];
  readonly chunkKey: string;
  readonly shared: ReadonlySet<SegmentName> | undefined;
  /** Those that are in a chunk already, once that is known. */
  committed: ReadonlyMap<SegmentName, string>;
}

interface WaitingWrite {
  readonly operations: readonly Operation[];
  /** Written with the operations, or neither. */
  readonly commit: Commit | undefined;
  readonly resolve: () => void;
  readonly reject: (error: RefusedError) => void;
}

/**
 * Index rows in LMDB. Each write is one transaction or part of one: writes that arrive while a commit runs go into the next together
 * (group commit). A write resolves after fdatasync. Readers see what is committed and never wait for writers.
 */
export class LmdbIndexStore implements IndexStore {
  readonly #database: IndexDatabase;
  readonly #clock: Clock;
  readonly #isShared: boolean;
  readonly #reads: TurnBudget;
  readonly #waiting: WaitingWrite[] = [];
  #waitingOperations = 0;
  #draining: Promise<void> | undefined;
  #isClosed = false;

  private constructor(database: IndexDatabase, clock: Clock, isShared: boolean) {
    this.#database = database;
    this.#clock = clock;
    this.#isShared = isShared;
    this.#reads = new TurnBudget(clock, READ_SLICE_MS);
  }

  /** @throws RefusedError STORAGE_UNAVAILABLE if the folder cannot be used or holds another format */
  static async open(options: LmdbIndexStoreOptions): Promise<LmdbIndexStore> {
    const { path, clock, isReadOnly = false, isShared = false } = options;
    if (isReadOnly && !existsSync(join(path, DATA_FILE))) throw unavailable(`there is no index in ${path}`, undefined);
    let database: IndexDatabase;
    try {
      // With overlappingSync or eventTurnBatching a full disk ends in rejections nobody can catch and a close() that never resolves.
      database = open({
        path,
        noSubdir: false,
        readOnly: isReadOnly,
        keyEncoder: KEY_CODEC,
        encoder: VALUE_CODEC,
        cache: false,
        overlappingSync: false,
        eventTurnBatching: false,
      });
    } catch (error) {
      throw unavailable(`cannot open the index in ${path}`, error);
    }
    const store = new LmdbIndexStore(database, clock, isShared || isReadOnly);
    await store.#checkFormat(path);
    return store;
  }

  async write(entries: readonly IndexEntry[]): Promise<void> {
    await this.#enqueue(putsOf(entries));
  }

  async commit(
    segments: readonly SegmentName[],
    chunkKey: string,
    entries: readonly IndexEntry[],
    shared?: ReadonlySet<SegmentName>,
  ): Promise<ReadonlyMap<SegmentName, string>> {
    const rows = segments.map((segment) => ({ key: commitKeyOf(segment), segment }));
    const commit: Commit = { rows, chunkKey, shared, committed: new Map() };
    await this.#enqueue(putsOf(entries), commit);
    return commit.committed;
  }

  async committed({ segment }: StreamSegment): Promise<string | undefined> {
    this.#seeOthers();
    return this.#guarded(() => chunkKeyOfCommit(this.#database.get(commitKeyOf(segment)) as string | undefined));
  }

  async *commits(): AsyncIterable<SegmentCommit> {
    let start: Buffer = COMMIT_PREFIX;
    this.#seeOthers();
    for (;;) {
      while (!this.#reads.hasTime()) await this.#reads.nextTurn();
      const found = this.#scan(start, COMMITS_END);
      for (const { key, value } of found) {
        const segment = textOfBytes(Buffer.from(key.slice(COMMIT_PREFIX.length), 'latin1'));
        yield { segment, ...parseCommit(value), isUnfinished: false };
      }
      const last = found.at(-1);
      if (!last || found.length < BATCH_CELLS) return;
      start = keyAfter(Buffer.from(last.key, 'latin1'));
    }
  }

  async forget(segments: readonly StreamSegment[]): Promise<void> {
    await this.#enqueue(segments.map(({ segment }) => ({ key: commitKeyOf(segment), value: undefined })));
  }

  /** None: a commit is one transaction. */
  async unsettled(): Promise<ReadonlySet<string>> {
    return new Set();
  }

  async delete(entries: readonly IndexPlace[]): Promise<void> {
    await this.#enqueue(removalsOf(entries));
  }

  async *rows(table: string, rangeEnd: string): AsyncIterable<readonly IndexRow[]> {
    let start: Buffer = Buffer.from(`${table}\0`, 'latin1');
    const end = bytesAfterPrefix(start);
    this.#seeOthers();
    for (;;) {
      while (!this.#reads.hasTime()) await this.#reads.nextTurn();
      const found = this.#scan(start, end);
      const rows = rowsOfKeys(table, found, rangeEnd);
      if (rows.length > 0) yield rows;
      const last = found.at(-1);
      if (!last || found.length < BATCH_CELLS) return;
      start = keyAfter(Buffer.from(last.key, 'latin1'));
    }
  }

  /** One lookup after the other: there is no round trip to hide. */
  async scan<Lookup extends IndexLookup>(lookups: Iterable<Lookup>, visit: VisitCells<Lookup>): Promise<void> {
    this.#seeOthers();
    const cells = new IndexCells();
    for (const lookup of lookups) await this.#scanRow(lookup, visit, cells);
  }

  async #scanRow<Lookup extends IndexLookup>(
    lookup: Lookup,
    visit: VisitCells<Lookup>,
    cells: IndexCells,
  ): Promise<void> {
    const { table, hashValue, rangePrefix = '', rangeStart = '' } = lookup;
    const row = rowKey(table, hashValue);
    let { start, end } = keyRange(row, rangePrefix, rangeStart);
    while (Buffer.compare(start, end) < 0) {
      while (!this.#reads.hasTime()) await this.#reads.nextTurn();
      const found = this.#scan(start, end);
      if (found.length === 0) return;
      cells.clear();
      for (const { key, value } of found) cells.addLatin1(key, row.prefix.length, value, row.valuePrefix.length);
      if (visit(cells, lookup) || found.length < BATCH_CELLS) return;
      start = keyAfter(Buffer.from(found.at(-1)?.key ?? '', 'latin1'));
    }
  }

  async tables(): Promise<readonly string[]> {
    const tables: string[] = [];
    let start = Buffer.of(1);
    this.#seeOthers();
    for (;;) {
      while (!this.#reads.hasTime()) await this.#reads.nextTurn();
      const [first] = this.#guarded(() => [...this.#database.getKeys({ start, limit: 1 })] as string[]);
      if (!first) return tables;
      const table = first.slice(0, first.indexOf('\0'));
      tables.push(table);
      start = Buffer.from(`${table}\u0001`, 'latin1');
    }
  }

  /** Waits for the writes that were accepted. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#draining;
    await this.#withDeadline(this.#database.close());
  }

  /**
   * What is read from now on is no older than this call. Otherwise LMDB reads on, until a timer fires, in the snapshot of the read before: one that
   * does not have yet what another process committed and then said that it has committed.
   */
  #seeOthers(): void {
    if (this.#isShared && !this.#isClosed) this.#database.resetReadTxn();
  }

  async #checkFormat(path: string): Promise<void> {
    const format = this.#database.get(FORMAT_KEY);
    if (format === FORMAT) return;
    if (format === undefined && this.#database.getKeysCount({ limit: 1 }) === 0) {
      await this.#enqueue([{ key: FORMAT_KEY, value: Buffer.from(FORMAT) }]);
      return;
    }
    await this.close();
    const found = format === undefined ? 'something else than an index' : `an index of format ${format}`;
    throw unavailable(`${path} holds ${found}: this version reads format ${FORMAT}`, undefined);
  }

  /** At most BATCH_CELLS of [start, end), within this turn: no cursor outlives it. */
  #scan(start: Buffer, end: Buffer): readonly { key: string; value: string }[] {
    const options = { start, end, limit: BATCH_CELLS };
    return this.#guarded(() => [...this.#database.getRange(options)] as { key: string; value: string }[]);
  }

  #guarded<T>(work: () => T): T {
    if (this.#isClosed) throw unavailable('the index is closed', undefined);
    try {
      return work();
    } catch (error) {
      throw unavailable('cannot read the index', error);
    }
  }

  async #enqueue(operations: readonly Operation[], commit?: Commit): Promise<void> {
    if (this.#isClosed) throw unavailable('the index is closed', undefined);
    if (operations.length === 0 && !commit) return;
    if (this.#waitingOperations + operations.length > WAITING_OPERATIONS_MAX && this.#waiting.length > 0) {
      throw new RefusedError({ code: 'OVERLOADED', text: 'too many index writes are waiting', retryAfterMs: 100 });
    }
    this.#waitingOperations += operations.length;
    const written = new Promise<void>((resolve, reject) => {
      this.#waiting.push({ operations, commit, resolve, reject });
    });
    this.#draining ??= this.#drain();
    await written;
  }

  async #drain(): Promise<void> {
    // Writes of the same turn get into the first commit.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const writes = this.#nextWrites();
      try {
        await this.#withDeadline(this.#isShared ? this.#commitShared(writes) : this.#commit(this.#conditional(writes)));
        for (const write of writes) write.resolve();
      } catch (error) {
        const refused = unavailable('cannot write the index', error);
        for (const write of writes) write.reject(refused);
      }
    }
    this.#draining = undefined;
  }

  /** Takes whole writes, at least one, up to about COMMIT_OPERATIONS. */
  #nextWrites(): readonly WaitingWrite[] {
    let operationCount = 0;
    let end = 0;
    while (end < this.#waiting.length && operationCount < COMMIT_OPERATIONS) {
      operationCount += this.#waiting[end]?.operations.length ?? 0;
      end++;
    }
    this.#waitingOperations -= operationCount;
    return this.#waiting.splice(0, end);
  }

  /**
   * Operations of the writes none of whose segments is committed yet. A process that has the index for itself looks them up before the transaction:
   * its commits run one after the other. Otherwise within it.
   */
  #conditional(writes: readonly WaitingWrite[]): readonly Operation[] {
    const committing = new Map<SegmentName, string>();
    const committedMs = this.#clock.nowMs();
    return writes.flatMap(({ operations, commit }) => {
      if (!commit) return operations;
      const { rows, chunkKey, shared } = commit;
      const committed = new Map<SegmentName, string>();
      for (const { key, segment } of rows) {
        const known = committing.get(segment) ?? chunkKeyOfCommit(this.#database.get(key) as string | undefined);
        if (known !== undefined) committed.set(segment, known);
      }
      commit.committed = committed;
      if (committed.size > 0) return [];
      for (const { segment } of rows) committing.set(segment, chunkKey);
      const noted = rows.map(({ key, segment }) => {
        const value = formatCommit({ chunkKey, committedMs, isShared: shared?.has(segment) ?? false });
        return { key, value: Buffer.from(value, 'latin1') };
      });
      return [...operations, ...noted];
    });
  }

  /** Nobody else writes between the look and the write. Its own transaction within the one of LMDB's thread: all of it or nothing. */
  async #commitShared(writes: readonly WaitingWrite[]): Promise<void> {
    await withCause(this.#database.childTransaction(() => this.#putAll(this.#conditional(writes))));
  }

  async #commit(operations: readonly Operation[]): Promise<void> {
    await withCause(this.#database.batch(() => this.#putAll(operations)));
  }

  #putAll(operations: readonly Operation[]): void {
    for (const { key, value } of operations) {
      const done = value ? this.#database.put(key, value) : this.#database.remove(key);
      // Fails together with the transaction, which is awaited.
      done.catch(ignore);
    }
  }

  #withDeadline<T>(work: Promise<T>): Promise<T> {
    return within(this.#clock, COMMIT_DEADLINE_MS, work, () => new Error(`no answer in ${COMMIT_DEADLINE_MS} ms`));
  }
}

/** "Commit failed": the cause comes as a promise that is rejected later. */
const withCause = async (commit: Promise<unknown>): Promise<void> => {
  try {
    await commit;
  } catch (error) {
    const { commitError } = error as { commitError?: Promise<never> };
    await (commitError ?? Promise.reject(error));
  }
};

const commitKeyOf = (segment: SegmentName): Buffer => Buffer.concat([COMMIT_PREFIX, bytesOfText(segment)]);

const ignore = (): void => {};

const unavailable = (what: string, cause: unknown): RefusedError => {
  const why = cause instanceof Error ? `: ${cause.message}` : '';
  return new RefusedError({ code: 'STORAGE_UNAVAILABLE', text: what + why }, { cause });
};
