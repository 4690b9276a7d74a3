import type { Config } from '../../../src/config.ts';
import { testConfig } from '../cluster.ts';
import type { CrashStep } from './crash-points.ts';

/** What a process does, in order. */
export type Phase = 'starting' | 'pushing' | 'flushing' | 'flushed' | 'tidying';

/** When a process ends itself, and what it does until then. */
export interface CrashPlan {
  readonly folder: string;
  readonly phase: Phase;
  readonly step: CrashStep;
  /** Which of the steps of this name in that phase; 1 = the first. */
  readonly hit: number;
  /** Numbers of its pushes begin here. */
  readonly firstPush: number;
  readonly pushes: number;
  /** Everything is stored after the first pushes; otherwise only what fills a chunk. */
  readonly flushes: boolean;
  /** So much time passes that old files of the log are rewritten. */
  readonly compacts: boolean;
}

/** Of the log: its default. */
export const TIDY_PERIOD_MS = 10_000;

/** Chunks of a few pushes, the smallest log files. */
export const crashConfig = (folder: string, chunk_block_size = 8 << 10): Config =>
  testConfig({
    data_dir: folder,
    ingester: {
      chunk_block_size,
      chunk_target_size: 32 << 10,
      wal: { file_size: '1MB', batch_size: '512KB' },
    },
  });
