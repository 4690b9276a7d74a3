/** Composition of what removes stored entries, and hides them until they are gone. */

import type { AppendRouter } from './actors/append-router.ts';
import { Compactor, type CompactorDeps } from './actors/compactor.ts';
import { ChunkRemoval } from './compaction/chunk-removal.ts';
import { Compaction } from './compaction/compaction.ts';
import { DeleteRequests } from './compaction/delete-requests.ts';
import { DeleteService } from './compaction/delete-service.ts';
import { hiddenSource } from './compaction/hidden-source.ts';
import type { TableCompactionDeps } from './compaction/table-compaction.ts';
import type { Config } from './config.ts';
import type { Clock } from './protocol/clock.ts';
import { canonicalText } from './protocol/label-text.ts';
import type { QueryDeps } from './query/query-context.ts';
import { ChunkMarks } from './storage/chunk-marks.ts';
import { SeriesLabels } from './storage/series-labels.ts';

export interface NodeCompaction {
  readonly hidden: NonNullable<QueryDeps['hidden']>;
  readonly deletes: DeleteService;
  readonly compactor: Compactor;
}

export interface NodeCompactionDeps extends Pick<TableCompactionDeps, 'index' | 'chunks' | 'rewrite' | 'report'> {
  readonly clock: Clock;
  readonly chance: () => number;
  readonly info: (fields: object, text: string) => void;
  /** Of a member of a cluster: the ring says who compacts what. */
  readonly router: Pick<AppendRouter, 'keyOf' | 'isHere'> | undefined;
}

/** Chosen: three parts of a row, each of which may take Bigtable 40 s. */
const OVERLAP_MS_MAX = 120_000;

/** Chosen: a part of 256 cells takes LMDB 0.3 ms of what all readers have together; ten million cells are walked in two minutes. */
const REST_MS = 3;

/** undefined: nothing is ever removed. */
export const compactionOf = (config: Config, deps: NodeCompactionDeps): NodeCompaction | undefined => {
  const { compactor: settings, limits, schema, ingester } = config;
  if (!settings.retention_enabled) return undefined;
  const { index, chunks, clock, chance, router } = deps;
  const requests = new DeleteRequests(index, schema);
  const labels = new SeriesLabels(index);
  const removal = new ChunkRemoval({
    index,
    chunks,
    schema,
    marks: new ChunkMarks(index, schema),
    labels,
    clock,
    delayMs: settings.retention_delete_delay,
  });
  const compaction = new Compaction(
    { cancelPeriodMs: settings.delete_request_cancel_period, chunksPerSecond: settings.max_chunks_per_second },
    {
      ...deps,
      rewrite: (task) => deps.rewrite({ ...task, level: ingester.gzip_level }),
      requests,
      removal,
      labels,
      limits,
      schema,
      // No query lasts for longer than removed chunks are kept for it.
      overlapMs: Math.min(OVERLAP_MS_MAX, settings.retention_delete_delay),
      restMs: REST_MS,
      isDryRun: settings.dry_run,
      isHere: (name) => !router || router.isHere(router.keyOf('', canonicalText(['compaction', name]))),
    },
  );
  const passed: CompactorDeps['passed'] = ({ processed, ...figures }) => {
    const ended = processed.map(({ requestId }) => requestId);
    deps.info({ ...figures, processed: ended, dryRun: settings.dry_run }, 'compaction passed');
  };
  return {
    hidden: hiddenSource({ requests, limits, clock }),
    deletes: new DeleteService({
      requests,
      index,
      schema,
      nowMs: () => clock.nowMs(),
      chance,
      cancelPeriodMs: settings.delete_request_cancel_period,
      maxIntervalMs: settings.delete_max_interval,
    }),
    compactor: new Compactor({
      clock,
      chance,
      intervalMs: settings.compaction_interval,
      pass: (signal) => compaction.run(signal),
      passed,
      report: deps.report,
    }),
  };
};
