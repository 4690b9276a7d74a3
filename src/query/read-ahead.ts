import type { CursorHeap } from './cursor-heap.ts';
import type { LinesAtHand } from './lines-at-hand.ts';
import type { LogReads } from './log-reads.ts';
import type { QueryRequest } from './query-messages.ts';
import { type ReadQuota, StreamCursor } from './stream-cursor.ts';

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
/** Light cursors read by one task: the first time, then twice as many each time, since a limit may be met soon. */
const TOGETHER_FIRST = 32;
const TOGETHER_MAX = 512;

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
  #hasLight = false;

  constructor(request: QueryRequest, heap: CursorHeap, { atHand, tasksMax }: Pick<LogReads, 'atHand' | 'tasksMax'>) {
    this.#heap = heap;
    this.#quota = quotaOf(request, heap.size);
    this.#atHand = atHand;
    this.#tasksMax = tasksMax;
  }

  /** Waits until the first in line is read on. @throws RefusedError */
  async readOn(top: StreamCursor): Promise<void> {
    // Where small streams were read together most lie ready: no look around for each.
    if (!top.hasArrived || !this.#hasLight) this.#fill(top);
    await top.load(this.#quotaNow());
  }

  #fill(top: StreamCursor): void {
    const isLight = top.isLight;
    const light = new Map<LogReads, StreamCursor[]>();
    for (const cursor of this.#heap.waiting(isLight ? this.#tasksMax * this.#together : LOOKED_AT_MAX)) {
      const others = light.get(cursor.reads) ?? [];
      // The first in line is read whatever else runs.
      if (this.#running >= this.#tasksMax && cursor !== top && !light.get(top.reads)?.includes(top)) break;
      if (!cursor.isLight) {
        this.#start([cursor]);
        continue;
      }
      others.push(cursor);
      light.set(cursor.reads, others);
      if (others.length < this.#together) continue;
      this.#start(others);
      light.delete(cursor.reads);
    }
    for (const cursors of light.values()) this.#start(cursors);
    this.#hasLight ||= isLight;
    if (isLight) this.#together = Math.min(TOGETHER_MAX, 2 * this.#together);
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
