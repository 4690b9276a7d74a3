import { SizeBuckets } from './size-buckets.ts';
import type { StreamCell } from './stream-cell.ts';

/**
 * Keeps the memory of all open heads under a bound: beyond it the largest heads, and of equals those that grew first, are cut early into
 * smaller blocks. Constant time per append.
 */
export class HeadBudget {
  readonly #bytesMax: number;
  readonly #askCut: (cell: StreamCell) => void;
  readonly #buckets: SizeBuckets<StreamCell> = new SizeBuckets();

  /** `askCut` sends the stream `cut-early`. */
  constructor(bytesMax: number, askCut: (cell: StreamCell) => void) {
    this.#bytesMax = bytesMax;
    this.#askCut = askCut;
  }

  /** Memory of open heads, without those that are asked for already. */
  get bytes(): number {
    return this.#buckets.totalBytes;
  }

  /** After each change of a stream's head. */
  update(cell: StreamCell): void {
    const bytes = cell.isCutAsked ? 0 : cell.openHeadBytes;
    this.#buckets.update(cell, bytes);
    while (this.#buckets.totalBytes > this.#bytesMax) {
      const largest = this.#buckets.largest();
      if (!largest) return;
      largest.isCutAsked = true;
      this.#buckets.update(largest, 0);
      this.#askCut(largest);
    }
  }
}
