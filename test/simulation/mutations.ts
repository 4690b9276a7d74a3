/**
 * Each of these mistakes should turn the simulation red; this fails if one does not: `node --import tsx test/simulation/mutations.ts [name…]`.
 * Works on a copy of the tree; MUTATION_SCHEDULES sets how many schedules each may survive. Those of the protocol that need a second copy of a
 * segment are not among them.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { MUTATIONS, type Mutation } from './mutation-list.ts';

const ROOT = path.join(import.meta.dirname, '..', '..');
const schedules = process.env['MUTATION_SCHEDULES'] ?? '1000';
const COPIED = ['src', 'test/support', 'test/simulation', 'package.json', 'tsconfig.json', 'tsconfig.build.json'];

const copyOfTree = (): string => {
  const copy = mkdtempSync(path.join(tmpdir(), 'ringlog-mutation-'));
  for (const name of COPIED) cpSync(path.join(ROOT, name), path.join(copy, name), { recursive: true });
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(copy, 'node_modules'));
  return copy;
};

const mutate = (copy: string, { edits }: Mutation): void => {
  for (const { file, from, to } of edits) {
    const text = readFileSync(path.join(copy, file), 'utf8');
    if (text.split(from).length !== 2) throw new Error(`${file} does not have once: ${from}`);
    writeFileSync(
      path.join(copy, file),
      text.replace(from, () => to),
    );
  }
};

/** What was broken first; undefined: nothing. @throws if the simulation could not be run */
const findingOf = (mutation: Mutation, count = schedules): string | undefined => {
  const copy = copyOfTree();
  try {
    mutate(copy, mutation);
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ['--no-warnings', '--import', 'tsx', 'test/simulation/first-broken.ts', count],
      { cwd: copy, encoding: 'utf8', maxBuffer: 1 << 28 },
    );
    if (status !== 0) throw new Error(`${mutation.name}: ${stdout.slice(-2000)}${stderr.slice(-2000)}`);
    return stdout === '' ? undefined : stdout;
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
};

/** What is caught without a mistake says nothing of any. */
const UNCHANGED: Mutation = { name: 'nothing', edits: [] };
const UNCHANGED_SCHEDULES = '100';

const unsound = findingOf(UNCHANGED, UNCHANGED_SCHEDULES);
if (unsound !== undefined) throw new Error(`the simulation is red without a mistake\n${unsound}`);
const wanted = process.argv.slice(2);
let survivors = 0;
for (const mutation of MUTATIONS.filter(({ name }) => wanted.length === 0 || wanted.includes(name))) {
  const finding = findingOf(mutation);
  if (finding === undefined) survivors += 1;
  process.stdout.write(`${finding === undefined ? 'SURVIVED' : 'caught  '} ${mutation.name}\n${finding ?? ''}`);
}
process.exitCode = survivors === 0 ? 0 : 1;
