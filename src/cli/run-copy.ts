import { loadConfig } from '../config.ts';
import { type CopySide, copyChunks } from '../copy/copy-chunks.ts';
import { CopyFigures } from '../copy/copy-figures.ts';
import { type CopyScope, countChunks } from '../copy/copy-scope.ts';
import { VerifyFigures, verifyCopy } from '../copy/verify-copy.ts';
import {
  copyProblem,
  isThere,
  keptTables,
  type OpenCopySide,
  openCopySource,
  openCopyTarget,
  sharesChunks,
} from '../copy-stores.ts';
import { holdProcess } from '../hold-process.ts';
import { systemClock } from '../system-clock.ts';
import { CommandError, UsageError } from './cli-error.ts';
import { readConfigFile } from './config-sources.ts';
import type { CopyFlags } from './copy-command.ts';
import { CopyProgress, megabytes } from './copy-progress.ts';
import { interruptible } from './interruption.ts';
import { scopeOf } from './scope-options.ts';
import type { Terminal } from './terminal.ts';

/** Chosen: enough to see what is wrong. */
const PROBLEMS_SHOWN_MAX = 100;
const INTERRUPTED = 'interrupted: what was copied stays, the same command goes on from there';

export const runCopy = async (flags: CopyFlags, terminal: Terminal): Promise<void> => {
  const scope = scopeOf(flags);
  if (flags.verify && (flags.dryRun || flags.all))
    throw new UsageError('--verify copies nothing: leave --dry-run and --all out');
  const source = loadConfig({ file: readConfigFile(flags.fromConfig, 'from-config') });
  const target = loadConfig({ file: readConfigFile(flags.toConfig, 'to-config') });
  const problem = copyProblem(source, target);
  if (problem !== undefined) throw new UsageError(problem);
  const report = (text: string, error: unknown): void => terminal.note(`${text}: ${(error as Error).message}`);
  const deps = { clock: systemClock, chance: Math.random, report };
  const release = holdProcess();
  const interruption = interruptible(terminal);
  const open: OpenCopySide[] = [];
  try {
    const from = await openCopySource(source, deps);
    open.push(from);
    const job = { flags, terminal, scope, from, signal: interruption.signal };
    if (flags.dryRun && !isThere(target)) {
      // Nothing is made for a look: all is to be copied.
      await copy(
        {
          ...job,
          to: { ...from, ...keptTables(target, systemClock), schema: target.schema },
          flags: { ...flags, all: true },
        },
        true,
      );
      return;
    }
    const isLook = flags.verify || flags.dryRun;
    const side = isLook ? await openCopySource(target, deps) : await openCopyTarget(target, deps);
    open.push(side);
    const to = { ...side, ...keptTables(target, systemClock) };
    if (flags.verify) await verify({ ...job, to });
    else await copy({ ...job, to }, sharesChunks(source, target));
  } finally {
    interruption.stop();
    for (const side of open.toReversed()) await side.close();
    release();
  }
};

interface Job {
  readonly flags: CopyFlags;
  readonly terminal: Terminal;
  readonly scope: CopyScope;
  readonly from: CopySide;
  readonly to: CopySide;
  readonly signal: AbortSignal;
}

