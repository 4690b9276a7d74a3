/**
 * Every setting with its default and its bounds; how they are read stands in config.ts. Names are Loki's where Loki has the setting.
 */
import { z } from 'zod';
import { BLOCK_ENCODINGS } from './chunk/block-encoding.ts';
import { DEFAULT_GZIP_LEVEL } from './chunk/gzip-level.ts';
import { WEIGHT_MAX } from './cluster/view.ts';
import { BIGTABLE_DURATION_KEYS, tableManager } from './config-bigtable.ts';
import { COMPACTOR_DURATION_KEYS, compactor } from './config-compactor.ts';
import { RULER_DURATION_KEYS, ruler } from './config-ruler.ts';
import { CHUNK_STORES, cacheConfig, chunkStoreConfig, storageConfig } from './config-storage.ts';
import { duration, flag, listenAddress, oneOf, size, text, wholeNumber } from './config-values.ts';
import { INDEX_STORES } from './storage/schema-config.ts';

const period = z.strictObject({
  from: text('a day as YYYY-MM-DD', /^\d{4}-\d{2}-\d{2}$/),
  schema: text('one of v9, v10, v11, v12, v13', /^v\d+$/),
  store: oneOf(INDEX_STORES).optional(),
  object_store: oneOf(CHUNK_STORES).optional(),
  index: z
    .strictObject({
      prefix: text('1 to 64 letters, digits or _ . -', /^[A-Za-z0-9_.-]{1,64}$/).prefault('index_'),
      period: duration({ min: '0s', max: '10000d' }).prefault('168h'),
    })
    .prefault({}),
  row_shards: wholeNumber(1, 1024).prefault(16),
});

/** The write-ahead log, in the folder `log` of the data folder. */
const wal = z.strictObject({
  /** Without it an acknowledged push is lost if the process ends before its chunk is stored. */
  enabled: flag().prefault(true),
  /** fsync: what is acknowledged survives power loss; os: the end of the process. */
  sync: oneOf(['fsync', 'os']).prefault('fsync'),
  file_size: size({ min: '1MB', max: '1GB' }).prefault('64MB'),
  /** Of each of the two buffers of the group commit. A line must fit into one. */
  batch_size: size({ min: '512KB', max: '64MB' }).prefault('4MB'),
  /** A node that stops stores everything first, in small chunks; otherwise the next one finds it in the log. */
  flush_on_shutdown: flag().prefault(false),
  /** A file that is older and mostly flushed is rewritten, so that what is left of it does not keep its space. */
  compact_age: duration({ min: '1s', max: '365d' }).prefault('30m'),
  /** How often files are looked at that could be removed or rewritten. */
  tidy_period: duration({ min: '100ms', max: '1h' }).prefault('10s'),
  /** Of the disk that the log is on; over it pushes are refused, so that flushes can still be recorded. */
  disk_used_percent_max: wholeNumber(1, 100).prefault(95),
});

const ingester = z.strictObject({
  wal: wal.prefault({}),
  /** A block is cut when its lines reach this. */
  chunk_block_size: size({ min: '1KB', max: '4MB' }).prefault('256KB'),
  /** A chunk is full when its compressed blocks and open lines reach this. */
  chunk_target_size: size({ min: '1KB', max: '64MB' }).prefault('1536KB'),
  chunk_encoding: oneOf(BLOCK_ENCODINGS).prefault('gzip'),
  gzip_level: wholeNumber(1, 9).prefault(DEFAULT_GZIP_LEVEL),
  chunk_idle_period: duration({ min: '1s', max: '365d' }).prefault('30m'),
  max_chunk_age: duration({ min: '1s', max: '365d' }).prefault('2h'),
  flush_check_period: duration({ min: '10ms', max: '365d' }).prefault('30s'),
  /** Segments on their way to the store at a time. */
  concurrent_flushes: wholeNumber(1, 1024).prefault(64),
  flush_op_timeout: duration({ min: '1s', max: '24h' }).prefault('10m'),
  flush_backoff_min: duration({ min: '1ms', max: '1h' }).prefault('500ms'),
  flush_backoff_max: duration({ min: '1ms', max: '1h' }).prefault('30s'),
  /** An empty stream gives up its actor after this long without an append. */
  stream_idle_period: duration({ min: '1s', max: '365d' }).prefault('15m'),
  /** Open columns of all streams; beyond it the largest are cut early into smaller blocks. */
  head_memory_budget: size({ min: '1MB', max: '1024GB' }).prefault('96MB'),
  /** Unflushed bytes of all streams; at three quarters chunks are flushed early, beyond it pushes are refused. */
  unflushed_memory_max: size({ min: '1MB', max: '1024GB' }).prefault('1GB'),
  /** Bytes of pushes and cuts in flight; beyond it pushes wait. */
  append_budget: size({ min: '1MB', max: '64GB' }).prefault('32MB'),
  append_waiting_max: wholeNumber(0, 1_000_000).prefault(1000),
  append_wait_max: duration({ min: '1ms', max: '10m' }).prefault('5s'),
  /** Parsed label sets that are kept for the next push. */
  label_cache_size: size({ min: '64KB', max: '16GB' }).prefault('32MB'),
  /** Threads that compress; 0 = one per core. */
  cut_workers: wholeNumber(0, 256).prefault(0),
});

