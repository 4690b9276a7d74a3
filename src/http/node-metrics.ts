/** What the node counts in plain fields, copied into metrics when they are asked for: nothing here costs a push anything. */
import { Counter, Gauge, type Registry } from 'prom-client';
import type { NodeFigures } from '../actors/local-node.ts';

type FiguresOf = () => NodeFigures;

const addGauge = (registry: Registry, name: string, help: string, read: () => number): void => {
  new Gauge({
    name,
    help,
    registers: [registry],
    collect() {
      this.set(read());
    },
  });
};

const addCounter = (registry: Registry, name: string, help: string, read: () => number): void => {
  new Counter({
    name,
    help,
    registers: [registry],
    collect() {
      this.reset();
      this.inc(read());
    },
  });
};

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

/** Adds a node's figures to the registry. */
export const addNodeMetrics = (registry: Registry, figures: FiguresOf): void => {
  const gauges: readonly (readonly [string, string, () => number])[] = [
    ['loki_ingester_memory_streams', 'Streams with an actor.', () => figures().streams],
    ['ringlog_head_bytes', 'Bytes of the open columns of all streams.', () => figures().headBytes],
    ['ringlog_unflushed_bytes', 'Bytes not in the store yet, of all streams.', () => figures().unflushedBytes],
    ['ringlog_append_bytes_in_flight', 'Bytes of pushes and cuts in flight.', () => figures().appendBytesInFlight],
    ['ringlog_pushes_waiting', 'Pushes that wait for room.', () => figures().pushesWaiting],
    ['ringlog_cuts_pending', 'Heads that wait to be compressed.', () => figures().cutsPending],
    ['ringlog_flushes_pending', 'Chunks on their way to the store.', () => figures().flush.pending],
  ];
  for (const [name, help, read] of gauges) addGauge(registry, name, help, read);
  const counters: readonly (readonly [string, string, () => number])[] = [
    ['loki_ingester_streams_created_total', 'Streams opened.', () => figures().streamsCreated],
    ['ringlog_flushed_bytes_total', 'Bytes of chunks written to the store.', () => figures().flush.flushedBytes],
    ['ringlog_flush_failures_total', 'Attempts to store a chunk that failed.', () => figures().flush.failures],
    ['loki_panic_total', 'Stream actors that failed.', () => figures().streamCrashes],
  ];
  for (const [name, help, read] of counters) addCounter(registry, name, help, read);
  addFlushed(registry, figures);
};
