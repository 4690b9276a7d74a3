import type { Clock } from '../protocol/clock.ts';
import type { StreamCell } from './stream-cell.ts';
import type { StreamDirectory } from './stream-directory.ts';
import { isSpillable, type StreamMessage } from './stream-state.ts';

export interface MemoryGuardDeps {
  readonly clock: Clock;
  readonly directory: StreamDirectory;
  readonly tell: (cell: StreamCell, message: StreamMessage) => void;
  readonly report: (problem: string, error: unknown) => void;
  /** Unflushed bytes of all streams that are refused beyond. */
  readonly bytesMax: number;
  /** There is a log that has what is sealed. */
  readonly canSpill: boolean;
}

/** From here on chunks are flushed early, until half is left. */
const RELIEF_SHARE = 3 / 4;
const RELIEVED_SHARE = 1 / 2;
/** When this little could be flushed, the rest is on its way already, or the store is down. */
const OPEN_SHARE_MIN = 1 / 4;

/** After a pass that found nothing, by the time it took: it may be one over 100,000 streams. What can be let go of may change without a byte. */
const EMPTY_REST_SHARE = 10;
const EMPTY_REST_MIN_MS = 20;

/**
 * Bounds what of the unflushed is in memory. Before it is full the larger chunks are flushed early; if they stay, for the store is down or slower
 * than the pushes, they are left to the log. Pushes are refused while it is full all the same: without a log, or when that is behind. One
 * pass over the streams frees a quarter of it, so it costs nothing per push. A stream is told once, and what it was told to let go of counts as
 * gone until it has looked: its messages would pile up otherwise.
 */
export class MemoryGuard {
  readonly #deps: MemoryGuardDeps;
  #bytes = 0;
  #openBytes = 0;
  #askedBytes = 0;
  #isRelieving = false;
  /** No pass before, monotonic: the last one found nothing. */
  #restUntilMs = Number.NEGATIVE_INFINITY;

  constructor(deps: MemoryGuardDeps) {
    this.#deps = deps;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Asked before each push: where all are refused no stream may change any more, so it looks here too. */
  get isFull(): boolean {
    const isFull = this.#bytes >= this.#deps.bytesMax;
    if (isFull) this.#relieve();
    return isFull;
  }

  /** After each message of a stream. */
  update(cell: StreamCell): void {
    this.#count(cell);
    this.#relieve();
  }

  #relieve(): void {
    const { bytesMax, canSpill, clock } = this.#deps;
    if (this.#isRelieving || this.#bytes - this.#askedBytes <= bytesMax * RELIEF_SHARE) return;
    const beganMs = clock.monotonicMs();
    if (beganMs < this.#restUntilMs) return;
    const isOpen = this.#openBytes > bytesMax * OPEN_SHARE_MIN;
    if (!isOpen && !canSpill) return;
    this.#isRelieving = true;
    (isOpen ? this.#flushLarge() : this.#spill())
      .then((count) => {
        if (count > 0) return;
        const nowMs = clock.monotonicMs();
        this.#restUntilMs = nowMs + Math.max(EMPTY_REST_MIN_MS, EMPTY_REST_SHARE * (nowMs - beganMs));
      })
      .catch((error: unknown) => this.#deps.report('memory could not be relieved', error))
      .finally(() => {
        this.#isRelieving = false;
      });
  }

  #count(cell: StreamCell): void {
    const openBytes = cell.open?.segment.memoryBytes ?? 0;
    const bytes = cell.unflushedBytes;
    this.#bytes += bytes - cell.countedBytes;
    this.#openBytes += openBytes - cell.countedOpenBytes;
    cell.countedBytes = bytes;
    cell.countedOpenBytes = openBytes;
    if (cell.isReliefAsked) return;
    this.#askedBytes -= cell.askedBytes;
    cell.askedBytes = 0;
  }

  async #flushLarge(): Promise<number> {
    const average = this.#openBytes / Math.max(1, this.#deps.directory.size);
    const largeBytes = ({ countedOpenBytes }: StreamCell): number =>
      countedOpenBytes < average ? 0 : countedOpenBytes;
    return await this.#ask(largeBytes, { type: 'flush', reason: 'memory' });
  }

  async #spill(): Promise<number> {
    return await this.#ask(spillableBytes, { type: 'spill' });
  }

  /** @returns how many were asked */
  async #ask(bytesOf: (cell: StreamCell) => number, message: StreamMessage): Promise<number> {
    const { directory, tell, bytesMax } = this.#deps;
    let count = 0;
    await directory.forEach((cell) => {
      if (cell.isReliefAsked || this.#bytes - this.#askedBytes <= bytesMax * RELIEVED_SHARE) return;
      const bytes = bytesOf(cell);
      if (bytes === 0) return;
      cell.isReliefAsked = true;
      cell.askedBytes = bytes;
      this.#askedBytes += bytes;
      count += 1;
      tell(cell, message);
    });
    return count;
  }
}

const spillableBytes = ({ segments }: StreamCell): number =>
  segments.reduce((sum, held) => sum + (isSpillable(held) ? held.segment.memoryBytes : 0), 0);