const querier = z.strictObject({
  /** A query may name several tenants (`X-Scope-OrgID: a|b`). */
  multi_tenant_queries_enabled: flag().prefault(false),
  /** Queries of one tenant at a time. */
  max_concurrent: wholeNumber(1, 10_000).prefault(8),
  /** Queries of all tenants at a time; tenants take turns for them. */
  max_concurrent_of_node: wholeNumber(1, 100_000).prefault(64),
  /** Queries of one tenant that may wait. */
  max_outstanding_per_tenant: wholeNumber(0, 100_000).prefault(100),
  /** Threads that scan; 0 = one per core. */
  scan_workers: wholeNumber(0, 256).prefault(0),
  /** Scan tasks that may wait for a thread. */
  scan_queue_max: wholeNumber(1, 1_000_000).prefault(10_000),
  tail_max_duration: duration({ min: '1s', max: '24h' }).prefault('1h'),
});

/** Parts of answers of metric queries over a range, in memory: limits `split_queries_by_interval` and `max_cache_freshness_per_query`. */
const queryRange = z.strictObject({
  cache_results: flag().prefault(true),
  results_cache: z.strictObject({ cache: cacheConfig(true, 100) }).prefault({}),
});

const server = z.strictObject({
  /** The largest push, as it came and inflated. */
  max_push_size: size({ min: '1KB', max: '1GB' }).prefault('100MB'),
  /** gRPC messages to us. */
  grpc_max_receive_size: size({ min: '1KB', max: '1GB' }).prefault('4MB'),
  http_read_timeout: duration({ min: '1s', max: '24h' }).prefault('30s'),
  graceful_shutdown_timeout: duration({ min: '0s', max: '24h' }).prefault('30s'),
});

