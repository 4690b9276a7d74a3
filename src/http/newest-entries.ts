import type { NodeServices } from '../actors/node-services.ts';
import { parseLogExpr } from '../logql/parser.ts';
import { queryLimitsOf } from '../query/query-limits.ts';
import type { LogEntry, QueryRequest } from '../query/query-messages.ts';
import type { Turns } from '../query/turns.ts';
import type { EdgeLimits } from './edge-options.ts';
import type { TimeBounds } from './parameters.ts';
import { checkQueryLimits } from './query-checks.ts';

export interface NewestEntries {
  readonly tenant: string;
  /** A log query. */
  readonly query: string;
  readonly limits: EdgeLimits;
  /** As they are asked for. */
  readonly bounds: TimeBounds;
  /** What of them may be read; undefined: nothing. */
  readonly range: TimeBounds | undefined;
  /** Entries, over all streams. */
  readonly limit: number;
}

/** The newest entries that a log query finds, stream by stream, with a turn for others in between. @throws RefusedError */
export const eachNewestEntry = async (
  services: Pick<NodeServices, 'queryAll'>,
  { tenant, query, limits, bounds, range, limit }: NewestEntries,
  signal: AbortSignal,
  turns: Turns,
  visit: (stream: readonly string[], entry: LogEntry) => void,
): Promise<void> => {
  checkQueryLimits(parseLogExpr(query), { ...bounds, limit, isInstant: false }, limits);
  if (!range) return;
  const request: QueryRequest = {
    ...range,
    tenant,
    query,
    limit,
    stepNs: 0n,
    isInstant: false,
    direction: 'backward',
    intervalNs: 0n,
    categorizeLabels: true,
    limits: queryLimitsOf(limits),
  };
  const result = await services.queryAll(request, signal);
  if (result.type !== 'streams') return;
  for (const { labels, entries } of result.streams) {
    for (const entry of entries) {
      visit(labels, entry);
      await turns.breathe();
    }
  }
};
