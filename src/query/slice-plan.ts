import type { UnflushedSegment } from '../chunk/memory-format.ts';
import type { LabelSet } from '../protocol/label-set.ts';
import type { TimeRangeNs } from '../protocol/time-range.ts';
import { floorMs, NS_PER_MS } from '../protocol/whole-ms.ts';
import type { StreamRefs } from '../storage/chunk-refs.ts';
import type { ChunkRef } from '../storage/index-reader.ts';
import { boundsOfSegment, type GatheredStream } from './gather-streams.ts';
import type { MemoryStream } from './query-source.ts';

/** A slice before its chunks are fetched. */
export interface PlannedSlice extends TimeRangeNs {
  readonly memory: readonly MemoryStream[];
  readonly refs: readonly ChunkRef[];
}

/** A slice of a plan, and what the plan goes on with. */
export interface SliceStep {
  readonly slice: PlannedSlice;
  /** undefined after the last. */
  readonly next: NextSlice | undefined;
}

export interface NextSlice {
  /** Where it begins in the plan's direction. */
  readonly boundNs: bigint;
  /** Some chunks are in both. */
  readonly sharesChunks: boolean;
}

export interface SlicePlanOptions extends TimeRangeNs {
  /** Asked for each. */
  readonly chunksPerSlice: number;
  readonly direction: 'forward' | 'backward';
}

/** Bounds in the plan's time, which runs backward for a plan that does: `first` is what it comes to first. */
interface Source {
  readonly first: bigint;
  readonly last: bigint;
  readonly ref: ChunkRef | undefined;
  /** Place of a segment in its stream. */
  readonly order: number;
  readonly labels: LabelSet | undefined;
  readonly segment: UnflushedSegment | undefined;
}

/**
 * Cuts a stream's time into slices of a few chunks, one after the other in the query's direction. Slices do not overlap, so each can be scanned alone; a chunk
 * that reaches over a cut is in both (bounds are rounded to milliseconds, so neighbours of a busy stream do). What it holds of a chunk that it has not come to
 * is a number: a query may be in the middle of 100,000 streams.
 */
export class SlicePlan {
  readonly #options: SlicePlanOptions;
  readonly #refs: StreamRefs | undefined;
  /** Not come to yet: the next one last. */
  readonly #places: number[];
  readonly #segments: Source[];
  #open: Source[] = [];
  #from: bigint;
  #last: bigint;
  #newChunks = 0;
  #carried = 0;

  constructor({ memory, refs }: GatheredStream, options: SlicePlanOptions) {
    this.#options = options;
    this.#refs = refs;
    this.#places = refs ? placesWithin(refs, options).reverse() : [];
    this.#segments = this.#segmentSources(memory);
    this.#from = this.#mirrored(options).first;
    this.#last = this.#from - 1n;
  }

