import type { LabelMatcher } from '../protocol/matcher.ts';
import type { TimeRangeNs } from '../protocol/time-range.ts';
import { floorMs } from '../protocol/whole-ms.ts';
import { ChunkBound, checkChunkCount } from '../storage/chunk-bound.ts';
import type { StreamRefs } from '../storage/chunk-refs.ts';
import { boundsOfSegment, type Gathered, type GatheredCounts, gatherStreams, shardOf } from './gather-streams.ts';
import type { QueryContext } from './query-context.ts';
import { selectionsOf, type TenantSelection } from './query-tenants.ts';
import type { HiddenEntries } from './scan/hidden-entries.ts';
import { Turns } from './turns.ts';

/** Streams and refs between two looks at the clock, each about a microsecond. */
const COUNTED_PER_LOOK = 256;

/** What is read of one tenant, and from where. */
export interface TenantSources extends TenantSelection {
  readonly hidden: HiddenEntries | undefined;
  readonly gathered: Gathered;
}

/**
 * Where the entries of a range are, of each tenant. Memory is asked before the index, and what is hidden before both.
 * @param asked by the query; what else is in the range is there to judge what is kept, and counts neither against `chunksMax` nor in the statistics
 * @throws RefusedError
 */
export const gatherTenants = async (
  context: QueryContext,
  matchers: readonly LabelMatcher[],
  range: TimeRangeNs,
  asked = range,
): Promise<readonly TenantSources[]> => {
  const selections = selectionsOf(context.request.tenant, matchers);
  const hidden = await Promise.all(selections.map(({ tenant }) => context.hiddenIn(tenant, range)));
  const isWider = range.startNs < asked.startNs || range.endNs > asked.endNs;
  const { shard, limits } = context.request;
  const chunksMax = limits.chunksMax ?? 0;
  const sources: TenantSources[] = [];
  for (const [index, selection] of selections.entries()) {
    const { signal, onMissing } = context;
    const options = { signal, onMissing, bound: new ChunkBound(chunksMax, asked) };
    const whole = await context.orStop(
      gatherStreams(context.sources, selection.tenant, selection.matchers, range, options),
    );
    const counts = isWider ? await countsIn(context, whole, asked) : whole;
    checkChunkCount(counts.chunkRefs, chunksMax);
    context.chunkRefs += counts.chunkRefs;
    context.streamsInMemory += counts.streamsInMemory;
    context.chunksInMemory += counts.chunksInMemory;
    sources.push({ ...selection, hidden: hidden[index], gathered: shard ? shardOf(whole, shard) : whole });
  }
  return sources;
};

/** Of what was gathered, what overlaps a part of the range. */
const countsIn = async (context: QueryContext, gathered: Gathered, range: TimeRangeNs): Promise<GatheredCounts> => {
  const turns = new Turns(context.deps.clock);
  const counts = { chunkRefs: 0, streamsInMemory: 0, chunksInMemory: 0 };
  let looked = 0;
  for (const { memory, refs } of gathered.streams()) {
    const places = refs?.places() ?? [];
    if (refs) counts.chunkRefs += placesIn(refs, places, range);
    for (const { segments } of memory) {
      const segmentCount = segments.filter((segment) => isIn(boundsOfSegment(segment), range)).length;
      counts.chunksInMemory += segmentCount;
      if (segmentCount > 0) counts.streamsInMemory += 1;
      looked += segments.length;
    }
    looked += 1 + places.length;
    if (looked < COUNTED_PER_LOOK) continue;
    looked = 0;
    await turns.breathe();
    context.check();
  }
  return counts;
};

/** By the ms that the index rounds a range to. */
const placesIn = (refs: StreamRefs, places: readonly number[], range: TimeRangeNs): number => {
  const [startMs, endMs] = [floorMs(range.startNs), -floorMs(-range.endNs)];
  let count = 0;
  for (const place of places) {
    if (refs.fromMs(place) <= endMs && refs.throughMs(place) >= startMs) count += 1;
  }
  return count;
};

const isIn = (bounds: TimeRangeNs | undefined, { startNs, endNs }: TimeRangeNs): boolean =>
  bounds !== undefined && bounds.startNs <= endNs && bounds.endNs >= startNs;
