import { Counter, Histogram, type Registry, Summary } from 'prom-client';

/** Seconds: from a disk that has a cache of its own to one that hangs. */
const COMMIT_BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

/** What a node tells of as it happens: a NodeObserver. */
export class NodeEventMetrics {
  readonly #commits: Histogram;
  readonly #retries: Counter<'store'>;
  readonly #evaluations: Summary;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#commits = new Histogram({
      name: 'ringlog_log_commit_duration_seconds',
      help: 'Time (in seconds) in which a batch of the log was written and made durable.',
      buckets: COMMIT_BUCKETS,
      registers,
    });
    this.#retries = new Counter({
      name: 'ringlog_store_retries_total',
      help: 'Requests to a store over the network that failed and were sent again.',
      labelNames: ['store'],
      registers,
    });
    this.#evaluations = new Summary({
      name: 'loki_prometheus_rule_evaluation_duration_seconds',
      help: 'Time (in seconds) in which a rule was evaluated.',
      percentiles: [0.5, 0.9, 0.99],
      maxAgeSeconds: 600,
      ageBuckets: 5,
      registers,
    });
    for (const store of ['chunks', 'index']) this.#retries.inc({ store }, 0);
  }

  readonly committed = (ms: number): void => this.#commits.observe(ms / 1000);

  readonly evaluated = (ms: number): void => this.#evaluations.observe(ms / 1000);

  readonly retried = (store: 'chunks' | 'index'): void => this.#retries.inc({ store });
}
