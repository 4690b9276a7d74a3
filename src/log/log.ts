/**
 * The write-ahead log of a node: what is acknowledged is here until it is in the chunk store. docs/decisions/0002-the-log.md says how and
 * why, docs/log-format.md what the files look like.
 */
import { type SegmentId, segmentName } from '../chunk/memory-format.ts';
import type { Clock } from '../protocol/clock.ts';
import type { EntryRange } from '../protocol/entry-columns.ts';
import { type Refusal, RefusedError } from '../protocol/refusal.ts';
import { Adoption, type SegmentPart } from './adoption.ts';
import { type AppendRun, planAppend } from './append-record.ts';
import type { PlainRecord } from './batch-buffer.ts';
import { diskFull, segmentClosed } from './commit-state.ts';
import { DiskWatch } from './disk-watch.ts';
import { numberOfFile, type PreviousFile } from './file-header.ts';
import { type CommitFigures, GroupCommit, type GroupCommitDeps, type LogRecord, sizeOfRecord } from './group-commit.ts';
import { HeadFile } from './head-file.ts';
import type { LogFiles } from './log-files.ts';
import type { LogOptions } from './log-options.ts';
import { type Gap, LogReader, prefixOf, withoutFirst } from './log-reader.ts';
import { type LogRecovery, summarize } from './log-recovery.ts';
import { isLittleEndian, RecordType } from './record-format.ts';
import { closeRecovered, type RecoveredFile, recoverLog } from './recover-log.ts';
import { type LogSegment, OFFERED, SegmentTable } from './segment-table.ts';
import { splitRange } from './split-range.ts';
import { encodeOpen, isNodeIdShort, type SegmentHeader } from './state-records.ts';
import { Tidier } from './tidier.ts';

export interface LogDeps extends Pick<GroupCommitDeps, 'committed' | 'cpuWaitShare' | 'holdProcess'> {
  readonly files: LogFiles;
  readonly clock: Clock;
  /** In [0, 1). */
  readonly chance: () => number;
  readonly report: (problem: string, error: unknown) => void;
}

export interface LogFigures extends CommitFigures {
  readonly files: number;
  readonly bytes: number;
  readonly liveBytes: number;
  readonly removedFiles: number;
  readonly compactedFiles: number;
  /** Until no more entries are taken; negative past that. */
  readonly diskBytesLeft: number;
  /** Files that could not be read at the start: what is in them is in no answer. */
  readonly unreadableFiles: number;
}

interface LogParts extends LogDeps {
  readonly table: SegmentTable;
  readonly head: HeadFile;
  readonly commit: GroupCommit;
  readonly reader: LogReader;
  readonly disk: DiskWatch;
  readonly tidier: Tidier;
  readonly recovery: LogRecovery;
  readonly options: LogOptions;
}

/**
 * Opens the log of a folder: reads footers, scans what has none, closes what a crash left open. Entries can be appended at once; what was found is
 * in `recovery` and `segments()`.
 * @throws RefusedError STORAGE_UNAVAILABLE if it is another disk's or a newer version's log; LogFileError if the folder cannot be read
 */
export const openLog = async (deps: LogDeps, options: LogOptions): Promise<Log> => {
  if (!isLittleEndian()) throw unusable('the log needs a little-endian machine');
  const { files, clock, chance, report } = deps;
  const { uid, incarnation, fileSizeMax, sync } = options;
  const table = new SegmentTable(uid);
  const recovered = await recoverLog(files, table, uid);
  await closeRecovered(files, table, recovered, report);
  const salt = Math.floor(chance() * 2 ** 32);
  const firstNumber = 1 + recovered.reduce((max, { name }) => Math.max(max, numberOfFile(name) ?? 0), 0);
  const previous = newestOf(table, recovered);
  const head = new HeadFile(
    { files, table, clock, report },
    { uid, incarnation, salt, fileSizeMax, isSynced: sync === 'fsync', firstNumber, previous },
  );
  const disk = new DiskWatch(files, clock, options.diskUsedMax, options.spaceCheckMs);
  const commit = new GroupCommit({ ...deps, head, table, disk }, { ...options, salt });
  const reader = new LogReader(files);
  const keepsEnds = recovered.some(({ state }) => state === 'unreadable');
  const tidier = new Tidier(
    { files, table, head, commit, reader, report, nowMs: () => clock.nowMs() },
    { ...options, keepsEnds },
  );
  await disk.look();
  return new Log({
    ...deps,
    table,
    head,
    commit,
    reader,
    disk,
    tidier,
    options,
    recovery: summarize(table, recovered),
  });
};

export class Log {
  readonly #parts: LogParts;
  readonly #adoption: Adoption;
  #cancelTidy: () => void;
  #isClosed = false;

