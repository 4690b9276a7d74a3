/**
 * Group commit: records are copied into one half of a double buffer while the other is on its way to the disk.
 *
 *   add ──► open half ──(nothing in flight, no rest)──► closed ──► write + sync ──► its promise settles, its records enter the table
 *            └ full: wait in line, with a deadline
 */
import type { Clock } from '../protocol/clock.ts';
import { RefusedError } from '../protocol/refusal.ts';
import type { AppendPlan } from './append-record.ts';
import { BatchBuffer, type BatchRecord, type PlainRecord, sizeInBatch } from './batch-buffer.ts';
import { noRoom, notWritten, segmentClosed } from './commit-state.ts';
import type { DiskWatch } from './disk-watch.ts';
import type { HeadFile } from './head-file.ts';
import { paddedSize, RecordType } from './record-format.ts';
import type { LogSegment, SegmentTable } from './segment-table.ts';

export interface GroupCommitOptions {
  readonly salt: number;
  /** Bytes of each half. */
  readonly batchSizeMax: number;
  /** Records that may wait for room in the halves. */
  readonly waitingMax: number;
  readonly roomWaitMsMax: number;
  /** How long one may wait for a batch to be durable. Past it nobody knows what became of it. */
  readonly commitWaitMsMax: number;
}

export interface GroupCommitDeps {
  readonly clock: Clock;
  readonly head: HeadFile;
  readonly table: SegmentTable;
  readonly disk: DiskWatch;
  /** A batch is durable, so many ms after its write began. */
  readonly committed?: ((ms: number) => void) | undefined;
  /** See CpuWait.share. Without it batches are never kept waiting. */
  readonly cpuWaitShare?: (() => number) | undefined;
  /** Until the answer is called; timers do not keep a process alive. */
  readonly holdProcess?: (() => () => void) | undefined;
}

/**
 * What a commit costs beside its bytes is two threads woken, most of a small push: where threads wait for cores, fewer and larger batches make all of them
 * wait less. From the first share of waiting on a batch begins some time after the one before, up to GAP_MS_MAX at the second.
 */
const [GAP_FROM_SHARE, GAP_TO_SHARE] = [0.3, 0.7];
const GAP_MS_MAX = 10;

export interface CommitFigures {
  readonly commits: number;
  readonly committedBytes: number;
  /** Σ time of writing and syncing, failures included. */
  readonly commitMs: number;
  readonly failures: number;
  readonly waiting: number;
}

/** What goes into the log of one segment. `entries`: the next ones, as an APPEND record has them. */
export type LogRecord = { readonly plan: AppendPlan } | { readonly entries: PlainRecord } | PlainRecord;

interface Half {
  readonly buffer: BatchBuffer;
  settlement: Settlement;
}

/** A batch's one promise. */
interface Settlement {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

interface Waiting {
  readonly segment: LogSegment;
  readonly records: readonly LogRecord[];
  readonly resolve: (committed: Promise<void>) => void;
  readonly reject: (error: Error) => void;
  readonly cancelDeadline: () => void;
}

export class GroupCommit {
  readonly #clock: Clock;
  readonly #head: HeadFile;
  readonly #disk: DiskWatch;
  readonly #table: SegmentTable;
  readonly #options: GroupCommitOptions;
  readonly #committed: GroupCommitDeps['committed'];
  readonly #cpuWaitShare: () => number;
  readonly #holdProcess: GroupCommitDeps['holdProcess'];
  readonly #waiting = new Set<Waiting>();
  #open: Half;
  /** The half that is not open; undefined while it is being written. */
  #spare: Half | undefined;
  #running: Promise<void> | undefined;
  /** When the last batch began. Monotonic. */
  #beganMs = Number.NEGATIVE_INFINITY;
  #endRest: (() => void) | undefined;
  /** Batches that began. */
  #sequence = 0;
  /** Of the next batch that ends, or that nothing more is on its way. */
  #ending = newSettlement();
  #commits = 0;
  #committedBytes = 0;
  #commitMs = 0;
  #failures = 0;

  constructor(deps: GroupCommitDeps, options: GroupCommitOptions) {
    this.#clock = deps.clock;
    this.#head = deps.head;
    this.#disk = deps.disk;
    this.#table = deps.table;
    this.#options = options;
    this.#committed = deps.committed;
    this.#cpuWaitShare = deps.cpuWaitShare ?? noWait;
    this.#holdProcess = deps.holdProcess;
    this.#open = { buffer: new BatchBuffer(options.batchSizeMax, options.salt), settlement: newSettlement() };
    this.#spare = { buffer: new BatchBuffer(options.batchSizeMax, options.salt), settlement: newSettlement() };
  }

