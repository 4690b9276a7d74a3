/** What the settings mean to the actors of a node. */
import type { LocalNodeOptions } from './actors/local-node-options.ts';
import type { Config } from './config.ts';
import type { NodeIdentity } from './node-identity.ts';
import { CUTS_PER_WORKER } from './node-workers.ts';

const NS_PER_MS = 1_000_000n;
const RETRY_AFTER_MS = 1000;

export const localNodeOptions = (
  { ingester, querier, schema, limits }: Config,
  cutWorkers: number,
  { uid, incarnation }: NodeIdentity,
  hasLog: boolean,
): LocalNodeOptions => ({
  nodeId: uid,
  incarnation,
  blockSize: ingester.chunk_block_size,
  targetSize: ingester.chunk_target_size,
  encoding: ingester.chunk_encoding,
  level: ingester.gzip_level,
  rules: {
    idleMs: ingester.chunk_idle_period,
    ageNs: BigInt(ingester.max_chunk_age) * NS_PER_MS,
    passivateMs: ingester.stream_idle_period,
  },
  flushCheckMs: ingester.flush_check_period,
  flushConcurrencyMax: ingester.concurrent_flushes,
  flushTimeoutMs: ingester.flush_op_timeout,
  flushesAtStop: !hasLog || ingester.wal.flush_on_shutdown,
  flushBackOff: { firstMs: ingester.flush_backoff_min, lastMs: ingester.flush_backoff_max },
  headBytesMax: ingester.head_memory_budget,
  unflushedBytesMax: ingester.unflushed_memory_max,
  append: {
    bytesMax: ingester.append_budget,
    waitingMax: ingester.append_waiting_max,
    waitMsMax: ingester.append_wait_max,
    retryAfterMs: RETRY_AFTER_MS,
  },
  labelCacheBytes: ingester.label_cache_size,
  cutConcurrencyMax: CUTS_PER_WORKER * cutWorkers,
  gate: {
    runningMax: querier.max_concurrent_of_node,
    runningPerTenantMax: querier.max_concurrent,
    waitingPerTenantMax: querier.max_outstanding_per_tenant,
  },
  schema,
  limits,
});
