/** A log query as far as it gets before it needs a chunk: all chunks of its selector are found and all streams are in line. */
import type { TimeRangeNs } from '../../../src/protocol/time-range.ts';
import { executeQuery } from '../../../src/query/execute-query.ts';
import type { IndexReader } from '../../../src/storage/index-reader.ts';
import { systemClock } from '../../../src/system-clock.ts';

/** Resolves once it asks for its first chunk. */
export const openedQuery = async (index: IndexReader, range: TimeRangeNs): Promise<void> => {
  const ending = new AbortController();
  let isOpen = false;
  const fetch = async (): Promise<undefined> => {
    isOpen = true;
    ending.abort();
    return undefined;
  };
  const request = {
    tenant: 'bench',
    query: '{app="bench"}',
    ...range,
    stepNs: 0n,
    isInstant: false,
    limit: 100,
    direction: 'backward',
    intervalNs: 0n,
    categorizeLabels: false,
    limits: { timeoutMs: 0, bytesReadMax: 0, seriesMax: 0 },
  } as const;
  const sources = {
    memory: { select: async () => [], subscribe: () => () => undefined },
    stored: { index, chunks: { get: fetch, getRange: fetch } },
  };
  const deps = { scanPool: { size: 2, run: () => Promise.reject(new Error('nothing to scan')) }, clock: systemClock };
  await executeQuery(request, sources, deps, ending.signal, async () => undefined).catch((error: unknown) => {
    if (!isOpen) throw error;
  });
};
