import type { CursorHeap } from './cursor-heap.ts';
import type { LogReads } from './log-reads.ts';
import type { QueryRequest } from './query-messages.ts';
import { type ReadQuota, StreamCursor } from './stream-cursor.ts';

/** Line bytes at hand over all streams. */
const BATCH_BYTES_TOTAL = 64 << 20;
const BATCH_BYTES_MIN = 64 << 10;
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
  readonly #quota: ReadQuota;
  readonly #tasksMax: number;
  #running = 0;
  #together = TOGETHER_FIRST;
  #hasLight = false;

  /** @param tasksMax reads at a time */
  constructor(request: QueryRequest, heap: CursorHeap, tasksMax: number) {
    this.#heap = heap;
    this.#quota = quotaOf(request, heap.size);
    this.#tasksMax = tasksMax;
  }

  /** Waits until the first in line is read on. @throws RefusedError */
  async readOn(top: StreamCursor): Promise<void> {
    // Where small streams were read together most lie ready: no look around for each.
    if (!top.hasArrived || !this.#hasLight) this.#fill(top);
    await top.load(this.#quota);
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
    StreamCursor.loadTogether(cursors, this.#quota).then(end, end);
  }
}

const quotaOf = ({ limit, intervalNs }: QueryRequest, streamCount: number): ReadQuota => {
  // With an interval entries are passed over after they were read: the limit says nothing about how many are needed.
  const entriesMax = intervalNs > 0n ? BATCH_ENTRIES_MAX : Math.min(limit, BATCH_ENTRIES_MAX);
  const share = Math.floor(BATCH_BYTES_TOTAL / Math.max(1, streamCount));
  return {
    entriesFirst: Math.max(BATCH_ENTRIES_MIN, Math.ceil((2 * entriesMax) / Math.max(1, streamCount))),
    entriesMax,
    bytesMax: Math.max(BATCH_BYTES_MIN, Math.min(BATCH_BYTES_MAX, share)),
  };
};
