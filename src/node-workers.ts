/** The worker threads of a node. */
import type { Config } from './config.ts';
import type { ScanResult, ScanTask } from './query/scan/scan-messages.ts';
import type { CutWorkerTask } from './workers/cut-worker.ts';
import { coreCount, TASKS_PER_MESSAGE_MAX, WorkerPool } from './workers/worker-pool.ts';

export interface NodeWorkers {
  readonly cut: WorkerPool<CutWorkerTask, unknown>;
  readonly scan: WorkerPool<ScanTask, ScanResult>;
}

/** Cut tasks that may wait in the pool: what the cutter gives it, one per flush, and a few. */
const CUT_QUEUE_SPARE = 16;
/** Two messages of the smallest heads, one being worked on. */
export const CUTS_PER_WORKER = 2 * TASKS_PER_MESSAGE_MAX;
/** Bytes worth a message of their own: a block of the default size. */
const CUT_MESSAGE_BYTES = 256 << 10;

/** Heads are shared memory: see WorkerPoolOptions. */
const CUT_YOUNG_GENERATION_MB = 2;

/**
 * With V8's own 48 MB the space for new objects outgrows what a scan's small heap has left before a collection is due, so that V8 is always
 * collecting: 6.6 % of a scan's CPU; 1.9 % with this (measured).
 */
const SCAN_YOUNG_GENERATION_MB = 6;

/** Chosen: ten times what an honest task takes. A template or a regex can be made to take minutes over one task's entries. */
const SCAN_ABORT_GRACE_MS = 1000;

/** The worker threads a node with this configuration starts. */
export const startWorkers = ({ ingester, querier }: Pick<Config, 'ingester' | 'querier'>): NodeWorkers => {
  const cutWorkers = ingester.cut_workers || coreCount();
  const queueMax = CUTS_PER_WORKER * cutWorkers + ingester.concurrent_flushes + CUT_QUEUE_SPARE;
  return {
    cut: new WorkerPool({
      entry: 'cut-worker',
      size: cutWorkers,
      queueMax,
      youngGenerationMb: CUT_YOUNG_GENERATION_MB,
      weightOf: cutWeight,
    }),
    scan: new WorkerPool({
      entry: 'scan-worker',
      size: querier.scan_workers || coreCount(),
      youngGenerationMb: SCAN_YOUNG_GENERATION_MB,
      queueMax: querier.scan_queue_max,
      abortGraceMs: SCAN_ABORT_GRACE_MS,
      tenantOf: tenantOfScan,
    }),
  };
};

/** All plans of a task are of one tenant. */
export const tenantOfScan = (task: ScanTask): string => (task.kind === 'log' ? task.plan : task.plans[0])?.tenant ?? '';

const cutWeight = (task: CutWorkerTask): number => {
  if (task.kind === 'rewrite') return 1;
  const bytes =
    task.kind === 'cut' ? task.head.byteCount : task.blocks.reduce((sum, block) => sum + block.bytes.length, 0);
  return bytes / CUT_MESSAGE_BYTES;
};
