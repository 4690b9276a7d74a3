import { executeQuery } from '../../../src/query/execute-query.ts';
import type { QueryDeps, ScanPool } from '../../../src/query/query-context.ts';
import {
  type LogEntry,
  NO_STATISTICS,
  type QueryEvent,
  type QueryRequest,
  type QueryResult,
} from '../../../src/query/query-messages.ts';
import type { QuerySources } from '../../../src/query/query-source.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { inThreadPool } from './scan-pools.ts';

const pool = inThreadPool();

export const eventsOf = async (
  request: QueryRequest,
  sources: QuerySources,
  scanPool: ScanPool = pool,
  places?: QueryDeps['places'],
  hidden?: QueryDeps['hidden'],
): Promise<QueryEvent[]> => {
  const events: QueryEvent[] = [];
  const deps = { scanPool, clock: systemClock, places, hidden };
  await executeQuery(request, sources, deps, new AbortController().signal, (event) => {
    events.push(event);
    return Promise.resolve();
  });
  return events;
};

/** The whole answer; entries of streams that came in several events are put together. */
export const answerOf = async (
  request: QueryRequest,
  sources: QuerySources,
  scanPool: ScanPool = pool,
  places?: QueryDeps['places'],
  hidden?: QueryDeps['hidden'],
): Promise<QueryResult> => {
  const streams = new Map<string, { labels: readonly string[]; entries: LogEntry[] }>();
  let result: QueryResult | undefined;
  for (const event of await eventsOf(request, sources, scanPool, places, hidden)) {
    switch (event.type) {
      case 'entries':
        for (const { labels, entries } of event.streams) {
          const known = streams.get(JSON.stringify(labels));
          if (known) known.entries.push(...entries);
          else streams.set(JSON.stringify(labels), { labels, entries: [...entries] });
        }
        break;
      case 'series': {
        const before = result?.type === 'matrix' || result?.type === 'vector' ? result.series : [];
        result = { type: event.resultType, series: [...before, ...event.series], statistics: NO_STATISTICS };
        break;
      }
      case 'scalar':
        result = { ...event, statistics: NO_STATISTICS };
        break;
      case 'done':
        return { ...(result ?? { type: 'streams', streams: [...streams.values()] }), statistics: event.statistics };
      case 'failed':
        break;
    }
  }
  throw new Error('the query ended without an answer');
};
