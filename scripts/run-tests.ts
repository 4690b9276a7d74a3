/** Runs mocha over test/{simulation,unit,integration,chaos,soak} (or only the folders named) and ends with `N passed, N failed, N skipped`. */
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import Mocha from 'mocha';

const ROOT = path.join(import.meta.dirname, '..');
// The simulation first: what a schedule does must not depend on nodes of other tests that are still ending.
const folders =
  process.argv.length > 2 ? process.argv.slice(2) : ['simulation', 'unit', 'integration', 'chaos', 'soak'];

const files = folders.flatMap((folder) => {
  const from = path.join(ROOT, 'test', folder);
  if (!existsSync(from)) return [];
  if (from.endsWith('.test.ts')) return [from];
  return readdirSync(from, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .sort()
    .map((name) => path.join(from, name));
});

/** Only ends a test that hangs: the machine may be busy with other work. */
const TEST_TIMEOUT_MS = 20_000;

const mocha = new Mocha({ forbidOnly: true, timeout: TEST_TIMEOUT_MS, reporter: process.env['CI'] ? 'dot' : 'spec' });
// What mocha's loadFilesAsync does, but for its first try, which is require(): tsx then compiles to CommonJS, without import.meta.resolve.
for (const file of files) {
  mocha.suite.emit('pre-require', globalThis, file, mocha);
  mocha.suite.emit('require', await import(pathToFileURL(file).href), file, mocha);
  mocha.suite.emit('post-require', globalThis, file, mocha);
}

const counts = { passed: 0, failed: 0, skipped: 0 };
const took = new Map<string, number>();
const runner = mocha.run((failures) => {
  const slowest = [...took].sort(([, a], [, b]) => b - a).slice(0, 15);
  for (const [file, ms] of slowest) console.log(`${(ms / 1000).toFixed(0).padStart(5)} s  ${file}`);
  // A test file that failed to load, or no test at all, must not look like success.
  const code = failures > 0 || counts.passed === 0 ? 1 : 0;
  console.log(`${counts.passed} passed, ${Math.max(counts.failed, failures)} failed, ${counts.skipped} skipped`);
  process.exit(code);
});
runner.on('pass', () => {
  counts.passed += 1;
});
runner.on('test end', ({ file = '', duration = 0 }) => {
  const name = path.relative(ROOT, file);
  took.set(name, (took.get(name) ?? 0) + duration);
});
// At once as well as at the end: a run that is killed has then named what failed before.
runner.on('fail', (test, error) => {
  counts.failed += 1;
  console.log(`\nfailed: ${test.fullTitle()}: ${error.message}`);
});
runner.on('pending', (test) => {
  counts.skipped += 1;
  console.log(`skipped: ${test.fullTitle()}`);
});
