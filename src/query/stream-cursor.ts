import { highWord, lowWord } from '../chunk/varint.ts';
import { type ChunkCache, chunkCacheFetch } from './chunk-cache.ts';
import { loadMemory } from './load-memory.ts';
import type { PlannedSlice } from './plan-slices.ts';
import type { QueryContext } from './query-context.ts';
import type { LogResult, LogScan, ScanPlan, ScanPosition } from './scan/scan-messages.ts';

/** How much one read of a slice may bring. */
export interface ReadQuota {
  /** The first read; each one after it brings twice as much, up to `entriesMax`. */
  readonly entriesFirst: number;
  readonly entriesMax: number;
  readonly bytesMax: number;
}

const NO_WORDS = new Int32Array(0);

/**
 * The entries of one stream in the query's direction, read slice by slice and only as far as someone wants them. Between reads it holds
 * one packed batch.
 */
export class StreamCursor {
  readonly #context: QueryContext;
  readonly #plan: ScanPlan;
  readonly #isForward: boolean;
  readonly #slices: readonly PlannedSlice[];
  readonly #cache: ChunkCache;
  /** Breaks ties between streams. */
  readonly index: number;
  #slice = 0;
  #position: ScanPosition = { group: 0, taken: 0 };
  #loading: Promise<void> | undefined;
  /** What was read and is not looked at yet: a cursor's time changes only when it is first in line. */
  #arrived: LogResult | undefined;
  /** Why the last read failed: told once it is this cursor's turn. */
  #failure: { readonly error: unknown } | undefined;
  /** Bound of what comes after the batch. */
  #boundNs = 0n;
  batch: LogResult | undefined;
  /** Next entry of the batch. */
  place = 0;
  /** Time of the next entry as int64 words, or what bounds it while nothing is at hand. */
  timeHigh = 0;
  timeLow = 0;
  #timeWords: Int32Array = NO_WORDS;
  #reads = 0;

  /** `slices` in the query's direction, at least one. */
  constructor(
    context: QueryContext,
    plan: ScanPlan,
    slices: readonly PlannedSlice[],
    cache: ChunkCache,
    index: number,
  ) {
    this.#context = context;
    this.#plan = plan;
    this.#isForward = (plan.scan as LogScan).direction === 'forward';
    this.#slices = slices;
    this.#cache = cache;
    this.index = index;
    this.#setTime(this.#boundOf(slices[0]));
  }

  /** True if the time is that of an entry at hand. */
  get isReady(): boolean {
    return this.batch !== undefined;
  }

  /** True if it has to be read on before it can be ready. */
  get isWaiting(): boolean {
    return !this.batch && !this.#arrived && !this.#loading && !this.#failure;
  }

  /** Nothing at hand and nothing left to read. */
  get isAtEnd(): boolean {
    return !this.batch && !this.#arrived && this.#slice >= this.#slices.length;
  }

  /** Reads on; `adopt` then takes what came. One read at a time. */
  load(quota: ReadQuota): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure.error);
    if (this.#arrived) return Promise.resolve();
    this.#loading ??= this.#tryRead(quota);
    return this.#loading;
  }

  /** Makes what was read the batch at hand: the time moves on. */
  adopt(): void {
    const result = this.#arrived;
    if (!result) return;
    this.#arrived = undefined;
    this.place = 0;
    this.batch = result;
    this.#timeWords = new Int32Array(result.times.buffer, result.times.byteOffset, 2 * result.times.length);
    if (result.times.length > 0) this.#readTime();
    else this.#drop();
  }

  /** Time of the entry at hand. */
  get timeNs(): bigint {
    return this.batch!.times[this.place]!;
  }

  advance(): void {
    this.place += 1;
    if (!this.batch) return;
    if (this.place < this.batch.times.length) this.#readTime();
    else this.#drop();
  }

  async #tryRead(quota: ReadQuota): Promise<void> {
    try {
      await this.#read(quota);
    } catch (error) {
      this.#failure = { error };
      throw error;
    } finally {
      this.#loading = undefined;
    }
  }

  async #read(quota: ReadQuota): Promise<void> {
    const slice = this.#slices[this.#slice]!;
    const chunks = await Promise.all(slice.refs.map((ref) => chunkCacheFetch(this.#cache, this.#context, ref)));
    const { startNs, endNs } = slice;
    const memory = await loadMemory(this.#context, slice.memory);
    const result = (await this.#context.runTask({
      kind: 'log',
      plan: this.#plan,
      slice: { startNs, endNs, memory, chunks },
      position: this.#position,
      // Who is asked again is asked for more: a block that is begun is inflated anew each time.
      entriesMax: Math.min(quota.entriesMax, quota.entriesFirst * 2 ** this.#reads),
      bytesMax: quota.bytesMax,
      keepsChunks: this.#sharesChunks(slice, this.#slices[this.#slice + 1]),
    })) as LogResult;
    this.#reads += 1;
    for (const chunk of result.chunks) this.#cache.put(chunk);
    if (result.next) this.#position = result.next;
    else {
      this.#slice += 1;
      this.#position = { group: 0, taken: 0 };
    }
    this.#boundNs = result.next ? result.nextBoundNs : this.#boundOf(this.#slices[this.#slice]);
    this.#arrived = result;
  }

  #sharesChunks({ refs }: PlannedSlice, next: PlannedSlice | undefined): boolean {
    return next?.refs.some((ref) => refs.includes(ref)) ?? false;
  }

  #drop(): void {
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

  #boundOf(slice: PlannedSlice | undefined): bigint {
    if (!slice) return 0n;
    return this.#isForward ? slice.startNs : slice.endNs;
  }
}
