import { type ChildProcess, execFileSync, fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import type { Outcome } from './run-schedule.ts';

/** Seeds, `end` not among them. */
export interface Batch {
  readonly from: number;
  readonly end: number;
}

export type ScheduleReport =
  | { readonly type: 'began'; readonly seed: number }
  /** `history` only of a schedule that broke something. */
  | { readonly type: 'outcome'; readonly outcome: Outcome }
  | { readonly type: 'idle'; readonly rssBytes: number /** Since it began. */; readonly cpuMs: number };

export interface SchedulesDone {
  readonly schedules: number;
  readonly broken: readonly Outcome[];
  /** Sums over all schedules. */
  readonly figures: ReadonlyMap<string, number>;
  readonly processes: number;
  /** Of the largest process. */
  readonly rssBytesMax: number;
  /** Of all processes together, their start too. */
  readonly cpuMs: number;
  readonly tookMs: number;
}

const ROOT = path.join(import.meta.dirname, '../../..');
/** No process waits long for the last ones. */
const BATCH = 10;
const PROCESSES_MAX = 8;
/**
 * Buffers of logs and heads are of 0.5 MB and more, of which a schedule touches little, and are gone soon. As mappings of their own they are fresh
 * zeros for nothing; from the heap of malloc, which learns of their size, a process grew to 1.2 GB instead of 0.4.
 */
const MEMORY = { MALLOC_MMAP_THRESHOLD_: String(256 << 10) };
/** A schedule takes 0.1 s, on a busy machine several times that: this one hangs. */
const HANG_MS = 60_000;

/** Compiled code, as it is installed: run from its sources it took a fifth longer, for each function got its name anew. */
const build = (): string => {
  const compiler = path.join(ROOT, 'node_modules/typescript/bin/tsc');
  execFileSync(process.execPath, [compiler, '-p', path.join(ROOT, 'test/simulation/tsconfig.json')], {
    stdio: 'inherit',
  });
  return path.join(ROOT, 'dist/simulation/test/simulation/schedule-process.js');
};

export interface SchedulesLimits {
  /** No more of them are begun once one broke something. */
  readonly isBailing: boolean;
  /** Nor after so long. */
  readonly withinMs: number;
}

/** Runs them in as many processes as there are cores, in their order. */
export const runSchedules = async (
  { from, end }: Batch,
  { isBailing, withinMs }: SchedulesLimits,
): Promise<SchedulesDone> => {
  const file = build();
  const beganMs = performance.now();
  const broken: Outcome[] = [];
  const figures = new Map<string, number>();
  let schedules = 0;
  let rssBytesMax = 0;
  const cpuMs = new Map<number, number>();
  let next = from;
  const nextBatch = (): Batch | undefined => {
    if (next >= end || (isBailing && broken.length > 0) || performance.now() - beganMs > withinMs) return undefined;
    const batch = { from: next, end: Math.min(end, next + BATCH) };
    next = batch.end;
    return batch;
  };
  const ended = (outcome: Outcome): void => {
    schedules += 1;
    for (const [what, count] of Object.entries(outcome.figures)) figures.set(what, (figures.get(what) ?? 0) + count);
    if (outcome.violations.length > 0) broken.push(outcome);
  };
  const processes = Math.min(availableParallelism(), PROCESSES_MAX);
  const running = Array.from({ length: processes }, (_, number) => {
    return new ScheduleProcess(file, nextBatch, ended, (report) => {
      rssBytesMax = Math.max(rssBytesMax, report.rssBytes);
      cpuMs.set(number, report.cpuMs);
    });
  });
  try {
    await Promise.all(running.map(({ end: whenOver }) => whenOver));
  } finally {
    // One that hangs would not hear of the end of this process.
    for (const one of running) one.kill();
  }
  return {
    schedules,
    broken,
    figures,
    processes,
    rssBytesMax,
    cpuMs: [...cpuMs.values()].reduce((sum, ms) => sum + ms, 0),
    tookMs: performance.now() - beganMs,
  };
};

/** It ended in the middle of a schedule, or was ended because that took too long. */
export class ScheduleProcessError extends Error {}

class ScheduleProcess {
  /** Once there is no batch left. Rejects if the process ends before that, or a schedule hangs. */
  readonly end: Promise<void>;
  readonly #child: ChildProcess;
  #hang: NodeJS.Timeout | undefined;
  #seed: number | undefined;

  constructor(
    file: string,
    nextBatch: () => Batch | undefined,
    ended: (outcome: Outcome) => void,
    idle: (report: Extract<ScheduleReport, { type: 'idle' }>) => void,
  ) {
    // Few of what a schedule makes outlive it: with the default of 16 MB they were copied several times.
    this.#child = fork(file, {
      execArgv: ['--no-warnings', '--max-semi-space-size=64'],
      env: { ...process.env, ...MEMORY },
    });
    this.end = new Promise((resolve, reject) => {
      const askNext = (): void => {
        const batch = nextBatch();
        if (batch) this.#child.send(batch);
        else {
          resolve();
          this.kill();
        }
      };
      this.#child.on('message', (report: ScheduleReport) => {
        if (report.type === 'began') this.#began(report.seed);
        else if (report.type === 'outcome') ended(report.outcome);
        else {
          idle(report);
          askNext();
        }
      });
      this.#child.once('error', reject);
      this.#child.once('exit', (code, signal) => {
        clearTimeout(this.#hang);
        reject(new ScheduleProcessError(`the process of schedule SEED=${this.#seed} ended with ${code ?? signal}`));
      });
      askNext();
    });
  }

  kill(): void {
    clearTimeout(this.#hang);
    this.#child.kill('SIGKILL');
  }

  #began(seed: number): void {
    this.#seed = seed;
    clearTimeout(this.#hang);
    this.#hang = setTimeout(() => this.#child.kill('SIGKILL'), HANG_MS);
  }
}
