import { type Config, type ConfigInput, loadConfig } from '../../src/config.ts';
import { type NodeDeps, type RinglogNode, startNode } from '../../src/node.ts';
import { type NodeWorkers, startWorkers } from '../../src/node-workers.ts';
import type { LogStream, QueryRequest } from '../../src/query/query-messages.ts';
import { MS_NS, T0_NS } from './entries.ts';
import { PLAIN_LIMITS } from './plain-limits.ts';
import { MemoryChunkStore } from './stores/memory-chunk-store.ts';
import { MemoryIndexStore } from './stores/memory-index-store.ts';

/** Small enough that a test cuts blocks and fills chunks, and open to entries of any age. */
export const testConfig = (settings: ConfigInput = {}): Config =>
  loadConfig({
    flags: {
      log_level: 'silent',
      ...settings,
      ingester: {
        chunk_block_size: 2048,
        chunk_target_size: 4096,
        flush_check_period: '1h',
        flush_backoff_min: '1ms',
        flush_backoff_max: '20ms',
        cut_workers: 1,
        ...(settings['ingester'] as object),
      },
      querier: { scan_workers: 1, ...(settings['querier'] as object) },
      limits: {
        ...PLAIN_LIMITS,
        reject_old_samples: false,
        ingestion_rate_mb: 1000,
        ingestion_burst_size_mb: 1000,
        per_stream_rate_limit: '1GB',
        per_stream_rate_limit_burst: '1GB',
        max_global_streams_per_user: 0,
        max_entries_limit_per_query: 0,
        ...(settings['limits'] as object),
      },
    },
  });

let workers: NodeWorkers | undefined;

/** Threads take a second to start under tsx: all nodes of a test run share them. They do not keep the process alive. */
export const sharedWorkers = (): NodeWorkers => {
  workers ??= startWorkers(testConfig());
  return workers;
};

export interface TestNode {
  readonly node: RinglogNode;
  readonly chunks: MemoryChunkStore;
  readonly index: MemoryIndexStore;
  /** What the node reported as wrong. */
  readonly problems: string[];
}

/** A node over memory stores. The stores outlive it: give them to the next one to restart. */
export const startTestNode = async (
  settings: ConfigInput = {},
  deps: NodeDeps & { chunks?: MemoryChunkStore; index?: MemoryIndexStore } = {},
): Promise<TestNode> => {
  const chunks = deps.chunks ?? new MemoryChunkStore();
  const index = deps.index ?? new MemoryIndexStore();
  const problems: string[] = [];
  const log = {
    info: () => undefined,
    warn: (_fields: object, text: string) => problems.push(text),
    error: (_fields: object, text: string) => problems.push(text),
  };
  const node = await startNode(testConfig(settings), { log, workers: sharedWorkers(), ...deps, chunks, index });
  return { node, chunks, index, problems };
};

export const logRequest = (query: string, request: Partial<QueryRequest> = {}): QueryRequest => ({
  tenant: 'tenant',
  query,
  startNs: T0_NS - 86_400_000n * MS_NS,
  endNs: T0_NS + 86_400_000n * MS_NS,
  stepNs: 0n,
  isInstant: false,
  limit: 1_000_000,
  direction: 'forward',
  intervalNs: 0n,
  categorizeLabels: false,
  limits: { timeoutMs: 20_000, bytesReadMax: 0, seriesMax: 0 },
  ...request,
});

/** All lines a log query finds, stream by stream, in order. */
export const linesOf = async (
  node: RinglogNode,
  query: string,
  request: Partial<QueryRequest> = {},
): Promise<readonly string[]> => {
  const result = await node.services.queryAll(logRequest(query, request), new AbortController().signal);
  if (result.type !== 'streams') throw new Error(`expected streams, got ${result.type}`);
  return result.streams.flatMap(({ entries }: LogStream) => entries.map(({ line }) => line));
};
