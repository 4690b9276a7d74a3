import type { StreamCell } from './stream-cell.ts';
import type { StreamDirectory } from './stream-directory.ts';
import { isSpillable, type StreamMessage } from './stream-state.ts';

export interface MemoryGuardDeps {
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

/**
 * Bounds what of the unflushed is in memory. Before it is full the larger chunks are flushed early; if they stay, for the store is down or slower
 * than the pushes, they are left to the log. Pushes are refused while it is full all the same: without a log, or when that is behind. One
 * pass over the streams frees a quarter of it, so it costs nothing per push.
 */
export class MemoryGuard {
  readonly #deps: MemoryGuardDeps;
  #bytes = 0;
  #openBytes = 0;
  #isRelieving = false;

  constructor(deps: MemoryGuardDeps) {
    this.#deps = deps;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get isFull(): boolean {
    return this.#bytes >= this.#deps.bytesMax;
  }

  /** After each message of a stream. */
  update(cell: StreamCell): void {
    const openBytes = cell.open?.segment.memoryBytes ?? 0;
    const bytes = cell.unflushedBytes;
    this.#bytes += bytes - cell.countedBytes;
    this.#openBytes += openBytes - cell.countedOpenBytes;
    cell.countedBytes = bytes;
    cell.countedOpenBytes = openBytes;
    const { bytesMax, canSpill } = this.#deps;
    if (this.#bytes <= bytesMax * RELIEF_SHARE || this.#isRelieving) return;
    const isOpen = this.#openBytes > bytesMax * OPEN_SHARE_MIN;
    if (!isOpen && !canSpill) return;
    this.#isRelieving = true;
    (isOpen ? this.#flushLarge() : this.#spill())
      .catch((error: unknown) => this.#deps.report('memory could not be relieved', error))
      .finally(() => {
        this.#isRelieving = false;
      });
  }

  async #flushLarge(): Promise<void> {
    const { directory, tell, bytesMax } = this.#deps;
    const average = this.#openBytes / Math.max(1, directory.size);
    let excess = this.#bytes - bytesMax * RELIEVED_SHARE;
    await directory.forEach((cell) => {
      if (excess <= 0 || cell.countedOpenBytes < average || cell.countedOpenBytes === 0) return;
      excess -= cell.countedOpenBytes;
      tell(cell, { type: 'flush', reason: 'memory' });
    });
  }

  async #spill(): Promise<void> {
    const { directory, tell, bytesMax } = this.#deps;
    let excess = this.#bytes - bytesMax * RELIEVED_SHARE;
    await directory.forEach((cell) => {
      if (excess <= 0) return;
      const bytes = spillableBytes(cell);
      if (bytes === 0) return;
      excess -= bytes;
      tell(cell, { type: 'spill' });
    });
  }
}

const spillableBytes = ({ segments }: StreamCell): number =>
  segments.reduce((sum, held) => sum + (isSpillable(held) ? held.segment.memoryBytes : 0), 0);
