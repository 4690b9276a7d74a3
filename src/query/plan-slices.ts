import type { UnflushedSegment } from '../chunk/memory-format.ts';
import type { LabelSet } from '../protocol/label-set.ts';
import type { TimeRangeNs } from '../protocol/time-range.ts';
import type { ChunkRef } from '../storage/index-reader.ts';
import { boundsOfRef, boundsOfSegment, type GatheredStream } from './gather-streams.ts';
import type { MemoryStream } from './query-source.ts';

/** A slice before its chunks are fetched. */
export interface PlannedSlice extends TimeRangeNs {
  readonly memory: readonly MemoryStream[];
  readonly refs: readonly ChunkRef[];
}

interface Source extends TimeRangeNs {
  /** Place of a segment in its stream. */
  readonly order: number;
  readonly ref: ChunkRef | undefined;
  readonly labels: LabelSet | undefined;
  readonly segment: UnflushedSegment | undefined;
}

/**
 * Cuts a stream's time into slices of a few chunks, oldest first. Slices do not overlap, so each can be scanned alone; a chunk that reaches
 * over a cut is in both (bounds are rounded to milliseconds, so neighbours of a busy stream do).
 */
export const planSlices = (stream: GatheredStream, range: TimeRangeNs, chunksPerSlice: number): PlannedSlice[] => {
  const slices: PlannedSlice[] = [];
  let open: Source[] = [];
  let startNs = range.startNs;
  let endNs = range.startNs - 1n;
  let newChunks = 0;
  let carried = 0;
  for (const source of sourcesOf(stream, range)) {
    const isGap = open.length > 0 && source.startNs > endNs;
    // At least as many new chunks as carried ones: however much overlaps, a chunk is read about three times at most.
    const isFull = source.ref && newChunks >= Math.max(chunksPerSlice, carried) && source.startNs > startNs;
    if ((isGap && newChunks > 0) || isFull) {
      slices.push(...sliceOf(open, startNs, source.startNs - 1n));
      open = open.filter((one) => one.endNs >= source.startNs);
      carried = open.filter((one) => one.ref).length;
      newChunks = 0;
      startNs = source.startNs;
    }
    open.push(source);
    if (source.endNs > endNs) endNs = source.endNs;
    if (source.ref) newChunks += 1;
  }
  slices.push(...sliceOf(open, startNs, range.endNs));
  return slices;
};

const sourcesOf = ({ memory, refs }: GatheredStream, range: TimeRangeNs): Source[] => {
  const sources: Source[] = refs.map((ref) => ({
    ...boundsOfRef(ref),
    order: 0,
    ref,
    labels: undefined,
    segment: undefined,
  }));
  for (const { labels, segments } of memory) {
    for (const segment of segments) {
      const bounds = boundsOfSegment(segment);
      if (bounds) sources.push({ ...bounds, order: sources.length, ref: undefined, labels, segment });
    }
  }
  return sources
    .filter((source) => source.startNs <= range.endNs && source.endNs >= range.startNs)
    .sort((a, b) => (a.startNs < b.startNs ? -1 : a.startNs > b.startNs ? 1 : 0));
};

/** The sources' part of [startNs, endNs]; nothing if they have none. */
const sliceOf = (sources: readonly Source[], startNs: bigint, endNs: bigint): PlannedSlice[] => {
  const within = sources.filter((source) => source.startNs <= endNs && source.endNs >= startNs);
  if (within.length === 0) return [];
  let first = within[0]!.startNs;
  let last = within[0]!.endNs;
  for (const source of within) {
    if (source.startNs < first) first = source.startNs;
    if (source.endNs > last) last = source.endNs;
  }
  return [
    {
      startNs: first > startNs ? first : startNs,
      endNs: last < endNs ? last : endNs,
      memory: memoryParts(within),
      refs: within.flatMap(({ ref }) => ref ?? []),
    },
  ];
};

const memoryParts = (sources: readonly Source[]): MemoryStream[] => {
  const parts = new Map<string, { labels: LabelSet; segments: UnflushedSegment[] }>();
  for (const { labels, segment } of [...sources].sort((a, b) => a.order - b.order)) {
    if (!labels || !segment) continue;
    const part = parts.get(labels.canonical);
    if (part) part.segments.push(segment);
    else parts.set(labels.canonical, { labels, segments: [segment] });
  }
  return [...parts.values()];
};
