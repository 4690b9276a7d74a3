import type { Limits } from './limits.ts';

/** Limits that stand in the way more the smaller they are; 0 = none. */
const SMALLEST = [
  'maxQuerySeries',
  'maxQueryLookbackMs',
  'maxQueryLengthMs',
  'maxQueryRangeMs',
  'maxStreamsMatchersPerQuery',
  'maxEntriesLimitPerQuery',
  'maxChunksPerQuery',
  'queryTimeoutMs',
  'maxQueryBytesRead',
  'maxQuerierBytesRead',
  'volumeMaxSeries',
  'splitQueriesByIntervalMs',
] as const satisfies readonly (keyof Limits)[];

/** What a query about several tenants may do: what each of them may. At least one. */
export const strictest = (all: readonly Limits[]): Limits => {
  const [first, ...others] = all;
  if (!first) throw new Error('limits of nobody');
  if (others.length === 0) return first;
  const smallest = SMALLEST.map((name) => {
    const bounds = all.map((limits) => limits[name]).filter((bound) => bound > 0);
    return [name, bounds.length > 0 ? Math.min(...bounds) : 0] as const;
  });
  return {
    ...first,
    ...Object.fromEntries(smallest),
    requiredLabels: [...new Set(all.flatMap(({ requiredLabels }) => requiredLabels))],
    minimumLabelsNumber: Math.max(...all.map(({ minimumLabelsNumber }) => minimumLabelsNumber)),
    blockedQueries: all.flatMap(({ blockedQueries }) => blockedQueries),
    maxQueryParallelism: Math.min(...all.map(({ maxQueryParallelism }) => maxQueryParallelism)),
    maxCacheFreshnessPerQueryMs: Math.max(...all.map(({ maxCacheFreshnessPerQueryMs }) => maxCacheFreshnessPerQueryMs)),
    volumeEnabled: all.every(({ volumeEnabled }) => volumeEnabled),
  };
};
