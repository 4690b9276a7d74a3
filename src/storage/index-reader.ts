import type { LabelMatcher } from '../protocol/matcher.ts';
import type { TimeRangeNs } from '../protocol/time-range.ts';
import type { ChunkBound } from './chunk-bound.ts';
import type { ChunkRefs } from './chunk-refs.ts';

/** A stored chunk that may hold wanted entries: parsed from its key. */
export interface ChunkRef {
  readonly key: string;
  readonly tenant: string;
  readonly fingerprint: bigint;
  /** Bounds of the chunk in ms, inclusive. */
  readonly fromMs: number;
  readonly throughMs: number;
  readonly checksum: number;
}

/** Loki's read path over an IndexStore (storage format 4.4), for all schema periods. */
export interface IndexReader {
  /**
   * Chunks that overlap the range and whose series pass the matchers that the index can decide. Matchers that match the empty string are
   * NOT applied: the caller checks them against the labels inside the chunk.
   * @param bound ends the reading early; a chunk whose first rows are gone may pass it by, so who must know counts what comes
   * @throws RefusedError INVALID_QUERY as soon as the bound is passed
   */
  chunkRefs(
    tenant: string,
    matchers: readonly LabelMatcher[],
    range: TimeRangeNs,
    bound?: ChunkBound,
  ): Promise<ChunkRefs>;
  labelNames(tenant: string, matchers: readonly LabelMatcher[], range: TimeRangeNs): Promise<readonly string[]>;
  labelValues(
    tenant: string,
    name: string,
    matchers: readonly LabelMatcher[],
    range: TimeRangeNs,
  ): Promise<readonly string[]>;
}

/** A stored series that has chunks in a range. */
export interface StoredSeries {
  /** Base64 of 43 characters: the hash of the labels. */
  readonly seriesId: string;
  /** Sorted flat pairs; undefined where the index does not hold them (schemas v9, v10): they stand in the series' chunks. */
  readonly labels: readonly string[] | undefined;
}

/** Labels of stored series by the index alone, no chunk object opened. */
export interface SeriesReader {
  /** Distinct series that pass ALL matchers and have a chunk that overlaps the range, in any order. */
  series(tenant: string, matchers: readonly LabelMatcher[], range: TimeRangeNs): Promise<readonly StoredSeries[]>;
}
