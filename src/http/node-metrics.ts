/** What the node counts in plain fields, copied into metrics when they are asked for: nothing here costs a push anything. */
import { Counter, Gauge, type Registry } from 'prom-client';
import type { NodeFigures } from '../actors/local-node-options.ts';
import { type MemberState, missingDisks, type View } from '../cluster/view.ts';
import type { RoutingFigures } from '../member/append-routing.ts';
import type { MemberFigures } from '../member/cluster-services.ts';
import type { HandoverFigures } from '../member/handover.ts';
import { addCompactionMetrics } from './compaction-metrics.ts';

type FiguresOf = () => NodeFigures;

const addGauge = (
  registry: Registry,
  name: string,
  help: string,
  read: () => number,
  labels: Readonly<Record<string, string>> = {},
): void => {
  new Gauge({
    name,
    help,
    labelNames: Object.keys(labels),
    registers: [registry],
    collect() {
      this.set(labels, read());
    },
  });
};

const addCounter = (
  registry: Registry,
  name: string,
  help: string,
  read: () => number,
  labels: Readonly<Record<string, string>> = {},
): void => {
  new Counter({
    name,
    help,
    labelNames: Object.keys(labels),
    registers: [registry],
    collect() {
      this.reset();
      this.inc(labels, read());
    },
  });
};

/** Adds whether the node may be sent requests, as `/ready` says. */
export const addReadyMetric = (registry: Registry, notReady: () => string | undefined): void =>
  addGauge(registry, 'ringlog_ready', '1 while /ready answers 200.', () => Number(notReady() === undefined));

/** Adds what a node does as a member of a cluster. */
export const addMemberMetrics = (registry: Registry, { figures, routing, handover, view }: ClusterFigures): void => {
  new Gauge({
    name: 'ringlog_cluster_members',
    help: 'Members as this one sees them, by their state.',
    labelNames: ['state'],
    registers: [registry],
    collect() {
      const counts: Record<MemberState, number> = { JOINING: 0, ACTIVE: 0, LEAVING: 0 };
      for (const { state } of view().members) counts[state] += 1;
      for (const [state, count] of Object.entries(counts)) this.set({ state }, count);
    },
  });
  const gauges: readonly (readonly [string, string, () => number])[] = [
    [
      'missing_disks',
      'Disks that left with what is on them: until they are back queries are refused.',
      () => missingDisks(view()).length,
    ],
    ['unsettled', '1 while something here is for another node, or lingers.', () => Number(!figures().isSettled)],
    ['moving_segments', 'Segments that go to another node.', () => figures().moving],
    ['lingering_segments', 'Segments that went, and still answer queries.', () => figures().lingering],
    ['moving_bytes', 'Bytes on their way to other nodes.', () => figures().movingBytes],
    [
      'fence_remaining_seconds',
      'Until nothing is acknowledged unless the lease is renewed.',
      () => figures().fenceMs / 1000,
    ],
  ];
  for (const [name, help, read] of gauges) addGauge(registry, `ringlog_cluster_${name}`, help, read);
  const counters: readonly (readonly [string, string, () => number])[] = [
    ['forwarded_streams_total', 'Streams of pushes sent to their owner.', () => routing().forwarded],
    [
      'fallback_streams_total',
      'Streams of pushes that went to another node than their owner.',
      () => routing().fallbacks,
    ],
    ['unplaced_streams_total', 'Streams of pushes that no node took.', () => routing().failed],
    ['given_segments_total', 'Segments that another node adopted.', () => handover().givenSegments],
    ['given_bytes_total', 'Bytes of them.', () => handover().givenBytes],
    ['taken_segments_total', 'Segments adopted from other nodes.', () => handover().taken],
  ];
  for (const [name, help, read] of counters) addCounter(registry, `ringlog_cluster_${name}`, help, read);
};

/** What a member counts. */
export interface ClusterFigures {
  readonly figures: () => MemberFigures;
  readonly routing: () => RoutingFigures;
  readonly handover: () => HandoverFigures;
  readonly view: () => View;
}

const addFlushed = (registry: Registry, figures: FiguresOf): void => {
  new Counter({
    name: 'loki_ingester_chunks_flushed_total',
    help: 'Chunks written to the store, by the reason of the flush.',
    labelNames: ['reason'],
    registers: [registry],
    collect() {
      this.reset();
      for (const [reason, count] of Object.entries(figures().flush.flushed)) this.inc({ reason }, count);
    },
  });
};

const isDiskFull = ({ log }: NodeFigures): boolean => log !== undefined && log.diskBytesLeft < 0;

