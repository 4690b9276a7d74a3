import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Gauge, type Registry } from 'prom-client';

/**
 * The monitor's timer: a stall shows as what its ticks come late by, so one shorter than this only if a tick falls into it. Each tick wakes the process: 500 a second cost an
 * idle node 3 % of a core on a virtual machine, 100 cost 1 %.
 */
const RESOLUTION_MS = 10;
const NS_PER_SECOND = 1e9;

/** How long the event loop did not turn, since the last time it was asked (each scrape starts anew). Returns the stop. */
export const addEventLoopMetrics = (registry: Registry): (() => void) => {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  const late = (ns: number): number =>
    Number.isFinite(ns) ? Math.max(0, ns / NS_PER_SECOND - RESOLUTION_MS / 1000) : 0;
  new Gauge({
    name: 'ringlog_event_loop_stall_p99_seconds',
    help: 'How late the event loop came round, 99th percentile since the last scrape.',
    registers: [registry],
    collect() {
      this.set(late(delay.percentile(99)));
    },
  });
  new Gauge({
    name: 'ringlog_event_loop_stall_max_seconds',
    help: 'How late the event loop came round at worst since the last scrape.',
    registers: [registry],
    collect() {
      this.set(late(delay.max));
      // Registered after the percentile: both have read the same span.
      delay.reset();
    },
  });
  return () => {
    delay.disable();
  };
};