  /** undefined: nothing is left. */
  next(): SliceStep | undefined {
    for (;;) {
      const source = this.#takeSource();
      if (!source) return this.#lastSlice();
      const isGap = this.#open.length > 0 && source.first > this.#last;
      // At least as many new chunks as carried ones: however much overlaps, a chunk is read about three times at most.
      const isFull =
        source.ref &&
        this.#newChunks >= Math.max(this.#options.chunksPerSlice, this.#carried) &&
        source.first > this.#from;
      const step = (isGap && this.#newChunks > 0) || isFull ? this.#cutBefore(source) : undefined;
      this.#open.push(source);
      if (source.last > this.#last) this.#last = source.last;
      if (source.ref) this.#newChunks += 1;
      if (step) return step;
    }
  }

  *[Symbol.iterator](): Generator<PlannedSlice> {
    for (let step = this.next(); step; step = this.next()) yield step.slice;
  }

  #cutBefore({ first: cut }: Source): SliceStep | undefined {
    const slice = this.#sliceUntil(cut - 1n);
    this.#open = this.#open.filter((one) => one.last >= cut);
    this.#carried = this.#open.reduce((count, one) => count + (one.ref ? 1 : 0), 0);
    this.#newChunks = 0;
    this.#from = cut;
    const boundNs = this.#isForward ? cut : -cut;
    return slice && { slice, next: { boundNs, sharesChunks: this.#carried > 0 } };
  }

  #lastSlice(): SliceStep | undefined {
    const slice = this.#sliceUntil(this.#mirrored(this.#options).last);
    this.#open = [];
    return slice && { slice, next: undefined };
  }

  /** What the open sources have from the last cut to `until`; undefined if that is nothing. */
  #sliceUntil(until: bigint): PlannedSlice | undefined {
    const within = this.#open.filter((one) => one.first <= until && one.last >= this.#from);
    let [first, last] = [until, this.#from];
    for (const one of within) {
      if (one.first < first) first = one.first;
      if (one.last > last) last = one.last;
    }
    if (within.length === 0) return undefined;
    if (first < this.#from) first = this.#from;
    if (last > until) last = until;
    const refs = within.flatMap(({ ref }) => ref ?? []);
    return {
      ...(this.#isForward ? { startNs: first, endNs: last } : { startNs: -last, endNs: -first }),
      memory: memoryParts(within),
      refs: this.#isForward ? refs : refs.sort((a, b) => a.fromMs - b.fromMs),
    };
  }

  #takeSource(): Source | undefined {
    const segment = this.#segments.at(-1);
    const place = this.#places.at(-1);
    if (place === undefined || !this.#refs) return this.#segments.pop();
    const bounds = this.#mirrored(boundsOfPlace(this.#refs, place));
    if (segment && segment.first < bounds.first) return this.#segments.pop();
    this.#places.pop();
    return { ...bounds, ref: this.#refs.at(place), order: 0, labels: undefined, segment: undefined };
  }

  /** The first one last. */
  #segmentSources(memory: readonly MemoryStream[]): Source[] {
    const { startNs, endNs } = this.#options;
    const sources: Source[] = [];
    let order = 0;
    for (const { labels, segments } of memory) {
      for (const segment of segments) {
        const bounds = boundsOfSegment(segment);
        if (!bounds || bounds.startNs > endNs || bounds.endNs < startNs) continue;
        sources.push({ ...this.#mirrored(bounds), ref: undefined, order: order++, labels, segment });
      }
    }
    return sources.sort((a, b) => (a.first > b.first ? -1 : a.first < b.first ? 1 : b.order - a.order));
  }

  get #isForward(): boolean {
    return this.#options.direction === 'forward';
  }

  #mirrored({ startNs, endNs }: TimeRangeNs): { readonly first: bigint; readonly last: bigint } {
    return this.#isForward ? { first: startNs, last: endNs } : { first: -endNs, last: -startNs };
  }
}

/** Where a stream's plan begins in its direction; undefined if the stream has nothing in the range. */
export const firstBoundOf = ({ memory, refs }: GatheredStream, options: SlicePlanOptions): bigint | undefined => {
  const { startNs, endNs } = options;
  const isForward = options.direction === 'forward';
  let first: bigint | undefined;
  const see = (bounds: TimeRangeNs): void => {
    if (bounds.startNs > endNs || bounds.endNs < startNs) return;
    const bound = isForward ? later(bounds.startNs, startNs) : earlier(bounds.endNs, endNs);
    if (first === undefined || bound < first === isForward) first = bound;
  };
  for (const { segments } of memory) {
    for (const segment of segments) {
      const bounds = boundsOfSegment(segment);
      if (bounds) see(bounds);
    }
  }
  const stored = refs?.span(wholeMs(options));
  if (stored) see(boundsOfRef(stored));
  return first;
};

const later = (a: bigint, b: bigint): bigint => (a > b ? a : b);
const earlier = (a: bigint, b: bigint): bigint => (a < b ? a : b);

/** Refs that overlap the range, in the order in which a plan of that direction comes to them. */
const placesWithin = (refs: StreamRefs, options: SlicePlanOptions): number[] => {
  const { fromMs, throughMs } = wholeMs(options);
  const places = refs.places().filter((place) => refs.fromMs(place) <= throughMs && refs.throughMs(place) >= fromMs);
  return options.direction === 'forward' ? places : places.sort((a, b) => refs.throughMs(b) - refs.throughMs(a));
};

/** The whole ms within a range. */
const wholeMs = ({ startNs, endNs }: TimeRangeNs): { readonly fromMs: number; readonly throughMs: number } => ({
  fromMs: -floorMs(-startNs),
  throughMs: floorMs(endNs),
});

/** Bounds of a stored chunk: its key has whole milliseconds, rounded outwards. */
export const boundsOfRef = ({ fromMs, throughMs }: Pick<ChunkRef, 'fromMs' | 'throughMs'>): TimeRangeNs => ({
  startNs: BigInt(fromMs) * NS_PER_MS,
  endNs: BigInt(throughMs) * NS_PER_MS,
});

const boundsOfPlace = (refs: StreamRefs, place: number): TimeRangeNs =>
  boundsOfRef({ fromMs: refs.fromMs(place), throughMs: refs.throughMs(place) });

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
