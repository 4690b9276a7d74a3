import type { Limits } from '../protocol/limits.ts';
import type { QueryLimits } from './query-messages.ts';

/** What a tenant's queries may take. */
export const queryLimitsOf = (limits: Limits): QueryLimits => ({
  timeoutMs: limits.queryTimeoutMs,
  bytesReadMax: limits.maxQueryBytesRead,
  querierBytesReadMax: limits.maxQuerierBytesRead,
  seriesMax: limits.maxQuerySeries,
  chunksMax: limits.maxChunksPerQuery,
  tasksMax: limits.maxQueryParallelism,
});
