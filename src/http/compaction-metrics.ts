import { Counter, Gauge, type Registry } from 'prom-client';
import type { CompactorFigures } from '../actors/compactor.ts';

/** Adds what the compactor does, under Loki's names where the meaning is the same. */
export const addCompactionMetrics = (registry: Registry, figures: () => CompactorFigures): void => {
  const gauges: readonly (readonly [string, string, () => number])[] = [
    [
      'loki_compactor_pending_delete_requests_count',
      'Delete requests that are not processed.',
      () => figures().pending,
    ],
    [
      'loki_compactor_oldest_pending_delete_request_age_seconds',
      'How old the oldest of them was at the end of the last pass.',
      () => Math.max(0, figures().lastPassMs - (figures().oldestPendingMs ?? figures().lastPassMs)) / 1000,
    ],
    [
      'loki_compactor_apply_retention_last_successful_run_timestamp_seconds',
      'When a pass over everything stored last came to its end.',
      () => figures().lastPassMs / 1000,
    ],
    [
      'ringlog_compactor_last_success_timestamp_seconds',
      'When a pass over everything stored last came to its end; before the first one, when the node began: its age is how long none has.',
      () => (figures().lastPassMs || figures().startedMs) / 1000,
    ],
  ];
  for (const [name, help, read] of gauges) {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read());
      },
    });
  }
  new Counter({
    name: 'ringlog_compactor_deleted_lines_total',
    help: 'Lines that delete requests took out of chunks.',
    registers: [registry],
    collect() {
      this.reset();
      this.inc(figures().deletedLines);
    },
  });
  addCounter(registry, 'loki_compactor_delete_requests_processed_total', 'Delete requests processed.', 'user', () => [
    ...figures().processed,
  ]);
  addCounter(registry, 'loki_compactor_apply_retention_operation_total', 'Passes, by how they ended.', 'status', () => [
    ['success', figures().passes],
    ['failure', figures().failures],
  ]);
  addCounter(registry, 'ringlog_compactor_chunks_total', 'Chunks, by what became of them.', 'outcome', () => {
    const { expired, deleted, rewritten, left, objects } = figures();
    return Object.entries({ expired, deleted, rewritten, left, object_deleted: objects });
  });
};

const addCounter = (
  registry: Registry,
  name: string,
  help: string,
  label: string,
  read: () => readonly (readonly [string, number])[],
): void => {
  new Counter({
    name,
    help,
    labelNames: [label],
    registers: [registry],
    collect() {
      this.reset();
      for (const [value, count] of read()) this.inc({ [label]: value }, count);
    },
  });
};
