/** The configuration of a soak test's node: everything small, so that all that happens to a node in hours happens in seconds. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { stringify } from 'yaml';
import { PLAIN_LIMITS } from '../support/plain-limits.ts';

const UNLIMITED = {
  ...PLAIN_LIMITS,
  ingestion_rate_mb: 10_000,
  ingestion_burst_size_mb: 10_000,
  per_stream_rate_limit: '10GB',
  per_stream_rate_limit_burst: '10GB',
  max_global_streams_per_user: 0,
  max_entries_limit_per_query: 0,
  max_query_series: 100_000,
};

const SMALL = {
  wal: { file_size: '1MB', batch_size: '512KB', compact_age: '5s', tidy_period: '500ms' },
  chunk_block_size: '8KB',
  chunk_target_size: '48KB',
  chunk_idle_period: '3s',
  max_chunk_age: '20s',
  flush_check_period: '500ms',
  flush_op_timeout: '2s',
  flush_backoff_min: '50ms',
  flush_backoff_max: '1s',
  stream_idle_period: '4s',
  head_memory_budget: '2MB',
  unflushed_memory_max: '8MB',
  append_budget: '2MB',
};

/** @returns the name of the file */
export const writeNodeConfig = (folder: string): string => {
  const file = path.join(folder, 'node.yaml');
  const settings = {
    auth_enabled: true,
    http_listen: '127.0.0.1:0',
    grpc_listen: 'off',
    data_dir: path.join(folder, 'data'),
    ingester: SMALL,
    querier: { max_concurrent: 32, scan_workers: 1 },
    limits: UNLIMITED,
  };
  writeFileSync(file, stringify(settings));
  return file;
};
