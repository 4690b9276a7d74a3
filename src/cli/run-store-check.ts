import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { checkStore } from '../check/check-store.ts';
import { CheckFigures, type Finding } from '../check/findings.ts';
import { type Config, loadConfig } from '../config.ts';
import { countChunks } from '../copy/copy-scope.ts';
import { isThere, type OpenCopySide, openCopySource, openForRepair } from '../copy-stores.ts';
import { holdProcess } from '../hold-process.ts';
import { RefusedError } from '../protocol/refusal.ts';
import { systemClock } from '../system-clock.ts';
import { CommandError, UsageError } from './cli-error.ts';
import { configSourcesOf } from './config-sources.ts';
import { CopyProgress, type CopyState, megabytes } from './copy-progress.ts';
import { interruptible } from './interruption.ts';
import { scopeOf } from './scope-options.ts';
import type { StoreCheckFlags } from './store-command.ts';
import type { Terminal } from './terminal.ts';
import { parseDurationOption } from './time-options.ts';

/** It says nothing about the store. */
const UNCHECKED = { exitCode: 3 };
const NS_PER_MS = 1_000_000n;
/** Chosen: a step of a commit takes 30 s at the most, and a flush has a few. */
const ORPHAN_HOLD_MS = 120_000;
/** Chosen: compaction removes rows of labels right after those of chunks. */
const SECOND_LOOK_MS = 5_000;

export const runStoreCheck = async (flags: StoreCheckFlags, terminal: Terminal): Promise<void> => {
  const options = optionsOf(flags);
  const config = loadConfig(configSourcesOf(flags));
  const release = holdProcess();
  const interruption = interruptible(terminal, UNCHECKED.exitCode);
  let side: OpenCopySide | undefined;
  try {
    side = await open(config, options.fixes, terminal);
    await check(side, options, { flags, terminal, signal: interruption.signal });
  } catch (error) {
    throw error instanceof CommandError ? error : unchecked(error as Error);
  } finally {
    interruption.stop();
    await side?.close();
    release();
  }
};

/** Whatever it was, it must not look like a finding. */
const unchecked = (error: Error): CommandError => {
  const { message, stack = message } = error;
  return new CommandError(error instanceof RefusedError ? message : stack, { ...UNCHECKED, cause: error });
};

type Options = Parameters<typeof checkStore>[1];

const optionsOf = (flags: StoreCheckFlags): Options => {
  const { fix: fixes = false, deleteOrphans: deletesOrphans = false, unindexCorrupt: unindexesCorrupt = false } = flags;
  if (!fixes && (deletesOrphans || unindexesCorrupt)) {
    throw new UsageError(`--${deletesOrphans ? 'delete-orphans' : 'unindex-corrupt'} changes the store: add --fix`);
  }
  return {
    scope: scopeOf(flags),
    graceMs: Number(parseDurationOption(flags.grace, 'grace') / NS_PER_MS),
    concurrency: flags.concurrency,
    bytesPerSecond: flags.rateLimit,
    isQuick: flags.quick ?? false,
    fixes,
    deletesOrphans,
    removalShareMax: flags.removalsMax / 100,
    orphanHoldMs: ORPHAN_HOLD_MS,
    secondLookMs: SECOND_LOOK_MS,
    unindexesCorrupt,
  };
};

/** Nothing is made: a store that is not there is not clean. */
const open = async (config: Config, fixes: boolean, terminal: Terminal): Promise<OpenCopySide> => {
  const report = (text: string, error: unknown): void => terminal.note(`${text}: ${(error as Error).message}`);
  const deps = { clock: systemClock, chance: Math.random, report };
  return fixes && isThere(config) ? await openForRepair(config, deps) : await openCopySource(config, deps);
};

interface Job {
  readonly flags: StoreCheckFlags;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
}

