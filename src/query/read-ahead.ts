import type { CursorHeap } from './cursor-heap.ts';
import type { LinesAtHand } from './lines-at-hand.ts';
import type { LogReads } from './log-reads.ts';
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

/**
 * Reads what comes next in line, and keeps the workers busy with what is behind it: streams of some size one a task, small ones together.
 * 100,000 streams of a line each took 60 s one by one.
 */
export class ReadAhead {
  readonly #heap: CursorHeap;
  readonly #quota: Omit<ReadQuota, 'bytesMax'>;
  readonly #atHand: LinesAtHand;
  readonly #tasksMax: number;
  #running = 0;
  #together = TOGETHER_FIRST;
  #isTogether = false;

  constructor(request: QueryRequest, heap: CursorHeap, { atHand, tasksMax }: Pick<LogReads, 'atHand' | 'tasksMax'>) {
    this.#heap = heap;
    this.#quota = quotaOf(request, heap.size);
    this.#atHand = atHand;
    this.#tasksMax = tasksMax;
  }

  /** Waits until the first in line is read on. @throws RefusedError */
  async readOn(top: StreamCursor): Promise<void> {
    // Where streams were read together most lie ready: no look around for each.
    if (!top.hasArrived || !this.#isTogether) this.#fill(top);
    await top.load(this.#quotaNow());
  }

  #fill(top: StreamCursor): void {
    const kind = top.nextRead;
    const open = new OpenTasks();
    for (const cursor of this.#heap.waiting(kind === 'lines' ? this.#tasksMax * this.#together : LOOKED_AT_MAX)) {
      // The first in line is read whatever else runs.
      if (this.#running >= this.#tasksMax && cursor !== top && !open.hasOf(top)) break;
      const { nextRead } = cursor;
      const task = open.add(cursor, nextRead === 'lines' ? this.#together : nextRead === 'ends' ? ENDS_TOGETHER : 1);
      if (task) this.#start(task);
    }
    for (const task of open.rest()) this.#start(task);
    this.#isTogether ||= kind !== 'much';
    if (kind === 'lines') this.#together = Math.min(TOGETHER_MAX, 2 * this.#together);
  }

  #start(cursors: readonly StreamCursor[]): void {
    this.#running += 1;
    const end = (): void => {
      this.#running -= 1;
    };
    // A failure shows when the cursor's turn comes, or never if it does not.
    StreamCursor.loadTogether(cursors, this.#quotaNow()).then(end, end);
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