  constructor(parts: LogParts) {
    this.#parts = parts;
    this.#adoption = new Adoption(parts.table, {
      append: (segment, runs) => this.#appendRuns(segment, runs),
      adopt: (segment, epoch) => this.#parts.commit.add(segment, pair(RecordType.ADOPT, epoch, 0)),
      take: (segment, runs, epoch, finalCount) => this.takeCustody(segment, epoch, finalCount, runs),
    });
    this.#cancelTidy = this.#tidyLater();
  }

  get recovery(): LogRecovery {
    return this.#parts.recovery;
  }

  get figures(): LogFigures {
    const { table, commit, tidier, disk, recovery } = this.#parts;
    const files = [...table.files.values()];
    return {
      ...commit.figures,
      ...tidier.figures,
      files: files.length,
      bytes: files.reduce((sum, { size }) => sum + size, 0),
      liveBytes: files.reduce((sum, { liveBytes }) => sum + liveBytes, 0),
      diskBytesLeft: disk.bytesLeft,
      unreadableFiles: recovery.files.filter(({ state }) => state === 'unreadable').length,
    };
  }

  /** Why entries are better not offered now: the disk is nearly full, or did not take the last batch. Looks again by itself. */
  get refusal(): Refusal | undefined {
    return this.#parts.disk.refusal;
  }

  /** Unflushed segments that are this node's and durable, at least in part. */
  *segments(): Iterable<LogSegment> {
    for (const segment of this.#parts.table.segments()) if (segment.isUnflushed) yield segment;
  }

  /** How many of them there are. */
  get segmentCount(): number {
    return this.#parts.table.unflushedCount;
  }

  /** undefined if the log has nothing of it. */
  find(id: SegmentId): LogSegment | undefined {
    return this.#parts.table.find(id);
  }

  /** A new segment. Nothing is written before its first entries are. `id` was never used before. */
  open(id: SegmentId, header: SegmentHeader): LogSegment {
    if (!isNodeIdShort(id.nodeId)) throw unusable(`the node id ${id.nodeId} is longer than 255 bytes`);
    const { table } = this.#parts;
    const segment = table.segment(table.writer(id.nodeId, id.incarnation), id.counter, id);
    segment.open = encodeOpen(header);
    return segment;
  }

  /**
   * Resolves once the entries are durable. They are borrowed until then, but copied before this returns when there is room. All that end up in a batch
   * share one promise.
   * @throws RefusedError OVERLOADED: too much waits, or the disk is nearly full; nothing of the range was taken, unless it is larger than
   *   a quarter of a batch. STORAGE_UNAVAILABLE: not written; if `segment.isRefused`, go on in another segment. DEADLINE_EXCEEDED: it may
   *   become durable yet. TOO_LARGE: an entry is larger than a batch
   */
  append(segment: LogSegment, range: EntryRange): Promise<void> {
    const refusal = this.#appendRefusal(segment);
    if (refusal) return Promise.reject(refusal);
    const { commit, options } = this.#parts;
    const plan = planAppend(range);
    if (plan.length <= options.batchSizeMax >> 2) return commit.add(segment, { plan });
    const openSize = segment.open?.length ?? 0;
    const parts = splitRange(plan, options.batchSizeMax >> 2, options.batchSizeMax - openSize - LARGEST_SPARE);
    if (!parts) return Promise.reject(tooLarge());
    return allSettled(parts.map((part) => commit.add(segment, { plan: part })));
  }

  /** It will have `finalCount` entries and no more. */
  seal(segment: LogSegment, finalCount: number): Promise<void> {
    return this.#end(segment, pair(RecordType.SEAL, finalCount, 0));
  }

  /** The same, and from now on another disk may have it too: durable before anything of it is sent. */
  offer(segment: LogSegment, finalCount: number): Promise<void> {
    segment.isOffered = true;
    return this.#end(segment, pair(RecordType.SEAL, finalCount, OFFERED));
  }

  /**
   * Resolves once nothing of the segment is on its way any more: everything is durable, or refused. Nobody may append meanwhile.
   * @returns how many entries are durable
   */
  async settled(segment: LogSegment): Promise<number> {
    const isPending = (): boolean => segment.waiting > 0 || (segment.count < segment.accepted && !segment.isRefused);
    while (isPending()) {
      await this.#parts.commit.drain();
      // Those that wait in line get their turn, or their refusal.
      if (isPending()) await new Promise((resolve) => setImmediate(resolve));
    }
    return segment.count;
  }

  /**
   * The durable entries of a segment in runs, from an index on: what another node needs to adopt it.
   * @throws RefusedError INTERNAL if entries are damaged: it cannot be given away; LogFileError if a file cannot be read
   */
  async *records(segment: LogSegment, from = 0): AsyncGenerator<AppendRun> {
    for await (const run of this.read(segment, (gap) => throwDamaged(segment, gap))) {
      if (run.first + run.count > from) yield run.first >= from ? run : withoutFirst(run, from - run.first);
    }
  }

  /** `records` of several segments, read together. @throws as `records`, for any of them */
  recordsOf(segments: readonly LogSegment[]): Promise<readonly (readonly AppendRun[])[]> {
    return this.#parts.reader.readTogether(segments, throwDamaged);
  }

  /**
   * Takes a part of another disk's segment. What is there already is passed over, what does not begin where that ends is not taken. Nobody's
   * before custody is taken: it is in no answer, and gone after a restart.
   * @returns how many of its first entries are durable here
   * @throws RefusedError as `append`
   */
  adopt(part: SegmentPart): Promise<number> {
    if (!isNodeIdShort(part.id.nodeId)) return Promise.reject(unusable('the node id is longer than 255 bytes'));
    return this.#adoption.take(part);
  }

  /**
   * The last part, and custody with it: see `takeCustody`. `above`: the highest epoch of all nodes that had it before.
   * @returns the epoch under which it is this node's; undefined if it has no `finalCount` entries here yet
   * @throws RefusedError as `append`
   */
  adoptLast(part: SegmentPart, finalCount: number, above: number): Promise<number | undefined> {
    if (!isNodeIdShort(part.id.nodeId)) return Promise.reject(unusable('the node id is longer than 255 bytes'));
    return this.#adoption.takeLast(part, finalCount, above);
  }

  /**
   * An adopted segment is this node's once it resolves, whatever happens then. `epoch`: higher than those of all nodes that had it before. `runs`: its
   * last entries, in the same batch if they are few.
   * @throws RefusedError INTERNAL if entries are missing; or what writing refuses
   */
  async takeCustody(
    segment: LogSegment,
    epoch: number,
    finalCount: number,
    runs: readonly AppendRun[] = [],
  ): Promise<void> {
    const entries = this.#inOneBatch(runs);
    if (!entries) await this.#appendRuns(segment, runs);
    const last = entries && runs.at(-1);
    if ((last ? last.first + last.count : prefixOf(segment)) < finalCount) {
      throw damaged(`segment ${segmentName(segment.id)} is not complete here`);
    }
    const refusal = last && this.#appendRefusal(segment);
    if (refusal) throw refusal;
    segment.pendingEpoch = Math.max(segment.pendingEpoch, epoch);
    const { table } = this.#parts;
    const wasTaking = segment.isTaking;
    table.setTaking(segment, true);
    try {
      const custody = [pair(RecordType.SEAL, finalCount, OFFERED), pair(RecordType.CUSTODY, epoch, finalCount)];
      await (last ? this.#parts.commit.add(segment, ...entries, ...custody) : this.#end(segment, ...custody));
    } catch (error) {
      // Of what may become durable yet everything stays, by an earlier attempt too.
      if (!isUnknownOutcome(error)) table.setTaking(segment, wasTaking);
      throw error;
    }
    table.setTaking(segment, false);
    table.setAdopting(segment, false);
  }

  /** The adoption is given up: what came is freed. */
  giveUpAdoption(segment: LogSegment): void {
    this.#adoption.giveUp(segment);
  }

  /** It will be `released` at this epoch: from now on it is neither this node's nor may it come back, until that is durable. */
  releasing(segment: LogSegment, epoch: number): void {
    segment.releasingEpoch = epoch;
    segment.pendingEpoch = Math.max(segment.pendingEpoch, epoch);
  }

  /** Another node has it, with CUSTODY of this epoch: it is not this one's any more. */
  released(segment: LogSegment, epoch: number): Promise<void> {
    this.releasing(segment, epoch);
    return this.#end(segment, pair(RecordType.RELEASED, segment.count, epoch));
  }

  /** Its first `count` entries are in a committed chunk; all there will ever be if `isComplete`. The space is freed in time. */
  flushed(segment: LogSegment, count: number, isComplete: boolean): Promise<void> {
    return this.#end(segment, pair(RecordType.FLUSHED, count, isComplete ? 1 : 0));
  }

  /** Nobody needs it any more, flushed or not. */
  drop(segment: LogSegment): Promise<void> {
    return this.#end(segment, pair(RecordType.DROP, 0, 0));
  }

  /** Its files stay, flushed or not, until the returned function is called. */
  pin(segment: LogSegment): () => void {
    const files = segment.places.map(({ file }) => file);
    for (const file of files) file.pins += 1;
    return () => {
      for (const file of files) file.pins -= 1;
    };
  }

  /** See LogReader.read. */
  read(segment: LogSegment, onGap: (gap: Gap) => void): AsyncGenerator<AppendRun> {
    return this.#parts.reader.read(segment, onGap);
  }

  /** Frees what can be freed, now instead of at the next period. */
  async tidy(): Promise<void> {
    await this.#parts.tidier.tidy();
  }

  /** Waits for what was added, ends the head with a footer. Nothing may be added any more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelTidy();
    const { tidier, commit, head, reader, disk, files } = this.#parts;
    await tidier.settled();
    await disk.stop();
    await commit.idle();
    await head.close();
    await reader.close();
    await files.close();
  }

  #appendRefusal(segment: LogSegment): RefusedError | undefined {
    if (this.#isClosed) return unusable('the log is closed');
    if (segment.isRefused) return new RefusedError(segmentClosed());
    return this.#parts.disk.isFull ? new RefusedError(diskFull()) : undefined;
  }

  /** Runs of another log, which do not belong into a batch together if they are many or long. @throws as `append` */
  async #appendRuns(segment: LogSegment, runs: readonly AppendRun[]): Promise<void> {
    const [first] = runs;
    if (!first) return;
    const entries = this.#inOneBatch(runs);
    if (entries) await this.#appendRecords(segment, entries);
    else if (runs.length > 1) for (const run of runs) await this.#appendRuns(segment, [run]);
    else await this.append(segment, { columns: first.columns, first: 0, end: first.count });
  }

  async #appendRecords(segment: LogSegment, records: readonly LogRecord[]): Promise<void> {
    const refusal = this.#appendRefusal(segment);
    if (refusal) throw refusal;
    await this.#parts.commit.add(segment, ...records);
  }

  /** Records of other logs are copied as they are. undefined if they are too much for a batch. */
  #inOneBatch(runs: readonly AppendRun[]): readonly LogRecord[] | undefined {
    const records = runs.map(recordOf);
    const size = records.reduce((sum, record) => sum + sizeOfRecord(record), 0);
    return size <= this.#parts.options.batchSizeMax >> 2 ? records : undefined;
  }

  #end(segment: LogSegment, ...records: readonly PlainRecord[]): Promise<void> {
    if (this.#isClosed) return Promise.reject(unusable('the log is closed'));
    // Of what never got into the log there is nothing to say. Something did where an attempt of which nobody waited for the end became durable after another had begun.
    if (segment.accepted === 0 && segment.waiting === 0 && segment.places.length === 0) {
      this.#parts.table.forgetUnwritten(segment);
      return Promise.resolve();
    }
    return this.#parts.commit.add(segment, ...records);
  }

  #tidyLater(): () => void {
    const { clock, tidier, options } = this.#parts;
    return clock.after(options.tidyPeriodMs, () => {
      void tidier.tidy().then(() => {
        if (!this.#isClosed) this.#cancelTidy = this.#tidyLater();
      });
    });
  }
}