const copy = async (job: Job, sharesObjects: boolean): Promise<void> => {
  const { flags, terminal, scope, from, to, signal } = job;
  const figures = new CopyFigures();
  const progress = new CopyProgress(terminal, () => ({ ...figures, done: figures.done, bytes: figures.copiedBytes }));
  const { concurrency, rateLimit: bytesPerSecond, dryRun: isDryRun = false, all: isAgain = false } = flags;
  const options = { scope, concurrency, bytesPerSecond, isDryRun, isAgain, sharesChunks: sharesObjects };
  const onLeftOut = shownProblems(progress, 'left out');
  try {
    await counted(job, figures, progress, () =>
      copyChunks(from, to, options, { clock: systemClock, signal, figures, onLeftOut }),
    );
  } finally {
    const { copied, copiedBytes, there, expired, unnamed, gone, leftOut, others } = figures;
    const { seconds } = progress;
    if (flags.json) {
      const totals = { copied, copiedBytes, there, expired, unnamed, gone, leftOut, others, isDryRun, seconds };
      await terminal.line(JSON.stringify(totals));
    } else {
      const how = isDryRun ? `would copy ${copied} chunks` : `copied ${copied} chunks (${megabytes(copiedBytes)})`;
      await terminal.line(`${how} in ${seconds.toFixed(1)} s; ${there} were there, ${leftOut} were left out`);
      if (expired > 0) await terminal.line(`${expired} are past the retention of the target's tables: not copied`);
      if (unnamed > 0) await terminal.line(`${unnamed} objects are chunks that no row of the source names: not copied`);
      if (gone > 0) await terminal.line(`${gone} were deleted meanwhile`);
      if (others > 0) await terminal.line(`${others} objects are no chunks: not copied`);
    }
  }
  if (signal.aborted) throw new CommandError(INTERRUPTED);
  if (figures.leftOut > 0) throw new CommandError(`${figures.leftOut} chunks were left out`);
};

const verify = async (job: Job): Promise<void> => {
  const { flags, terminal, scope, from, to, signal } = job;
  const figures = new VerifyFigures();
  const progress = new CopyProgress(terminal, () => ({ ...figures, done: figures.done, bytes: figures.comparedBytes }));
  const options = { scope, concurrency: flags.concurrency, bytesPerSecond: flags.rateLimit };
  const onProblem = shownProblems(progress, 'different');
  await counted(job, figures, progress, () =>
    verifyCopy(from, to, options, { clock: systemClock, signal, figures, onProblem }),
  );
  const { equal, comparedBytes, different, expired, unnamed, gone, damaged, tables } = figures;
  const { seconds } = progress;
  if (flags.json) {
    const rows = Object.fromEntries([...tables].sort());
    await terminal.line(
      JSON.stringify({ equal, comparedBytes, different, expired, unnamed, gone, damaged, tables: rows, seconds }),
    );
  } else {
    for (const [table, { chunks, labels }] of [...tables].sort()) {
      const [rows, of] = [
        `${chunks.found} of ${chunks.expected} rows of chunks`,
        `${labels.found} of ${labels.expected}`,
      ];
      await terminal.line(`${table}: ${rows}, ${of} of series and labels`);
    }
    await terminal.line(
      `${equal} chunks are equal (${megabytes(comparedBytes)}), ${different} differ, ${damaged} are damaged at the source`,
    );
    if (expired > 0) await terminal.line(`${expired} are past the retention of the target's tables: not looked for`);
  }
  if (signal.aborted) throw new CommandError('interrupted: not all was compared');
  if (different + damaged > 0) throw new CommandError(`${different + damaged} chunks are not as at the source`);
};

/** Runs the work, with its progress shown; how much there is is counted meanwhile. */
const counted = async (
  { from, scope, signal }: Job,
  figures: { chunks: number; isCounted: boolean },
  progress: CopyProgress,
  work: () => Promise<void>,
): Promise<void> => {
  const done = new AbortController();
  // If it fails, so does the work, which lists the same.
  const counting = countChunks(from.chunks, scope, figures, AbortSignal.any([signal, done.signal])).catch(
    () => undefined,
  );
  progress.start();
  try {
    await work();
  } finally {
    done.abort();
    await counting;
    progress.stop();
  }
};

const shownProblems = (progress: CopyProgress, what: string): ((key: string, why: string) => void) => {
  let shown = 0;
  return (key, why) => {
    shown += 1;
    if (shown <= PROBLEMS_SHOWN_MAX) progress.note(`${what}: ${key}: ${why}`);
    else if (shown === PROBLEMS_SHOWN_MAX + 1) progress.note('more are not shown, only counted');
  };
};
