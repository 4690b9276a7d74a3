/** A node on a folder that ends itself by SIGKILL at a step; prints the number of each push once it is acknowledged. Argument: CrashPlan as JSON. */

import { writeSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { NodeLogFiles } from '../../../src/log/node-log-files.ts';
import { type RinglogNode, startNode } from '../../../src/node.ts';
import { nextIdentity } from '../../../src/node-identity.ts';
import { startWorkers } from '../../../src/node-workers.ts';
import { FileChunkStore } from '../../../src/storage/file-chunk-store.ts';
import { LmdbIndexStore } from '../../../src/storage/lmdb-index-store.ts';
import { eventually } from '../eventually.ts';
import type { CrashPlan, Phase } from './crash-plan.ts';
import { crashConfig, TIDY_PERIOD_MS } from './crash-plan.ts';
import { type CrashStep, watchedChunks, watchedCutting, watchedIndex, watchedLogFiles } from './crash-points.ts';
import { SkippingClock } from './skipping-clock.ts';
import { pushNumbered, smallPush } from './workload.ts';

const plan = JSON.parse(process.argv[2] ?? '') as CrashPlan;
const { folder, firstPush, pushes } = plan;
const clock = new SkippingClock();
let phase: Phase = 'starting';
let hits = 0;

const onStep = async (step: CrashStep): Promise<void> => {
  if (phase !== plan.phase || step !== plan.step) return;
  hits += 1;
  if (hits < plan.hit) return;
  process.kill(process.pid, 'SIGKILL');
  // The signal is on its way: nothing happens any more.
  await new Promise(() => undefined);
};

const acknowledge = (kind: 'push' | 'small', number: number): void => {
  writeSync(1, `${kind} ${number}\n`);
};

const push = async (node: RinglogNode, number: number): Promise<void> => {
  const { refusal } = await node.services.push('tenant', pushNumbered(number));
  if (refusal) throw new Error(refusal.text);
  acknowledge('push', number);
};

const pushSmall = async (node: RinglogNode, number: number): Promise<void> => {
  const { refusal } = await node.services.push('tenant', smallPush(number));
  if (refusal) throw new Error(refusal.text);
  acknowledge('small', number);
};

/** Pushes two at a time. */
const pushAll = async (node: RinglogNode, first: number, count: number): Promise<void> => {
  for (let number = first; number < first + count; number += 2) {
    await Promise.all([push(node, number), push(node, number + 1)]);
  }
};

for (const name of ['chunks', 'index', 'log']) await mkdir(path.join(folder, name), { recursive: true });
const index = await LmdbIndexStore.open({ path: path.join(folder, 'index'), clock });

const openNode = async (): Promise<RinglogNode> => {
  const config = crashConfig(folder);
  const identity = await nextIdentity(folder, clock.nowMs());
  return await startNode(config, {
    clock,
    chunks: watchedChunks(await FileChunkStore.open(path.join(folder, 'chunks')), onStep),
    index: watchedIndex(index, onStep),
    logDisk: { files: watchedLogFiles(new NodeLogFiles(path.join(folder, 'log')), onStep), identity },
    workers: watchedCutting(startWorkers(config), onStep),
  });
};

const node = await openNode();
const log = () => node.figures().log;

phase = 'pushing';
await pushSmall(node, firstPush);
await pushAll(node, firstPush, pushes);
await onStep('idle');

if (plan.flushes) {
  phase = 'flushing';
  await node.services.flush();
}
// Full chunks are stored without being asked for.
await eventually('the log is told what is stored', () => node.figures().flush.pending === 0, node.figures);
const liveShare = (): number => (log()?.liveBytes ?? 0) / (log()?.bytes ?? 1);
await eventually('the log frees it', () => liveShare() < (plan.flushes ? 0.001 : 0.2), node.figures);
if (plan.flushes)
  await eventually(
    'no commit is kept',
    async () => (await index.commits()[Symbol.asyncIterator]().next()).done === true,
  );

phase = 'flushed';
await pushAll(node, firstPush + pushes, 6);
await onStep('idle');

phase = 'tidying';
clock.skip(plan.compacts ? 31 * 60_000 : TIDY_PERIOD_MS);
const removed = log()?.removedFiles ?? 0;
await eventually('a file of the log goes', () => (log()?.removedFiles ?? 0) > removed, node.figures);
process.exit(3);
