import type { CursorHeap } from './cursor-heap.ts';
import type { LinesAtHand } from './lines-at-hand.ts';
import type { LogReads } from './log-reads.ts';
import { TaskSize } from './pack-tasks.ts';
import type { QueryContext } from './query-context.ts';
import type { QueryRequest } from './query-messages.ts';
import { type NextRead, type ReadQuota, StreamCursor } from './stream-cursor.ts';

/** Line bytes at hand over all streams, and beyond that `BATCH_BYTES_MIN` and an entry of each. */
const BATCH_BYTES_TOTAL = 64 << 20;
/** Each read inflates anew a block that was begun: not less, where that is more than a stream's share. */
const BATCH_BYTES_MIN = 1 << 10;
/** Of what is free, for one more read of a stream that was read before: some run at a time. */
const FREE_SHARE = 1 / 16;
const BATCH_BYTES_MAX = 4 << 20;
const BATCH_ENTRIES_MAX = 20_000;
const BATCH_ENTRIES_MIN = 32;

/** Cursors looked at for reading ahead, of which few are read. */
const LOOKED_AT_MAX = 64;
/** Cursors with a few lines read by one task: the first time, then twice as many each time, since a limit may be met soon. */
const TOGETHER_FIRST = 32;
const TOGETHER_MAX = 512;
/** Chosen: if the filters rule out nothing, a block of each is inflated, a millisecond each. If all, sending a task costs as much as reading them. */
const ENDS_TOGETHER = 8;
/** Chunks in a row that have nothing until twice as many go together: to send a task to another node takes a tenth of what a chunk takes. */
const BARREN_READS = 8;
/** What comes to more makes tasks of the largest size anyway, for a few workers. */
const WAITING_COUNTED_MAX = 256;

/**
 * Reads what comes next in line, and keeps the workers busy with what is behind it: streams of some size one a task, small ones together.
 * 100,000 streams of a line each took 60 s one by one.
 */
export class ReadAhead {
  readonly #context: QueryContext;
  readonly #heap: CursorHeap;
  readonly #quota: Omit<ReadQuota, 'bytesMax'>;
  readonly #atHand: LinesAtHand;
  readonly #tasksMax: number;
  readonly #workers: number;
  #running = 0;
  #together = TOGETHER_FIRST;
  #isTogether = false;
  /** Chunks, one after the other, in which nothing was found. */
  #barren = 0;
  #isOver = false;
  /** Chunks that tasks read now. */
  #chunksRunning = 0;
  /** Chunks that may still be begun before the first in line has moved on, beside those that were begun with it. */
  #aheadLeft = 0;

  constructor(
    context: QueryContext,
    heap: CursorHeap,
    { atHand, tasksMax, workers }: Pick<LogReads, 'atHand' | 'tasksMax' | 'workers'>,
  ) {
    this.#context = context;
    this.#heap = heap;
    this.#quota = quotaOf(context.request, heap.size);
    this.#atHand = atHand;
    this.#tasksMax = tasksMax;
    this.#workers = workers;
  }

