import type { LabelMatcher } from '../protocol/matcher.ts';
import { RefusedError } from '../protocol/refusal.ts';
import type { TimeRangeNs } from '../protocol/time-range.ts';
import { type Gathered, gatherStreams, shardOf } from './gather-streams.ts';
import type { QueryContext } from './query-context.ts';
import { selectionsOf, type TenantSelection } from './query-tenants.ts';
import type { HiddenEntries } from './scan/hidden-entries.ts';

/** What is read of one tenant, and from where. */
export interface TenantSources extends TenantSelection {
  readonly hidden: HiddenEntries | undefined;
  readonly gathered: Gathered;
}

/** Where the entries of a range are, of each tenant. Memory is asked before the index, and what is hidden before both. @throws RefusedError */
export const gatherTenants = async (
  context: QueryContext,
  matchers: readonly LabelMatcher[],
  range: TimeRangeNs,
): Promise<readonly TenantSources[]> => {
  const selections = selectionsOf(context.request.tenant, matchers);
  const hidden = await Promise.all(selections.map(({ tenant }) => context.hiddenIn(tenant, range)));
  const sources: TenantSources[] = [];
  for (const [index, selection] of selections.entries()) {
    const { shard } = context.request;
    const whole = await context.orStop(
      gatherStreams(context.sources, selection.tenant, selection.matchers, range, context.signal, context.onMissing),
    );
    const gathered = shard ? shardOf(whole, shard) : whole;
    checkChunks(gathered.chunkRefs, context.request.limits.chunksMax);
    context.chunkRefs += gathered.chunkRefs;
    context.streamsInMemory += gathered.streamsInMemory;
    context.chunksInMemory += gathered.chunksInMemory;
    sources.push({ ...selection, hidden: hidden[index], gathered });
  }
  return sources;
};

const checkChunks = (matched: number, max = 0): void => {
  if (max === 0 || matched <= max) return;
  throw new RefusedError({
    code: 'INVALID_QUERY',
    text:
      `the query hit the max number of chunks limit (limit: ${max} chunks, matched: ${matched} chunks); ` +
      'consider adding more specific stream selectors or reducing the query time range',
  });
};
