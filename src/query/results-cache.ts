import type { StepSeries } from './step-series.ts';

/** What a range aggregation comes to at some steps that lie in one interval. */
export interface KeptExtent {
  /** Of its first step. */
  readonly startNs: bigint;
  readonly count: number;
  /** Of what it was read from: it holds as long as `sourceMarks` says the same. */
  readonly mark: string;
  /** As long as the extent; each has a point. */
  readonly series: readonly StepSeries[];
}

export interface ResultsCacheFigures {
  readonly requests: number;
  readonly hits: number;
  readonly bytes: number;
}

interface Held {
  readonly extent: KeptExtent;
  readonly bytes: number;
}

/** Chosen: one extent of very many series must not empty the cache. */
const EXTENT_SHARE_MAX = 1 / 8;

/** About what the map and the objects take, beside numbers and texts. */
const EXTENT_OVERHEAD_BYTES = 400;
const SERIES_OVERHEAD_BYTES = 300;
const LABEL_OVERHEAD_BYTES = 24;

/** Parts of answers, up to so many bytes: those used least lately go first. It does not know whether they still hold: who takes one compares its mark. */
export class ResultsCache {
  readonly #bytesMax: number;
  /** Those used least lately first. */
  readonly #extents = new Map<string, Held>();
  #bytes = 0;
  #requests = 0;
  #hits = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** An extent with more than this is not kept. */
  get extentBytesMax(): number {
    return this.#bytesMax * EXTENT_SHARE_MAX;
  }

  get figures(): ResultsCacheFigures {
    return { requests: this.#requests, hits: this.#hits, bytes: this.#bytes };
  }

  /** What is kept, whether it holds or not. Its arrays are the cache's own: copy them. */
  find(key: string): KeptExtent | undefined {
    return this.#extents.get(key)?.extent;
  }

  /** Counts a look for an extent; one that was used is kept longer. @returns its bytes */
  used(key: string, isHit: boolean): number {
    this.#requests += 1;
    const held = this.#extents.get(key);
    if (!isHit || !held) return 0;
    this.#hits += 1;
    this.#extents.delete(key);
    this.#extents.set(key, held);
    return held.bytes;
  }

  /** In place of what was kept under the key. @param extent no one else's any more @returns its bytes; 0: it is too large to be kept */
  keep(key: string, extent: KeptExtent): number {
    this.#forget(key);
    const bytes = bytesOf(key, extent);
    if (bytes > this.extentBytesMax) return 0;
    this.#extents.set(key, { extent, bytes });
    this.#bytes += bytes;
    for (const oldest of this.#extents.keys()) {
      if (this.#bytes <= this.#bytesMax) break;
      this.#forget(oldest);
    }
    return bytes;
  }

  #forget(key: string): void {
    this.#bytes -= this.#extents.get(key)?.bytes ?? 0;
    this.#extents.delete(key);
  }
}

const bytesOf = (key: string, { mark, series }: KeptExtent): number => {
  let bytes = EXTENT_OVERHEAD_BYTES + 2 * (key.length + mark.length);
  for (const { labels, values, present } of series) {
    bytes += SERIES_OVERHEAD_BYTES + values.byteLength + present.byteLength;
    for (const text of labels) bytes += LABEL_OVERHEAD_BYTES + 2 * text.length;
  }
  return bytes;
};
