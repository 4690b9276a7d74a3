/**
 * Each of these mistakes must turn the simulation red: `node --import tsx test/simulation/mutations.ts [name…]`. Works on a copy of the tree;
 * MUTATION_SCHEDULES sets how many seeds each may survive.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

interface Mutation {
  readonly name: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

const MUTATIONS: readonly Mutation[] = [
  {
    name: 'linger 0',
    file: 'src/member/start-member.ts',
    from: 'lingerMs: cluster.linger,',
    to: 'lingerMs: 0,',
  },
  {
    name: 'store before memory',
    file: 'src/query/gather-streams.ts',
    from: '  const memory = await sources.memory.select(tenant, matchers, range, signal, onMissing);\n  const refs = await sources.stored.index.chunkRefs(tenant, matchers, range);\n',
    to: '  const refs = await sources.stored.index.chunkRefs(tenant, matchers, range);\n  const memory = await sources.memory.select(tenant, matchers, range, signal, onMissing);\n',
  },
  {
    name: 'custody without epochs: both sides let go',
    file: 'src/cluster/handover/giver-state.ts',
    from: 'if (epoch === undefined || epoch <= segment.epoch)',
    to: 'if (epoch === undefined)',
  },
  {
    name: 'an adopted segment that comes back is not taken back at a higher epoch',
    file: 'src/member/adoptions.ts',
    from: 'const epoch = Math.max(own.epoch, theirs, own.segment.highestEpoch, this.#deps.epochOf(name)) + 1;',
    to: 'const epoch = Math.max(own.epoch, theirs, own.segment.epoch);',
  },
  {
    name: 'what comes back is released all the same',
    file: 'src/member/adoptions.ts',
    from: '    this.#deps.returned(name, epoch);\n',
    to: '',
  },
  {
    name: 'adoption does not check that all is there',
    file: 'src/member/adoptions.ts',
    from: 'if (!segment || have < finalCount)',
    to: 'if (!segment)',
  },
  {
    name: 'adopted before custody is durable',
    file: 'src/member/adoptions.ts',
    from: '      await log.takeCustody(segment, epoch, finalCount);\n',
    to: '      void log.takeCustody(segment, epoch, finalCount).catch(() => undefined);\n',
  },
  {
    name: 'adopted, and not told the actors',
    file: 'src/member/adoptions.ts',
    from: '      holdings.adopted(segment);\n',
    to: '',
  },
  {
    name: 'commit without condition',
    file: 'test/support/stores/memory-index-store.ts',
    from: 'if (known.length > 0) return new Map(known);',
    to: '',
  },
  {
    name: 'a walk flushes',
    file: 'src/member/handover.ts',
    from: '    await this.#inSlices(moves, (slice) => {\n',
    to: '    if (moves.length > 0) await (holdings as unknown as { flushAll(): Promise<void> }).flushAll();\n    await this.#inSlices(moves, (slice) => {\n',
  },
  {
    name: 'no fence',
    file: 'src/member/member.ts',
    from: 'if (this.#deps.membership.fenceRemainingMs > 0) return undefined;',
    to: 'if (this.#deps.membership.fenceRemainingMs > -1e9) return undefined;',
  },
  {
    name: 'missing disks are no matter',
    file: 'src/member/cluster-memory.ts',
    from: 'const gone = missingDisks(view);',
    to: 'const gone = missingDisks({ ...view, roster: [] });',
  },
  {
    name: 'a query takes the view it has',
    file: 'src/member/member.ts',
    from: 'freshView: (deadlineMs) => membership.freshView(deadlineMs),',
    to: 'freshView: async () => membership.view,',
  },
  {
    name: 'a member that does not answer is passed over',
    file: 'src/member/cluster-memory.ts',
    from: 'failed.push(unavailableMember(outcome.reason));',
    to: 'continue;',
  },
  {
    name: 'leaves with segments on its disk',
    file: 'src/member/member.ts',
    from: 'while (!(handover.isSettled && this.#isEmpty())) {',
    to: 'while (!handover.isSettled) {',
  },
];

const ROOT = path.join(import.meta.dirname, '..', '..');
const schedules = process.env['MUTATION_SCHEDULES'] ?? '200';

const copyOfTree = (): string => {
  const copy = mkdtempSync(path.join(tmpdir(), 'ringlog-mutation-'));
  for (const name of ['src', 'test/support', 'test/simulation', 'scripts', 'package.json', 'tsconfig.json']) {
    cpSync(path.join(ROOT, name), path.join(copy, name), { recursive: true });
  }
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(copy, 'node_modules'));
  return copy;
};

/** A walk that flushes needs a way to. */
const withFlush = (copy: string): void => {
  const file = path.join(copy, 'src/member/node-holdings.ts');
  const text = readFileSync(file, 'utf8');
  const at = text.indexOf('  async walk(');
  writeFileSync(file, `${text.slice(0, at)}  flushAll = () => this.#node.services.flush();\n\n${text.slice(at)}`);
};

const isCaught = ({ file, from, to }: Mutation): { readonly isCaught: boolean; readonly why: string } => {
  const copy = copyOfTree();
  try {
    const text = readFileSync(path.join(copy, file), 'utf8');
    if (text.split(from).length !== 2) throw new Error(`${file} does not have once: ${from}`);
    writeFileSync(
      path.join(copy, file),
      text.replace(from, () => to),
    );
    withFlush(copy);
    const { status, stdout } = spawnSync(
      process.execPath,
      ['--no-warnings', '--import', 'tsx', 'scripts/run-tests.ts', 'simulation'],
      { cwd: copy, encoding: 'utf8', env: { ...process.env, SIM_SCHEDULES: schedules, SIM_BAIL: '1' } },
    );
    const why = /SEED=.*\n.*/.exec(stdout)?.[0] ?? stdout.slice(-300);
    return { isCaught: status !== 0, why };
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
};

const wanted = process.argv.slice(2);
let survivors = 0;
for (const mutation of MUTATIONS.filter(({ name }) => wanted.length === 0 || wanted.includes(name))) {
  const { isCaught: isRed, why } = isCaught(mutation);
  if (!isRed) survivors += 1;
  process.stdout.write(
    `${isRed ? 'caught  ' : 'SURVIVED'} ${mutation.name}\n${isRed ? `         ${why.replace('\n', ' ')}\n` : ''}`,
  );
}
process.exitCode = survivors === 0 ? 0 : 1;