/** Nothing is said of what comes before if a file of it cannot be read: what the next one does not name is taken for unfinished. */
const newestOf = ({ files }: SegmentTable, recovered: readonly RecoveredFile[]): PreviousFile | undefined => {
  const newest = files.get(Math.max(0, ...files.keys()));
  const number = newest?.number ?? 0;
  const isKnown = recovered.every(({ state, name }) => state !== 'unreadable' || (numberOfFile(name) ?? 0) < number);
  return isKnown ? { number, size: newest?.end ?? 0 } : undefined;
};

/** One that failed does not end it: the others still borrow the range. */
const allSettled = async (parts: readonly Promise<void>[]): Promise<void> => {
  for (const outcome of await Promise.allSettled(parts)) if (outcome.status === 'rejected') throw outcome.reason;
};

/** The record of the other log if there is one. */
const recordOf = (run: AppendRun): LogRecord => {
  const { payload, first, count, bounds } = run;
  if (payload) return { entries: { type: RecordType.APPEND, payload, first, count, bounds } };
  // Not before: reading them is what the record spares.
  return { plan: planAppend({ columns: run.columns, first: 0, end: count }) };
};

/** A record of two numbers: see `readPair`. */
const pair = (type: number, first: number, count: number): PlainRecord => ({
  type,
  payload: new Uint8Array(Uint32Array.of(first, count).buffer),
  first,
  count,
});

const isUnknownOutcome = (error: unknown): boolean =>
  error instanceof RefusedError && error.refusal.code === 'DEADLINE_EXCEEDED';

/** Headers and padding of an OPEN and an APPEND record. */
const LARGEST_SPARE = 128;

const unusable = (text: string): RefusedError => new RefusedError({ code: 'STORAGE_UNAVAILABLE', text });

const throwDamaged = ({ id }: LogSegment, { first, end }: Gap): never => {
  throw damaged(`entries ${first} to ${end - 1} of segment ${segmentName(id)} are damaged`);
};

const damaged = (text: string): RefusedError => new RefusedError({ code: 'INTERNAL', text });

const tooLarge = (): RefusedError =>
  new RefusedError({ code: 'TOO_LARGE', text: 'an entry is larger than the log takes in one piece' });
