import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect } from 'chai';
import { type RinglogNode, startNode } from '../../../src/node.ts';
import { forEachConcurrent } from '../../../src/protocol/for-each-concurrent.ts';
import { LmdbIndexStore } from '../../../src/storage/lmdb-index-store.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { sharedWorkers } from '../../support/cluster.ts';
import { checkAnswers, type Pushed } from '../../support/crash/answers.ts';
import { type CrashPlan, crashConfig, TIDY_PERIOD_MS } from '../../support/crash/crash-plan.ts';
import { SkippingClock } from '../../support/crash/skipping-clock.ts';
import { linesOfPush, linesOfSmallPush } from '../../support/crash/workload.ts';
import { eventually } from '../../support/eventually.ts';

const NODE = fileURLToPath(new URL('../../support/crash/node-process.ts', import.meta.url));
/** Processes at a time. */
const CONCURRENCY = 2;
/** Ends a process that hangs. */
const PROCESS_MS_MAX = 30_000;

type Point = Pick<CrashPlan, 'phase' | 'step'> & { readonly hit?: number };

/** On an empty folder. */
const FRESH: readonly Point[] = [
  { phase: 'pushing', step: 'log write: before', hit: 5 },
  { phase: 'pushing', step: 'log write: not synced', hit: 5 },
  { phase: 'pushing', step: 'log write: synced', hit: 5 },
  { phase: 'pushing', step: 'log folder: before sync' },
  { phase: 'flushing', step: 'cut: before' },
  { phase: 'flushing', step: 'object: before', hit: 2 },
  { phase: 'flushing', step: 'object: durable', hit: 2 },
  { phase: 'flushing', step: 'commit: before', hit: 2 },
  { phase: 'flushing', step: 'commit: under way', hit: 2 },
  { phase: 'flushing', step: 'commit: durable', hit: 2 },
  { phase: 'flushing', step: 'log write: before' },
  { phase: 'flushing', step: 'forget: before', hit: 2 },
];

/** On what a killed process left. */
const RECOVERED: readonly Point[] = [
  { phase: 'starting', step: 'log truncate: before' },
  { phase: 'starting', step: 'log write: not synced' },
  { phase: 'starting', step: 'log folder: before sync' },
  // A chunk is made of what the killed process left and of what this one got.
  { phase: 'flushing', step: 'object: durable', hit: 2 },
  { phase: 'flushing', step: 'commit: under way', hit: 2 },
  { phase: 'flushing', step: 'commit: durable', hit: 2 },
  { phase: 'flushing', step: 'forget: before', hit: 6 },
  { phase: 'tidying', step: 'log unlink: before' },
  { phase: 'tidying', step: 'log unlink: after' },
];

/** Where the log has grown by a file that is mostly stored. */
const COMPACTED: readonly Point[] = [
  { phase: 'tidying', step: 'log write: before' },
  { phase: 'tidying', step: 'log write: synced' },
  { phase: 'tidying', step: 'log unlink: after' },
];

class Crash implements Pushed {
  readonly acknowledged: string[] = [];
  readonly sent = new Set<string>();
  folder = '';
  signal: string | null = null;
  errors = '';
}

/** Runs a node until it ends itself. */
const crash = async (plan: CrashPlan, before?: Crash): Promise<Crash> => {
  const crashed = new Crash();
  crashed.folder = plan.folder;
  crashed.acknowledged.push(...(before?.acknowledged ?? []));
  for (const line of before?.sent ?? []) crashed.sent.add(line);
  for (let number = plan.firstPush; number < plan.firstPush + plan.pushes + 6; number += 1) {
    for (const line of [...linesOfPush(number), ...linesOfSmallPush(number)]) crashed.sent.add(line);
  }
  const child = spawn(process.execPath, ['--import', 'tsx', NODE, JSON.stringify(plan)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: PROCESS_MS_MAX,
    killSignal: 'SIGABRT',
  });
  const ended = once(child, 'exit');
  child.stderr.on('data', (text: Buffer) => {
    crashed.errors += text.toString();
  });
  for await (const text of createInterface({ input: child.stdout })) {
    const [kind, number] = text.split(' ');
    crashed.acknowledged.push(...(kind === 'push' ? linesOfPush : linesOfSmallPush)(Number(number)));
  }
  const [, signal] = (await ended) as [number | null, string | null];
  crashed.signal = signal;
  return crashed;
};

const collectGarbage = (): void => {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
};

