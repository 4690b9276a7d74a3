import type { LabelMatcher } from '../protocol/matcher.ts';
import type { TimeRangeNs } from '../protocol/time-range.ts';
import { floorMs } from '../protocol/whole-ms.ts';
import { ChunkBound, checkChunkCount } from '../storage/chunk-bound.ts';
import { type Gathered, gatherStreams, shardOf } from './gather-streams.ts';
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
 * @param asked by the query; what else is in the range is there to judge what is kept, and does not count against `chunksMax`
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
  const sources: TenantSources[] = [];
  for (const [index, selection] of selections.entries()) {
    const { shard, limits } = context.request;
    const { signal, onMissing } = context;
    const options = { signal, onMissing, bound: new ChunkBound(limits.chunksMax ?? 0, asked) };
    const whole = await context.orStop(
      gatherStreams(context.sources, selection.tenant, selection.matchers, range, options),
    );
    const gathered = shard ? shardOf(whole, shard) : whole;
    await checkChunks(context, whole, asked);
    context.chunkRefs += gathered.chunkRefs;
    context.streamsInMemory += gathered.streamsInMemory;
    context.chunksInMemory += gathered.chunksInMemory;
    sources.push({ ...selection, hidden: hidden[index], gathered });
  }
  return sources;
};

/** @throws RefusedError INVALID_QUERY if more chunks than the limit overlap the range */
const checkChunks = async (context: QueryContext, gathered: Gathered, range: TimeRangeNs): Promise<void> => {
  const { chunksMax = 0 } = context.request.limits;
  if (chunksMax === 0 || gathered.chunkRefs <= chunksMax) return;
  checkChunkCount(await chunksIn(context, gathered, range), chunksMax);
};

const chunksIn = async (context: QueryContext, gathered: Gathered, range: TimeRangeNs): Promise<number> => {
  const turns = new Turns(context.deps.clock);
  const [startMs, endMs] = [floorMs(range.startNs), -floorMs(-range.endNs)];
  let count = 0;
  let looked = 0;
  for (const { refs } of gathered.streams()) {
    const places = refs?.places() ?? [];
    for (const place of places) {
      if (refs && refs.fromMs(place) <= endMs && refs.throughMs(place) >= startMs) count += 1;
    }
    looked += 1 + places.length;
    if (looked < COUNTED_PER_LOOK) continue;
    looked = 0;
    await turns.breathe();
    context.check();
  }
  return count;
};