  get figures(): CommitFigures {
    return {
      commits: this.#commits,
      committedBytes: this.#committedBytes,
      commitMs: this.#commitMs,
      failures: this.#failures,
      waiting: this.#waiting.size,
    };
  }

  /**
   * Resolves once the records are durable; they get into one batch, and all records of a batch get the same promise. What they borrow is copied before
   * this returns if there is room, else before it settles.
   * @throws RefusedError OVERLOADED if there is no room in time; STORAGE_UNAVAILABLE if it could not be written; DEADLINE_EXCEEDED if nobody knows
   */
  add(segment: LogSegment, ...records: readonly LogRecord[]): Promise<void> {
    if (this.#waiting.size === 0 && this.#hasRoom(segment, records)) return this.#put(segment, records);
    return this.#wait(segment, records);
  }

  /** Resolves when everything added so far is written or refused, but for what waits in line. */
  async drain(): Promise<void> {
    const last = this.#sequence + (this.#open.buffer.isEmpty ? 0 : 1);
    // All that began have ended but the one that is being written.
    const ended = (): number => this.#sequence - Number(this.#spare === undefined);
    while (ended() < last && this.#running !== undefined) await this.#ending.promise;
  }

  /** Resolves when nothing is on its way any more. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  #hasRoom(segment: LogSegment, records: readonly LogRecord[]): boolean {
    return this.#open.buffer.hasRoom(sizeOf(segment, records), segment.writer);
  }

  #put(segment: LogSegment, records: readonly LogRecord[]): Promise<void> {
    const { buffer, settlement } = this.#open;
    const isFirst = buffer.isEmpty;
    try {
      for (const record of records) this.#copy(segment, record);
    } finally {
      // What cannot be copied begins no batch, but what was copied before it does.
      if (isFirst && !buffer.isEmpty) this.#startDeadline(settlement);
      // A turn later, so that all streams of a push get into one batch.
      if (!buffer.isEmpty) this.#running ??= new Promise((resolve) => setImmediate(resolve)).then(() => this.#run());
    }
    return settlement.promise;
  }

  #copy(segment: LogSegment, record: LogRecord): void {
    const { buffer } = this.#open;
    if (!isEntries(record)) {
      buffer.add(segment, record);
      return;
    }
    if (needsOpen(segment)) buffer.add(segment, openRecord(segment));
    if ('plan' in record) buffer.append(segment, segment.accepted, record.plan);
    else buffer.add(segment, record.entries);
    segment.accepted += countOf(record);
  }

  #startDeadline({ promise, reject }: Settlement): void {
    const { commitWaitMsMax } = this.#options;
    const text = `the log was not written within ${commitWaitMsMax} ms`;
    const expire = (): void => reject(new RefusedError({ code: 'DEADLINE_EXCEEDED', text }));
    const cancel = this.#clock.after(commitWaitMsMax, expire);
    promise.then(cancel, cancel);
  }

  #wait(segment: LogSegment, records: readonly LogRecord[]): Promise<void> {
    const { roomWaitMsMax, waitingMax } = this.#options;
    this.#endRest?.();
    if (this.#waiting.size >= waitingMax) return Promise.reject(new RefusedError(noRoom('too much waits for the log')));
    const committed = new Promise<void>((resolve, reject) => {
      const expire = (): void => {
        this.#waiting.delete(waiting);
        reject(new RefusedError(noRoom('the disk of the log is too slow')));
      };
      const cancelDeadline = this.#clock.after(roomWaitMsMax, expire);
      const waiting: Waiting = { segment, records, resolve, reject, cancelDeadline };
      this.#waiting.add(waiting);
    });
    segment.waiting += 1;
    const leave = (): void => {
      segment.waiting -= 1;
    };
    committed.then(leave, leave);
    return committed;
  }

  async #run(): Promise<void> {
    while (!this.#open.buffer.isEmpty) {
      await this.#rest();
      await this.#commit();
      await this.#head.closeFull();
    }
    this.#running = undefined;
    // What is refused with a batch begins none.
    this.#tellEnd();
  }

  /** Until the next batch may begin, or somebody has no room in it. */
  async #rest(): Promise<void> {
    const forMs = this.#beganMs + gapMsAt(this.#cpuWaitShare()) - this.#clock.monotonicMs();
    if (forMs < GAP_MS_MIN || this.#waiting.size > 0) return;
    const letGo = this.#holdProcess?.();
    await new Promise<void>((resolve) => {
      const cancel = this.#clock.after(forMs, resolve);
      this.#endRest = () => {
        cancel();
        resolve();
      };
    });
    this.#endRest = undefined;
    letGo?.();
  }

  async #commit(): Promise<void> {
    const half = this.#open;
    const { bytes, start } = half.buffer.close(this.#sequence);
    this.#sequence += 1;
    this.#open = this.#spare as Half;
    this.#spare = undefined;
    const startMs = this.#clock.monotonicMs();
    this.#beganMs = startMs;
    try {
      const { file, offset } = await this.#head.write(bytes);
      for (const record of half.buffer.records) {
        const { segment, bounds, type, at, length, first, count } = record;
        this.#table.add(file, segment, { type, offset: offset + at - start, length, first, count }, bounds);
      }
      this.#commits += 1;
      this.#committedBytes += bytes.length;
      this.#committed?.(this.#clock.monotonicMs() - startMs);
      half.settlement.resolve();
    } catch (error) {
      this.#failures += 1;
      this.#disk.failed(error as Error);
      this.#refuseAll(half, new RefusedError(notWritten(error as Error), { cause: error }));
    }
    this.#commitMs += this.#clock.monotonicMs() - startMs;
    renew(half);
    this.#spare = half;
    this.#tellEnd();
    this.#letIn();
  }

  #tellEnd(): void {
    this.#ending.resolve();
    this.#ending = newSettlement();
  }

