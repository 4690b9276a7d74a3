import { RefusedError } from '../protocol/refusal.ts';
import type { TimeRangeNs } from '../protocol/time-range.ts';
import { floorMs } from '../protocol/whole-ms.ts';

/** @throws RefusedError INVALID_QUERY with Loki's text; `chunksMax` 0: no limit */
export const checkChunkCount = (count: number, chunksMax: number): void => {
  if (chunksMax <= 0 || count <= chunksMax) return;
  throw new RefusedError({
    code: 'INVALID_QUERY',
    text:
      `the query hit the max number of chunks limit (limit: ${chunksMax} chunks, matched: ${count} chunks); ` +
      'consider adding more specific stream selectors or reducing the query time range',
  });
};

/** How many chunks of a range may be read out of the index (`max_chunks_per_query`): counts while they are read, so that the rest is left. */
export class ChunkBound {
  readonly #chunksMax: number;
  readonly #startMs: number;
  readonly #endMs: number;
  #count = 0;

  /**
   * @param chunksMax 0 = any number
   * @param range which chunks count: those that overlap it
   */
  constructor(chunksMax: number, { startNs, endNs }: TimeRangeNs) {
    this.#chunksMax = chunksMax;
    this.#startMs = floorMs(startNs);
    this.#endMs = -floorMs(-endNs);
  }

  /** Takes each chunk once. @throws RefusedError INVALID_QUERY once there are too many, and from then on */
  see({ fromMs, throughMs }: { readonly fromMs: number; readonly throughMs: number }): void {
    if (fromMs <= this.#endMs && throughMs >= this.#startMs) this.#count += 1;
    checkChunkCount(this.#count, this.#chunksMax);
  }
}
