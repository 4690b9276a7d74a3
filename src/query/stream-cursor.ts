import { highWord, lowWord } from '../chunk/varint.ts';
import type { GatheredStream } from './gather-streams.ts';
import type { LogReads } from './log-reads.ts';
import { memoryBytes } from './pack-tasks.ts';
import type { LogReadEnd, LogResult, ReadBounds, ScanPosition } from './scan/scan-messages.ts';
import { SlicePlan, type SlicePlanOptions, type SliceStep } from './slice-plan.ts';

/** How much one read of a slice may bring. */
export interface ReadQuota {
  /** The first read; each one after it brings twice as much, up to `entriesMax`. */
  readonly entriesFirst: number;
  readonly entriesMax: number;
  /** Line bytes of the first read, and of each after it. An entry comes in any case. */
  readonly bytesFirst: number;
  readonly bytesMax: number;
}

/** What a cursor reads, and where that begins in the query's direction: something does. */
export interface CursorSource {
  readonly stream: GatheredStream;
  readonly options: SlicePlanOptions;
  readonly boundNs: bigint;
}

/**
 * A few lines of memory; the ends of chunk files, whose filters will rule out most blocks; chunks to be read whole; or more. What is not much may go with
 * others of its kind.
 */
export type NextRead = 'lines' | 'ends' | 'chunks' | 'much';

/** A slice with less memory than this and no chunk may share a task: chosen, a fraction of a millisecond to scan. */
const LIGHT_BYTES_MAX = 16 << 10;

const NO_WORDS = new Int32Array(0);

/**
 * The entries of one stream in the query's direction, read slice by slice and only as far as someone wants them. Between reads it holds
 * one packed batch.
 */
export class StreamCursor {
  /** Of its tenant. */
  readonly reads: LogReads;
  readonly #source: CursorSource;
  /** Breaks ties between streams: see `inFixedOrder`. */
  readonly index: number;
  /** From the first read on. */
  #slices: SlicePlan | undefined;
  /** Read next; made when it is looked at. */
  #step: SliceStep | undefined;
  #isDone = false;
  #position: ScanPosition = { group: 0, taken: 0 };
  #loading: Promise<void> | undefined;
  /** What was read and is not looked at yet: a cursor's time changes only when it is first in line. */
  #arrived: { readonly batch: LogResult; readonly start: number; readonly end: number } | undefined;
  /** Why the last read failed: told once it is this cursor's turn. */
  #failure: { readonly error: unknown } | undefined;
  /** Bound of what comes after the batch. */
  #boundNs = 0n;
  batch: LogResult | undefined;
  /** Next entry of the batch; others may have entries in it. */
  place = 0;
  #end = 0;
  /** A read with others failed: which of them it was shows when each is read alone. */
  #isAlone = false;
  /** Time of the next entry as int64 words, or what bounds it while nothing is at hand. */
  timeHigh = 0;
  timeLow = 0;
  #timeWords: Int32Array = NO_WORDS;
  #readCount = 0;

  constructor(reads: LogReads, source: CursorSource, index: number) {
    this.reads = reads;
    this.#source = source;
    this.index = index;
    this.#setTime(source.boundNs);
  }

  /** True if the time is that of an entry at hand. */
  get isReady(): boolean {
    return this.batch !== undefined;
  }

  /** True if it has to be read on before it can be ready. */
  get isWaiting(): boolean {
    return !this.batch && !this.#arrived && !this.#loading && !this.#failure && !this.#isDone;
  }

  get hasArrived(): boolean {
    return this.#arrived !== undefined;
  }

  /** The last read found no entry. */
  get foundNothing(): boolean {
    return this.#arrived !== undefined && this.#arrived.start === this.#arrived.end;
  }

  /** Nothing at hand and nothing left to read. */
  get isAtEnd(): boolean {
    return !this.batch && !this.#arrived && this.#isDone;
  }

  /** Whether what it reads next is worth a task of its own. */
  get nextRead(): NextRead {
    const slice = this.#isAlone ? undefined : this.#nextStep()?.slice;
    if (!slice) return 'much';
    if (slice.refs.length === 0) return memoryBytes(slice) <= LIGHT_BYTES_MAX ? 'lines' : 'much';
    if (slice.memory.length > 0 || this.reads.isNear(slice)) return 'much';
    return this.reads.readsEnds ? 'ends' : 'chunks';
  }

