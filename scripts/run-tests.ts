/**
 * Runs mocha over all tests, or only test/<each folder or file named>, and ends with `N passed, N failed, N skipped`.
 * All tests: first the simulation, which takes all cores by itself, then two processes side by side that take about as long
 * as each other.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import Mocha from 'mocha';
import { FileReporter } from './file-reporter.ts';

interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

const ROOT = path.join(import.meta.dirname, '..');
/** One after the other; the lanes of each side by side. `!` what a lane leaves to another. */
const STAGES = [
  [['simulation']],
  [
    ['unit', 'integration/crash', 'chaos', 'soak'],
    ['integration', '!integration/crash'],
  ],
];

/** Only ends a test that hangs: the machine may be busy with other work. */
const TEST_TIMEOUT_MS = 20_000;
/** Marks the process of a lane. Not the channel to its parent: whoever forks this file for all tests is to get all tests. */
const LANE = '--lane';

const filesOf = (folder: string): readonly string[] => {
  const from = path.join(ROOT, 'test', folder);
  if (!existsSync(from)) return [];
  if (from.endsWith('.test.ts')) return [from];
  return readdirSync(from, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .sort()
    .map((name) => path.join(from, name));
};

const filesOfAll = (names: readonly string[]): readonly string[] => {
  const left = new Set(names.filter((name) => name.startsWith('!')).flatMap((name) => filesOf(name.slice(1))));
  return names
    .filter((name) => !name.startsWith('!'))
    .flatMap(filesOf)
    .filter((file) => !left.has(file));
};

const runHere = async (folders: readonly string[], reporter: 'spec' | typeof FileReporter): Promise<Counts> => {
  const mocha = new Mocha({ forbidOnly: true, timeout: TEST_TIMEOUT_MS, reporter });
  // What mocha's loadFilesAsync does, but for its first try, which is require(): tsx then compiles to CommonJS, without import.meta.resolve.
  for (const file of filesOfAll(folders)) {
    mocha.suite.emit('pre-require', globalThis, file, mocha);
    mocha.suite.emit('require', await import(pathToFileURL(file).href), file, mocha);
    mocha.suite.emit('post-require', globalThis, file, mocha);
  }
  const counts = { passed: 0, failed: 0, skipped: 0 };
  await new Promise<void>((resolve) => {
    const runner = mocha.run((failures) => {
      counts.failed = Math.max(counts.failed, failures);
      resolve();
    });
    runner.on('pass', () => {
      counts.passed += 1;
    });
    runner.on('fail', () => {
      counts.failed += 1;
    });
    runner.on('pending', (test) => {
      counts.skipped += 1;
      console.log(`skipped: ${test.fullTitle()}`);
    });
  });
  return counts;
};

const isCounts = (message: unknown): message is Counts =>
  typeof message === 'object' && message !== null && 'passed' in message;

/** In a process of its own, which tells its counts; one that ends without, or without a test that passed, is a failure. */
const runLane = async (folders: readonly string[]): Promise<Counts> => {
  const args = [...process.execArgv, import.meta.filename, LANE, ...folders];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  let counts: Counts | undefined;
  child.on('message', (message) => {
    if (isCounts(message)) counts = message;
  });
  const [code, signal] = await once(child, 'close');
  if (counts && counts.passed > 0) return counts;
  console.log(`failed: the process of test/{${folders.join(',')}} ended with ${code ?? signal}`);
  return { passed: 0, skipped: 0, ...counts, failed: Math.max(1, counts?.failed ?? 0) };
};

const sum = (a: Counts, b: Counts): Counts => ({
  passed: a.passed + b.passed,
  failed: a.failed + b.failed,
  skipped: a.skipped + b.skipped,
});

const runStages = async (): Promise<Counts> => {
  const counts: Counts[] = [];
  for (const lanes of STAGES) counts.push(...(await Promise.all(lanes.map(runLane))));
  return counts.reduce(sum);
};

const named = process.argv.slice(2);
if (named[0] === LANE) {
  const counts = await runHere(named.slice(1), FileReporter);
  process.send?.(counts, () => process.exit(0));
} else {
  const counts = named.length > 0 ? await runHere(named, 'spec') : await runStages();
  console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
  // No test at all must not look like success.
  process.exit(counts.failed > 0 || counts.passed === 0 ? 1 : 0);
}