/** Everything stored, and the log empty but for its head. */
const settle = async (node: RinglogNode, clock: SkippingClock): Promise<void> => {
  await node.services.flush();
  await eventually('the log is told of all that is stored', () => node.figures().log?.liveBytes === 0, node.figures);
  expect(node.figures()).to.deep.include({ unflushedBytes: 0, recoveredSegments: 0 });
  // What queries were given of the log they keep until it is collected.
  await eventually(
    'old files of the log go',
    async () => {
      collectGarbage();
      clock.skip(TIDY_PERIOD_MS);
      await new Promise((resolve) => setTimeout(resolve, 5));
      return (node.figures().log?.files ?? 0) <= 1;
    },
    node.figures,
  );
};

const bytesIn = async (folder: string): Promise<number> => {
  const names = await readdir(folder);
  const sizes = await Promise.all(names.map(async (name) => (await stat(path.join(folder, name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
};

const commitsIn = async (folder: string): Promise<readonly string[]> => {
  const index = await LmdbIndexStore.open({ path: path.join(folder, 'index'), clock: systemClock });
  const commits: string[] = [];
  for await (const { segment } of index.commits()) commits.push(segment);
  await index.close();
  return commits;
};

describe('a node that is killed', function () {
  this.timeout(120_000);
  const crashes = new Map<string, Promise<Crash>>();
  let root: string;
  let left: Crash;

  const nameOf = (kind: string, { phase, step, hit = 1 }: Point): string => `${kind}, ${phase}, ${step} (${hit})`;

  before(async () => {
    root = await mkdtemp(path.join(os.tmpdir(), 'ringlog-crash-'));
    const planOf = (name: string, point: Point, plan: Partial<CrashPlan>): CrashPlan => ({
      folder: path.join(root, name.replaceAll(/[^a-z0-9]+/g, '-')),
      hit: 1,
      firstPush: 0,
      pushes: 8,
      flushes: true,
      compacts: false,
      ...point,
      ...plan,
    });
    left = await crash(planOf('left', { phase: 'pushing', step: 'idle' }, {}));
    const runs: { name: string; run: () => Promise<Crash> }[] = [];
    for (const point of FRESH) {
      const name = nameOf('fresh', point);
      runs.push({ name, run: () => crash(planOf(name, point, {})) });
    }
    for (const point of RECOVERED) {
      const name = nameOf('recovered', point);
      const plan = planOf(name, point, { firstPush: 1000 });
      const run = async () => {
        await cp(left.folder, plan.folder, { recursive: true });
        return await crash(plan, left);
      };
      runs.push({ name, run });
    }
    for (const point of COMPACTED) {
      const name = nameOf('compacted', point);
      runs.push({ name, run: () => crash(planOf(name, point, { pushes: 90, flushes: false, compacts: true })) });
    }
    const settled = new Map<string, (crashed: Crash | Promise<Crash>) => void>();
    for (const { name } of runs) crashes.set(name, new Promise((resolve) => settled.set(name, resolve)));
    void forEachConcurrent(runs, CONCURRENCY, async ({ name, run }) => {
      const crashed = run();
      settled.get(name)?.(crashed);
      await crashed.catch(() => undefined);
    });
  });
  after(async () => {
    await Promise.allSettled(crashes.values());
    await rm(root, { recursive: true, force: true });
  });

  for (const [kind, points] of Object.entries({ fresh: FRESH, recovered: RECOVERED, compacted: COMPACTED })) {
    for (const point of points) {
      const name = nameOf(kind, point);
      it(`starts again and has everything, once: ${name}`, async () => {
        const crashed = await crashes.get(name)!;
        expect(crashed.signal, `the crash happened; ${crashed.errors}`).to.equal('SIGKILL');
        const clock = new SkippingClock();
        // What it stores again would not get the same name by having the same bytes.
        const node = await startNode(crashConfig(crashed.folder, 12 << 10), { clock, workers: sharedWorkers() });
        try {
          await checkAnswers(node, 'after the restart', crashed);
          await settle(node, clock);
          expect(await checkAnswers(node, 'after the flush', crashed), 'stored twice').to.equal(0);
        } finally {
          await node.stop({ deadlineMs: 5000 });
        }
        expect(await commitsIn(crashed.folder), 'commits are forgotten').to.deep.equal([]);
        expect(await bytesIn(path.join(crashed.folder, 'log')), 'the log is small').to.be.lessThan(16 << 10);
      });
    }
  }
});