/** Several nodes with the same stores. Off: a node alone. */
const cluster = z.strictObject({
  enabled: flag().prefault(false),
  /** Of this node, the same at every start: its place on the ring. */
  node_id: text('1 to 64 letters, digits or . _ -', /^[A-Za-z0-9._-]{1,64}$/).prefault('node-1'),
  /** Nodes of one zone may fail together. */
  zone: text('up to 64 letters, digits or . _ -', /^[A-Za-z0-9._-]{0,64}$/).prefault(''),
  /** Share of the streams beside the other nodes. */
  weight: wholeNumber(1, WEIGHT_MAX).prefault(1),
  /** For the other nodes. */
  listen: listenAddress().prefault('127.0.0.1:9195'),
  /** Where the other nodes reach this one, if that is not `listen`. */
  advertise: text('host:port, or nothing', /^(.+:\d+)?$/).prefault(''),
  membership: z
    .strictObject({
      store: oneOf(['embedded', 'etcd']).prefault('embedded'),
      /** embedded: the socket of the process that keeps the members of this machine (`ringlog cluster` is one). */
      socket: text('the name of a socket', /./).prefault('./ringlog-members.sock'),
      etcd_endpoints: z.array(text('a URL', /^https?:\/\/.+$/)).prefault(['http://127.0.0.1:2379']),
      /** Of all keys in etcd. */
      prefix: text('1 to 64 letters, digits or . _ -', /^[A-Za-z0-9._-]{1,64}$/).prefault('ringlog'),
      /** A node that is not heard of for so long is gone. */
      lease_ttl: duration({ min: '2s', max: '10m' }).prefault('30s'),
      lease_keep_alive: duration({ min: '100ms', max: '1m' }).prefault('5s'),
    })
    .prefault({}),
  /** What moved away still answers queries that began before. */
  linger: duration({ min: '0s', max: '10m' }).prefault('15s'),
  /** For tests and demos: a linger below 10 s. A query that began before a move may find neither copy of what moved, and miss it. */
  unsafe_short_linger: flag().prefault(false),
  /** Mutual TLS between nodes: all three, or none. */
  tls: z
    .strictObject({
      ca_file: text('the name of a file, or nothing', /^.*$/).prefault(''),
      cert_file: text('the name of a file, or nothing', /^.*$/).prefault(''),
      key_file: text('the name of a file, or nothing', /^.*$/).prefault(''),
      /** The name in the certificates of the other nodes, where it is not the host of their addresses. */
      server_name: text('a host name, or nothing', /^.*$/).prefault(''),
    })
    .prefault({}),
});

export const configSchema = z.strictObject({
  /** With it each request names its tenant (X-Scope-OrgID); without it there is one, `fake`. */
  auth_enabled: flag().prefault(false),
  http_listen: listenAddress().prefault('127.0.0.1:3100'),
  grpc_listen: listenAddress().prefault('127.0.0.1:9095'),
  /** The node's own: its log, its identity, and the embedded stores unless they have a folder of their own. */
  data_dir: text('the name of a folder', /./).prefault('./ringlog-data'),
  /** Of the embedded stores, where several nodes of a machine share them. */
  store_dir: text('the name of a folder, or nothing', /^.*$/).prefault(''),
  log_level: oneOf(['trace', 'debug', 'info', 'warn', 'error', 'silent']).prefault('info'),
  ingester: ingester.prefault({}),
  querier: querier.prefault({}),
  query_range: queryRange.prefault({}),
  server: server.prefault({}),
  cluster: cluster.prefault({}),
  storage_config: storageConfig.prefault({}),
  chunk_store_config: chunkStoreConfig.prefault({}),
  table_manager: tableManager.prefault({}),
  compactor: compactor.prefault({}),
  ruler: ruler.prefault({}),
  schema_config: z.strictObject({ configs: z.array(period).min(1, 'want at least one period') }).prefault({
    configs: [{ from: '2020-01-01', schema: 'v13' }],
  }),
  /** Overrides in a file that is read again while the node runs. */
  runtime_config: z
    .strictObject({
      file: text('the name of a file, or nothing', /^.*$/).prefault(''),
      period: duration({ min: '1s', max: '1h' }).prefault('10s'),
    })
    .prefault({}),
  /** Checked by their own reader, protocol/limits.ts; `overrides` holds what differs, by tenant. */
  limits: z.unknown().optional(),
  overrides: z.unknown().optional(),
});

/** Settings as they run: sizes in bytes, durations in ms. */
export type Settings = z.output<typeof configSchema>;

/** Settings that are durations, wherever they stand: printed as such. */
export const DURATION_KEYS: ReadonlySet<string> = new Set([
  'period',
  'compact_age',
  'tidy_period',
  'chunk_idle_period',
  'max_chunk_age',
  'flush_check_period',
  'flush_op_timeout',
  'flush_backoff_min',
  'flush_backoff_max',
  'stream_idle_period',
  'append_wait_max',
  'tail_max_duration',
  'http_read_timeout',
  'graceful_shutdown_timeout',
  'lease_ttl',
  'lease_keep_alive',
  'linger',
  'request_timeout',
  'call_timeout',
  ...BIGTABLE_DURATION_KEYS,
  ...COMPACTOR_DURATION_KEYS,
  ...RULER_DURATION_KEYS,
]);
