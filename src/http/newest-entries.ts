import type { NodeServices } from '../actors/node-services.ts';
import { parseLogExpr } from '../logql/parser.ts';
import { queryLimitsOf } from '../query/query-limits.ts';
import type { LogEntry, QueryRequest } from '../query/query-messages.ts';
import type { Turns } from '../query/turns.ts';
import type { AskedBounds } from './asked-range.ts';
import { readableQuery } from './query-checks.ts';

export interface NewestEntries extends AskedBounds {
  /** A log query. */
  readonly query: string;
  /** Entries, over all streams. */
  readonly limit: number;
}

/**
 * The newest entries that a log query finds, stream by stream, with a turn for others in between.
 * @throws RefusedError also INVALID_QUERY, for what this query would be refused for by itself
 */
export const eachNewestEntry = async (
  services: Pick<NodeServices, 'queryAll'>,
  { tenant, query, limits, bounds, nowNs, limit }: NewestEntries,
  signal: AbortSignal,
  turns: Turns,
  visit: (stream: readonly string[], entry: LogEntry) => void,
): Promise<void> => {
  const asked = { ...bounds, limit, isInstant: false };
  const within = readableQuery(query, parseLogExpr(query), asked, limits, nowNs);
  if (!within) return;
  const request: QueryRequest = {
    ...within,
    tenant,
    query,
    stepNs: 0n,
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