const check = async (side: OpenCopySide, options: Options, { flags, terminal, signal }: Job): Promise<void> => {
  const figures = new CheckFigures();
  let part = '';
  const progress = new CopyProgress(terminal, () => stateOf(figures, part));
  const isJson = flags.output === 'json';
  const onFinding = (finding: Finding): Promise<void> =>
    terminal.line(isJson ? JSON.stringify(finding) : textOf(finding));
  const onPart = (what: string): void => {
    part = what;
    progress.note(`checking ${what}`);
  };
  const done = new AbortController();
  // If it fails, so does the check, which lists the same.
  const counting = countChunks(side.chunks, options.scope, figures, AbortSignal.any([signal, done.signal])).catch(
    () => undefined,
  );
  progress.start();
  try {
    await checkStore(side, options, { clock: systemClock, signal, figures, onFinding, onPart, keepBytes });
  } catch (error) {
    if (!signal.aborted || error !== signal.reason) throw error;
  } finally {
    done.abort();
    await counting;
    progress.stop();
  }
  const lines = isJson ? [JSON.stringify(totalsOf(figures, progress.seconds))] : summaryOf(figures, progress.seconds);
  for (const line of lines) await terminal.line(line);
  if (signal.aborted) throw new CommandError('interrupted: not all was checked', UNCHECKED);
  if (figures.left > 0) throw new CommandError(`${figures.left} findings are left`);
};

/** In the working folder, under a name that can be decoded to the key. A file of an earlier run stays. */
const keepBytes = async (key: string, bytes: Uint8Array): Promise<string> => {
  const file = path.resolve(`ringlog-kept-${encodeURIComponent(key)}`);
  await writeFile(file, bytes, { flag: 'wx', flush: true });
  return file;
};

/** Rows are not counted ahead. */
const stateOf = ({ objects, rows, chunks, isCounted, bytes }: CheckFigures, part: string): CopyState =>
  part.startsWith('rows')
    ? { done: rows, chunks: rows, isCounted: false, bytes }
    : { done: objects, chunks, isCounted, bytes };

const textOf = ({ kind, chunk, row, why, isMended }: Finding): string => {
  const where = row && `in ${row.table}, row ${row.hashValue}`;
  const what = [chunk, where].filter((text) => text !== undefined).join(' ');
  return `${kind} ${what}: ${why}${isMended ? ' (mended)' : ''}`;
};

const totalsOf = (figures: CheckFigures, seconds: number): object => {
  const { objects, bytes, rows, marked, young, dropped, gone, restored, unindexed, others, left } = figures;
  const [found, mended] = [Object.fromEntries(figures.found), Object.fromEntries(figures.mended)];
  const totals = { objects, bytes, rows, found, mended, left, marked, young, dropped, gone, restored, unindexed };
  return { totals: { ...totals, held: Object.fromEntries(figures.held), others, seconds } };
};

const summaryOf = (figures: CheckFigures, seconds: number): readonly string[] => {
  const { objects, bytes, rows, found, mended, marked, young, dropped, gone, restored, unindexed, others } = figures;
  const kinds = Array.from(found, ([kind, count]) => {
    const mendedCount = mended.get(kind) ?? 0;
    return `${count} ${kind}${mendedCount > 0 ? ` (${mendedCount} mended)` : ''}`;
  });
  const asides = [
    [marked, 'left alone: marked for removal'],
    [young, 'left alone: younger than the grace'],
    [dropped, 'objects are of days whose tables were dropped'],
    [gone, 'were deleted meanwhile'],
    [restored, 'orphans got rows while they were deleted, and were put back'],
    [unindexed, 'rows of corrupt objects were removed'],
    [others, 'objects are no chunks'],
  ] as const;
  return [
    `checked ${objects} objects (${megabytes(bytes)} read) and ${rows} rows in ${seconds.toFixed(1)} s`,
    `found ${kinds.length > 0 ? kinds.join(', ') : 'nothing'}`,
    ...asides.flatMap(([count, what]) => (count > 0 ? [`${count} ${what}`] : [])),
    ...Array.from(figures.held, ([why, count]) => `${count} rows of corrupt objects were ${why}`),
  ];
};
