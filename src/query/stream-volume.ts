import type { SegmentId } from '../chunk/memory-format.ts';
import type { IndexStats } from '../protocol/index-messages.ts';
import type { LabelSet } from '../protocol/label-set.ts';
import type { TimeRangeNs } from '../protocol/time-range.ts';

/** Entries of a stream that lie together, in a stored chunk or in a segment that is not stored yet. Bounds are those of the entries. */
export interface VolumePart extends TimeRangeNs {
  readonly entries: number;
  /** Of their lines; stored chunks of v13 count 8 for each pair of structured metadata too. */
  readonly bytes: number;
}

export interface StreamVolume {
  readonly labels: LabelSet;
  readonly parts: readonly VolumePart[];
}

export interface HeldSegmentVolume extends VolumePart {
  readonly id: SegmentId;
}

/** What memory and log hold of a stream, without the entries. */
export interface HeldVolume {
  readonly labels: LabelSet;
  readonly segments: readonly HeldSegmentVolume[];
}

/**
 * The share of a part that lies in a range, ends included: entries are taken to lie evenly between its bounds, for nobody reads them. 1 for
 * a part that lies in it wholly.
 */
export const shareIn = (part: TimeRangeNs, { startNs, endNs }: TimeRangeNs): number => {
  const start = part.startNs > startNs ? part.startNs : startNs;
  const end = part.endNs < endNs ? part.endNs : endNs;
  if (end < start) return 0;
  return Number(end - start + 1n) / Number(part.endNs - part.startNs + 1n);
};

/** What `index/stats` says of a range, in whole numbers. */
export const statsOf = (volumes: readonly StreamVolume[], range: TimeRangeNs): IndexStats => {
  const stats = { streams: 0, chunks: 0, bytes: 0, entries: 0 };
  for (const { parts } of volumes) {
    stats.streams += 1;
    for (const part of parts) {
      const share = shareIn(part, range);
      stats.chunks += 1;
      stats.bytes += part.bytes * share;
      stats.entries += part.entries * share;
    }
  }
  return { ...stats, bytes: Math.round(stats.bytes), entries: Math.round(stats.entries) };
};