/** Adds a node's figures to the registry. */
export const addNodeMetrics = (registry: Registry, figures: FiguresOf): void => {
  const gauges: readonly (readonly [string, string, () => number])[] = [
    ['loki_ingester_memory_streams', 'Streams with an actor.', () => figures().streams],
    ['ringlog_head_bytes', 'Bytes of the open columns of all streams.', () => figures().headBytes],
    ['ringlog_head_bytes_max', 'Beyond it heads are cut early.', () => figures().headBytesMax],
    ['ringlog_unflushed_bytes', 'Bytes not in the store yet, of all streams.', () => figures().unflushedBytes],
    ['ringlog_unflushed_bytes_max', 'Beyond it pushes are refused.', () => figures().unflushedBytesMax],
    ['ringlog_append_bytes_in_flight', 'Bytes of pushes and cuts in flight.', () => figures().appendBytesInFlight],
    ['ringlog_pushes_waiting', 'Pushes that wait for room.', () => figures().pushesWaiting],
    ['ringlog_queries_running', 'Queries of all tenants that run.', () => figures().queries.running],
    ['ringlog_queries_waiting', 'Queries of all tenants that wait for their turn.', () => figures().queries.waiting],
    ['ringlog_cuts_pending', 'Heads that wait to be compressed.', () => figures().cutsPending],
    ['ringlog_flushes_pending', 'Chunks on their way to the store.', () => figures().flush.pending],
    ['ringlog_recovered_segments', 'Segments of earlier processes in the log.', () => figures().recoveredSegments],
    ['ringlog_log_files', 'Files of the log.', () => figures().log?.files ?? 0],
    ['ringlog_log_bytes', 'Bytes of the log.', () => figures().log?.bytes ?? 0],
    ['ringlog_log_live_bytes', 'Bytes of the log that are not stored yet.', () => figures().log?.liveBytes ?? 0],
    [
      'ringlog_log_unreadable_files',
      'Files of the log that could not be read at the start: what is in them is in no answer.',
      () => figures().log?.unreadableFiles ?? 0,
    ],
    [
      'ringlog_log_disk_left_bytes',
      'Bytes until the disk of the log takes no more entries; negative past that.',
      () => figures().log?.diskBytesLeft ?? Number.NaN,
    ],
    ['ringlog_log_disk_full', '1 while the log takes no entries for lack of disk.', () => +isDiskFull(figures())],
  ];
  for (const [name, help, read] of gauges) addGauge(registry, name, help, read);
  const counters: readonly (readonly [string, string, () => number])[] = [
    ['loki_ingester_streams_created_total', 'Streams opened.', () => figures().streamsCreated],
    ['ringlog_flushed_bytes_total', 'Bytes of chunks written to the store.', () => figures().flush.flushedBytes],
    ['ringlog_flush_failures_total', 'Attempts to store a chunk that failed.', () => figures().flush.failures],
    [
      'loki_ingester_wal_logged_bytes_total',
      'Bytes made durable in the log.',
      () => figures().log?.committedBytes ?? 0,
    ],
    ['ringlog_log_commits_total', 'Writes of the log, one for all that waited.', () => figures().log?.commits ?? 0],
    ['ringlog_log_failures_total', 'Writes of the log that failed.', () => figures().log?.failures ?? 0],
    ['loki_panic_total', 'Stream actors that failed.', () => figures().streamCrashes],
  ];
  for (const [name, help, read] of counters) addCounter(registry, name, help, read);
  addFlushed(registry, figures);
  const caches: readonly Cache[] = [
    { name: 'store.chunks-cache.embedded-cache', figures: () => figures().chunkCache },
    { name: 'store.index-cache-read.embedded-cache', figures: () => figures().indexCache },
    { name: 'frontend.embedded-cache', figures: () => figures().resultsCache },
  ];
  addCaches(
    registry,
    caches.filter((cache) => cache.figures()),
  );
  const { compaction } = figures();
  if (compaction) addCompactionMetrics(registry, () => figures().compaction ?? compaction);
};

interface Cache {
  readonly name: string;
  readonly figures: () => NodeFigures['chunkCache' | 'indexCache' | 'resultsCache'];
}

/** As Loki calls its caches in memory, in the labels too. */
const addCaches = (registry: Registry, caches: readonly Cache[]): void => {
  if (caches.length === 0) return;
  const counters = [
    ['loki_cache_fetched_keys', 'Chunks, lookups in the index or parts of answers asked of the cache.', 'requests'],
    ['loki_cache_hits', 'Of those, found in the cache.', 'hits'],
  ] as const;
  for (const [name, help, field] of counters) {
    new Counter({
      name,
      help,
      labelNames: ['name'],
      registers: [registry],
      collect() {
        this.reset();
        for (const cache of caches) this.inc({ name: cache.name }, cache.figures()?.[field] ?? 0);
      },
    });
  }
  new Gauge({
    name: 'loki_embeddedcache_memory_bytes',
    help: 'Bytes in the cache.',
    labelNames: ['cache'],
    registers: [registry],
    collect() {
      for (const cache of caches) this.set({ cache: cache.name }, cache.figures()?.bytes ?? 0);
    },
  });
};