  /** Stored chunks of what it reads next. */
  get chunksNext(): number {
    return this.#nextStep()?.slice.refs.length ?? 0;
  }

  /** Reads on; `adopt` then takes what came. One read at a time. */
  load(quota: ReadQuota): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure.error);
    if (this.#arrived) return Promise.resolve();
    this.#loading ??= StreamCursor.loadTogether([this], quota);
    return this.#loading;
  }

  /** Reads on in one task. All of them of one plan and waiting. */
  static loadTogether(cursors: readonly StreamCursor[], quota: ReadQuota): Promise<void> {
    const work = StreamCursor.#tryRead(cursors, quota);
    for (const cursor of cursors) cursor.#loading = work;
    return work;
  }

  /** Makes what was read the batch at hand: the time moves on. */
  adopt(): void {
    if (!this.#arrived) return;
    const { batch, start, end } = this.#arrived;
    this.#arrived = undefined;
    this.place = start;
    this.#end = end;
    this.batch = batch;
    this.#timeWords = new Int32Array(batch.times.buffer, batch.times.byteOffset, 2 * batch.times.length);
    if (start < end) this.#readTime();
    else this.#drop();
  }

  /** Time of the entry at hand. */
  get timeNs(): bigint {
    return this.batch!.times[this.place]!;
  }

  advance(): void {
    this.place += 1;
    if (!this.batch) return;
    if (this.place < this.#end) this.#readTime();
    else this.#drop();
  }

  static async #tryRead(cursors: readonly StreamCursor[], quota: ReadQuota): Promise<void> {
    try {
      await StreamCursor.#read(cursors, quota);
    } catch (error) {
      if (cursors.length === 1) {
        cursors[0]!.#failure = { error };
        throw error;
      }
      for (const cursor of cursors) cursor.#isAlone = true;
    } finally {
      for (const cursor of cursors) cursor.#loading = undefined;
    }
  }

  static async #read(cursors: readonly StreamCursor[], quota: ReadQuota): Promise<void> {
    const [first] = cursors as readonly [StreamCursor];
    const result = await first.reads.run({
      slices: cursors.map((cursor) => cursor.#nextStep()!.slice),
      bounds: cursors.map((cursor) => cursor.#bounds(quota)),
    });
    let start = 0;
    for (const [index, cursor] of cursors.entries()) {
      const end = result.ends[index]!;
      cursor.#arrive(result, start, end);
      start = end.end;
    }
  }

  #bounds(quota: ReadQuota): ReadBounds {
    return {
      position: this.#position,
      // Who is asked again is asked for more: a block that is begun is inflated anew each time.
      entriesMax: Math.min(quota.entriesMax, quota.entriesFirst * 2 ** this.#readCount),
      bytesMax: this.#readCount === 0 ? quota.bytesFirst : quota.bytesMax,
      keepsChunks: this.#nextStep()?.next?.sharesChunks ?? false,
    };
  }

  #arrive(batch: LogResult, start: number, { end, next, nextBoundNs }: LogReadEnd): void {
    this.#readCount += 1;
    if (next) {
      this.#position = next;
      this.#boundNs = nextBoundNs;
    } else this.#endSlice();
    this.#arrived = { batch, start, end };
    this.reads.atHand.hold(batch);
  }

  #nextStep(): SliceStep | undefined {
    this.#slices ??= new SlicePlan(this.#source.stream, this.#source.options);
    this.#step ??= this.#slices.next();
    return this.#step;
  }

  #endSlice(): void {
    const next = this.#step?.next;
    this.#step = undefined;
    this.#isDone = !next;
    this.#position = { group: 0, taken: 0 };
    this.#boundNs = next?.boundNs ?? 0n;
  }

  #drop(): void {
    if (this.batch) this.reads.atHand.release(this.batch);
    this.batch = undefined;
    this.#setTime(this.#boundNs);
  }

  #readTime(): void {
    this.timeLow = this.#timeWords[2 * this.place]! >>> 0;
    this.timeHigh = this.#timeWords[2 * this.place + 1]!;
  }

  #setTime(timeNs: bigint): void {
    this.timeLow = lowWord(timeNs) >>> 0;
    this.timeHigh = highWord(timeNs);
  }
}