  /** Waits until the first in line is read on. @throws RefusedError */
  async readOn(top: StreamCursor): Promise<void> {
    this.#aheadLeft = this.#tasksMax + this.#barren;
    // Where streams were read together most lie ready: no look around for each.
    if (!top.hasArrived || !this.#isTogether) this.#fill(top);
    await top.load(this.#quotaNow());
  }

  /** Nothing more is wanted. */
  stop(): void {
    this.#isOver = true;
  }

  #fill(top: StreamCursor): void {
    const kind = top.nextRead;
    const open = new OpenTasks();
    let chunksTogether: number | undefined;
    for (const cursor of this.#heap.waiting(kind === 'lines' ? this.#tasksMax * this.#together : LOOKED_AT_MAX)) {
      // The first in line is read whatever else runs.
      if (this.#running >= this.#tasksMax && cursor !== top && !open.hasOf(top)) break;
      const { nextRead } = cursor;
      if (nextRead === 'chunks') chunksTogether ??= this.#chunksTogether();
      const task = open.add(cursor, this.#togetherOf(nextRead, chunksTogether ?? 1));
      if (task) this.#start(task);
    }
    for (const task of open.rest()) this.#start(task);
    this.#isTogether ||= kind === 'lines' || kind === 'ends';
    if (kind === 'lines') this.#together = Math.min(TOGETHER_MAX, 2 * this.#together);
  }

  #togetherOf(kind: NextRead, chunksTogether: number): number {
    if (kind === 'lines') return this.#together;
    if (kind === 'ends') return ENDS_TOGETHER;
    return kind === 'chunks' ? chunksTogether : 1;
  }

  /** Slices in a task, of a chunk each but where they overlap: more as long as nothing is found. */
  #chunksTogether(): number {
    if (this.#barren < BARREN_READS) return 1;
    const waiting = [...this.#heap.waiting(WAITING_COUNTED_MAX)].length;
    const { chunksMax } = new TaskSize(waiting, this.#workers, false);
    const most = Math.min(2 ** Math.floor(this.#barren / BARREN_READS), chunksMax);
    return this.#context.mayReadInVain(this.#chunksRunning + most * this.#tasksMax) ? most : 1;
  }

  #start(cursors: readonly StreamCursor[]): void {
    const chunks = cursors.reduce((sum, { chunksNext }) => sum + chunksNext, 0);
    this.#running += 1;
    this.#chunksRunning += chunks;
    const end = (): void => {
      this.#running -= 1;
      this.#chunksRunning -= chunks;
      this.#barren = cursors.every(({ foundNothing }) => foundNothing) ? this.#barren + chunks : 0;
      this.#refill();
    };
    // A failure shows when the cursor's turn comes, or never if it does not; one of planning shows again when the first in line is read on.
    StreamCursor.loadTogether(cursors, this.#quotaNow())
      .then(end, end)
      .catch(() => undefined);
  }

  /**
   * While the first in line is slow: chunks behind it, at most as many as were read in vain before, and one for each task that may run. Not with entries at hand: they may be all that
   * is still needed.
   */
  #refill(): void {
    if (this.#isOver || this.#barren === 0 || this.#atHand.bytes > 0) return;
    if (this.#aheadLeft <= 0 || this.#running >= this.#tasksMax) return;
    const together = this.#chunksTogether();
    const most = Math.min(this.#aheadLeft, together * (this.#tasksMax - this.#running));
    if (!this.#context.mayReadInVain(this.#chunksRunning + most)) return;
    const open = new OpenTasks();
    let taken = 0;
    for (const cursor of this.#heap.waiting(LOOKED_AT_MAX)) {
      if (cursor.nextRead !== 'chunks') continue;
      taken += cursor.chunksNext;
      const task = open.add(cursor, together);
      if (task) this.#start(task);
      if (taken >= most) break;
    }
    for (const task of open.rest()) this.#start(task);
    this.#aheadLeft -= taken;
  }

  #quotaNow(): ReadQuota {
    const free = Math.floor((BATCH_BYTES_TOTAL - this.#atHand.bytes) * FREE_SHARE);
    const bytesMax = Math.max(this.#quota.bytesFirst, Math.min(BATCH_BYTES_MAX, free));
    return { ...this.#quota, bytesMax };
  }
}

/** Cursors put together into tasks, those of one plan and one kind. */
class OpenTasks {
  readonly #tasks = new Map<LogReads, Map<NextRead, StreamCursor[]>>();

  /** A task that has `countMax` cursors now. */
  add(cursor: StreamCursor, countMax: number): readonly StreamCursor[] | undefined {
    const { reads, nextRead } = cursor;
    const ofReads = this.#tasks.get(reads) ?? new Map<NextRead, StreamCursor[]>();
    const task = ofReads.get(nextRead) ?? [];
    this.#tasks.set(reads, ofReads);
    ofReads.set(nextRead, task);
    task.push(cursor);
    if (task.length < countMax) return undefined;
    ofReads.delete(nextRead);
    return task;
  }

  /** One of them waits for more. */
  hasOf(cursor: StreamCursor): boolean {
    return this.#tasks.get(cursor.reads)?.get(cursor.nextRead)?.includes(cursor) ?? false;
  }

  *rest(): Generator<readonly StreamCursor[]> {
    for (const ofReads of this.#tasks.values()) yield* ofReads.values();
  }
}

const quotaOf = ({ limit, intervalNs }: QueryRequest, streamCount: number): Omit<ReadQuota, 'bytesMax'> => {
  // With an interval entries are passed over after they were read: the limit says nothing about how many are needed.
  const entriesMax = intervalNs > 0n ? BATCH_ENTRIES_MAX : Math.min(limit, BATCH_ENTRIES_MAX);
  const share = Math.floor(BATCH_BYTES_TOTAL / Math.max(1, streamCount));
  return {
    entriesFirst: Math.max(BATCH_ENTRIES_MIN, Math.ceil((2 * entriesMax) / Math.max(1, streamCount))),
    entriesMax,
    bytesFirst: Math.max(BATCH_BYTES_MIN, Math.min(BATCH_BYTES_MAX, share)),
  };
};
