/** Prometheus metrics of the edges, named as Loki's where the meaning is the same (the API's section 8). */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { QueryStatistics } from '../query/query-messages.ts';
import { NodeEventMetrics } from './node-event-metrics.ts';
import { PushMetrics } from './push-metrics.ts';

const DURATION_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100];
const LATENCY_BUCKETS = [0.25, 0.5, 1, 2, 4, 8, 16, 32];
const MESSAGE_BUCKETS = [1024, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 67_108_864];

export interface ObservedRequest {
  readonly method: string;
  readonly route: string;
  /** HTTP status, or gRPC's `success` / `error` / `cancel`. */
  readonly status: string;
  readonly isWebSocket: boolean;
  readonly seconds: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
}

export class EdgeMetrics {
  readonly registry = new Registry();
  readonly pushes = new PushMetrics(this.registry);
  readonly nodeEvents = new NodeEventMetrics(this.registry);
  readonly inflight: Gauge<'method' | 'route'>;
  readonly tcpConnections: Gauge<'protocol'>;
  readonly tailActive: Gauge;
  readonly tailBytes: Counter;
  readonly #duration: Histogram<'method' | 'route' | 'status_code' | 'ws'>;
  readonly #requestBytes: Histogram<'method' | 'route'>;
  readonly #responseBytes: Histogram<'method' | 'route'>;
  readonly #queryLatency: Histogram<'status_code' | 'type' | 'range'>;
  readonly #queryDuplicates: Counter;
  readonly #queryBlocks: Counter<'outcome'>;
  readonly #deleteRequests: Counter<'user'>;

  constructor(version: string) {
    const registers = [this.registry];
    const routeLabels = ['method', 'route'] as const;
    this.#duration = new Histogram({
      name: 'loki_request_duration_seconds',
      help: 'Time (in seconds) spent serving requests.',
      labelNames: ['method', 'route', 'status_code', 'ws'],
      buckets: DURATION_BUCKETS,
      registers,
    });
    this.#requestBytes = new Histogram({
      name: 'loki_request_message_bytes',
      help: 'Size (in bytes) of messages received in the request.',
      labelNames: routeLabels,
      buckets: MESSAGE_BUCKETS,
      registers,
    });
    this.#responseBytes = new Histogram({
      name: 'loki_response_message_bytes',
      help: 'Size (in bytes) of messages sent in response.',
      labelNames: routeLabels,
      buckets: MESSAGE_BUCKETS,
      registers,
    });
    this.inflight = new Gauge({
      name: 'loki_inflight_requests',
      help: 'Requests being served.',
      labelNames: routeLabels,
      registers,
    });
    this.tcpConnections = new Gauge({
      name: 'loki_tcp_connections',
      help: 'Accepted TCP connections that are open.',
      labelNames: ['protocol'],
      registers,
    });
    this.tailActive = new Gauge({ name: 'loki_querier_tail_active', help: 'Active tails.', registers });
    this.tailBytes = new Counter({ name: 'loki_querier_tail_bytes_total', help: 'Characters tailed.', registers });
    this.#queryLatency = new Histogram({
      name: 'loki_logql_querystats_latency_seconds',
      help: 'Latency of LogQL queries.',
      labelNames: ['status_code', 'type', 'range'],
      buckets: LATENCY_BUCKETS,
      registers,
    });
    this.#queryDuplicates = new Counter({
      name: 'loki_logql_querystats_duplicates_total',
      help: 'Duplicate entries found while executing LogQL queries.',
      registers,
    });
    this.#queryBlocks = new Counter({
      name: 'ringlog_query_blocks_total',
      help: 'Blocks in the time range of queries: inflated, or skipped because no line of theirs could pass.',
      labelNames: ['outcome'],
      registers,
    });
    this.#deleteRequests = new Counter({
      name: 'loki_compactor_delete_requests_received_total',
      help: 'Delete requests received.',
      labelNames: ['user'],
      registers,
    });
    new Gauge({
      name: 'loki_build_info',
      help: 'Always 1; the labels say what was built.',
      labelNames: ['version', 'revision', 'branch', 'goversion'],
      registers,
    }).set({ version, revision: '', branch: '', goversion: process.version }, 1);
    collectDefaultMetrics({ register: this.registry });
  }

  countDeleteRequest(tenant: string): void {
    this.#deleteRequests.inc({ user: tenant });
  }

  observe(request: ObservedRequest): void {
    const { method, route } = request;
    const labels = { method, route, status_code: request.status, ws: request.isWebSocket ? 'true' : 'false' };
    this.#duration.observe(labels, request.seconds);
    this.#requestBytes.observe({ method, route }, request.requestBytes);
    this.#responseBytes.observe({ method, route }, request.responseBytes);
  }

  countQuery(kind: string, isInstant: boolean, statistics: QueryStatistics): void {
    const type = kind === 'log' ? 'limited' : 'metric';
    const range = isInstant ? 'instant' : 'range';
    this.#queryLatency.observe({ status_code: '200', type, range }, statistics.executionMs / 1000);
    this.#queryDuplicates.inc(statistics.duplicates);
    this.#queryBlocks.inc({ outcome: 'inflated' }, statistics.blocksInflated);
    this.#queryBlocks.inc({ outcome: 'skipped' }, statistics.blocksSkipped);
  }
}