  /** Those that came meanwhile too: they may be about the same segments, and the disk is the same. */
  #refuseAll(half: Half, error: RefusedError): void {
    const open = this.#open;
    for (const { buffer, settlement } of [half, open]) {
      for (const { segment } of buffer.records.filter(isAppend)) segment.isRefused = true;
      settlement.reject(error);
    }
    renew(open);
    for (const waiting of this.#waiting) {
      waiting.cancelDeadline();
      waiting.reject(error);
    }
    this.#waiting.clear();
  }

  #letIn(): void {
    for (const waiting of this.#waiting) {
      const { segment, records } = waiting;
      if (!this.#hasRoom(segment, records)) return;
      this.#waiting.delete(waiting);
      waiting.cancelDeadline();
      if (records.some(isEntries) && segment.isRefused) waiting.reject(new RefusedError(segmentClosed()));
      else waiting.resolve(this.#putAfterAll(segment, records));
    }
  }

  /** What cannot be copied any more fails its own, not the batches. */
  async #putAfterAll(segment: LogSegment, records: readonly LogRecord[]): Promise<void> {
    await this.#put(segment, records);
  }
}

/** What a timer of the machine cannot do. */
const GAP_MS_MIN = 1;

const gapMsAt = (share: number): number =>
  GAP_MS_MAX * Math.min(1, Math.max(0, (share - GAP_FROM_SHARE) / (GAP_TO_SHARE - GAP_FROM_SHARE)));

const noWait = (): number => 0;

const isAppend = ({ type }: BatchRecord): boolean => type === RecordType.APPEND || type === RecordType.OPEN;

const isEntries = (record: LogRecord): record is Exclude<LogRecord, PlainRecord> =>
  'plan' in record || 'entries' in record;

const countOf = (record: Exclude<LogRecord, PlainRecord>): number =>
  'plan' in record ? record.plan.range.end - record.plan.range.first : record.entries.count;

/** The first entries of a segment bring its OPEN record along. */
const needsOpen = (segment: LogSegment): boolean => segment.accepted === 0 && segment.open !== undefined;

const openRecord = ({ open }: LogSegment): PlainRecord => ({
  type: RecordType.OPEN,
  payload: open ?? new Uint8Array(0),
  first: 0,
  count: 0,
});

const sizeOf = (segment: LogSegment, records: readonly LogRecord[]): number => {
  const open = needsOpen(segment) && records.some(isEntries) ? sizeInBatch(segment.open?.length ?? 0) : 0;
  return records.reduce((size, record) => size + sizeOfRecord(record), open);
};

/** In a batch. */
export const sizeOfRecord = (record: LogRecord): number => {
  if ('plan' in record) return paddedSize(record.plan.length);
  return sizeInBatch(('entries' in record ? record.entries : record).payload.length);
};

/** Whoever does not wait for an answer must not end the process by it. */
const ignore = (): void => undefined;

const newSettlement = (): Settlement => {
  let resolve = (): void => undefined;
  let reject = (_error: Error): void => undefined;
  const promise = new Promise<void>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  promise.catch(ignore);
  return { promise, resolve, reject };
};

const renew = (half: Half): void => {
  half.buffer.clear();
  half.settlement = newSettlement();
};
