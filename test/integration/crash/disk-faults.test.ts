import { expect } from 'chai';
import type { LogFile, LogFiles } from '../../../src/log/log-files.ts';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import { linesOf } from '../../support/cluster.ts';
import { expectRetryLater, LOOK_PERIOD_MS, Machine } from '../../support/crash/machine.ts';
import { linesOfPush, linesOfSmallPush, smallPush } from '../../support/crash/workload.ts';
import { eventually } from '../../support/eventually.ts';
import type { Fault } from '../../support/log/power-loss-files.ts';

const GB = 1 << 30;

/** Each sync takes this much longer. */
const slowed = (files: LogFiles, ms: number): LogFiles => {
  const pause = () => new Promise((resolve) => setTimeout(resolve, ms));
  const slowFile = (file: LogFile): LogFile => ({
    ...file,
    write: async (offset, bytes, isSynced) => {
      await file.write(offset, bytes, isSynced);
      if (isSynced) await pause();
    },
  });
  return { ...files, open: async (name, mode) => slowFile(await files.open(name, mode)) };
};

describe('a node whose log has a bad disk', function () {
  this.timeout(60_000);
  let machine: Machine;

  beforeEach(async () => {
    machine = new Machine();
    await machine.start();
    for (let number = 0; number < 6; number += 1) expect((await machine.push(number)).refusal).to.equal(undefined);
  });
  afterEach(async () => {
    machine.disk.clear();
    await machine.stop();
  });

  const faults: Readonly<Record<string, readonly Fault[]>> = {
    'is full': [{ step: 'write', code: 'ENOSPC' }],
    'became read-only': ['write', 'unlink', 'truncate', 'rename'].map((step) => ({ step, code: 'EROFS' }) as Fault),
    'fails to write': [{ step: 'write', code: 'EIO' }],
    'fails to sync': [{ step: 'sync', code: 'EIO' }],
  };
  for (const [what, injected] of Object.entries(faults)) {
    it(`refuses pushes while it ${what}, answers queries, and takes pushes again by itself`, async () => {
      const { disk, node, clock } = machine;
      for (const fault of injected) disk.inject(fault);
      const unflushed: number[] = [];
      for (let round = 0; round < 20; round += 1) {
        expectRetryLater((await machine.push(6)).refusal);
        unflushed.push(node.figures().unflushedBytes);
      }
      expect(disk.failures, 'the faults happened').to.be.greaterThan(0);
      expect(unflushed.at(-1), 'memory does not grow with what is refused').to.be.at.most(unflushed[0]!);
      expect(node.services.notReady(), 'it says so').to.match(/log/);
      await machine.check('meanwhile');
      clock.skip(LOOK_PERIOD_MS);
      expectRetryLater((await machine.push(6)).refusal);
      expect(node.services.notReady(), 'it still says so').to.match(/log/);
      disk.clear();
      // Nobody pushes: it finds out by itself.
      clock.skip(LOOK_PERIOD_MS);
      await eventually('it is ready', () => node.services.notReady() === undefined);
      for (let number = 6; number < 12; number += 1) expect((await machine.push(number)).refusal).to.equal(undefined);
      await machine.finish();
    });
  }

  it('takes nothing into memory while the disk is nearly full, and goes on once it is not', async () => {
    const { disk, node, clock } = machine;
    disk.diskSpace = { sizeBytes: GB, freeBytes: GB / 100 };
    clock.skip(LOOK_PERIOD_MS);
    await eventually('it is not ready', () => node.services.notReady() !== undefined);
    const before = node.figures();
    for (let number = 6; number < 12; number += 1) expectRetryLater((await machine.push(number)).refusal);
    expect(node.figures().unflushedBytes).to.equal(before.unflushedBytes);
    await machine.check('meanwhile');
    // What is left of the disk is for this.
    await node.services.flush();
    await eventually('the log is told', () => node.figures().log?.liveBytes === 0, node.figures);
    disk.diskSpace = { sizeBytes: GB, freeBytes: GB / 2 };
    expect(await machine.pushUntilTaken(6)).to.be.greaterThan(0);
    expect(node.services.notReady()).to.equal(undefined);
    await machine.finish();
  });

  it('stores the oldest early, and only then, while its log is more than what the disk still takes', async () => {
    const { disk, node, clock, chunks } = machine;
    clock.skip(10 * 60_000);
    const sweep = async (): Promise<number> => {
      for (let times = 0; times < 3; times += 1) await node.sweep();
      // A query asks the same actors: they have heard of the sweeps by then.
      await machine.check('after the sweeps');
      await eventually('nothing is being stored', () => node.figures().flush.pending === 0);
      return chunks.objects.size;
    };
    // 91 MB until pushes are refused: all of the log has its place.
    disk.diskSpace = { sizeBytes: GB, freeBytes: 0.135 * GB };
    clock.skip(LOOK_PERIOD_MS);
    await eventually(
      'it has looked',
      () => (node.figures().log?.diskBytesLeft ?? GB) < 0.1 * GB,
      () => node.figures().log,
    );
    const stored = chunks.objects.size;
    expect(await sweep()).to.equal(stored);
    disk.diskSpace = { sizeBytes: GB, freeBytes: 0.05 * GB + 1000 };
    clock.skip(LOOK_PERIOD_MS);
    await eventually('it has looked', () => (node.figures().log?.diskBytesLeft ?? GB) < 2000);
    expect(node.services.notReady(), 'pushes go on').to.equal(undefined);
    await sweep();
    await eventually('it is stored', () => node.figures().log?.liveBytes === 0, node.figures);
    expect(chunks.objects.size).to.be.greaterThan(stored);
    disk.diskSpace = { sizeBytes: GB, freeBytes: GB / 2 };
    await machine.finish();
  });

  it('acknowledges pushes in groups when each sync takes 100 ms', async () => {
    await machine.stop();
    const node = await machine.start({ files: slowed(machine.disk.process(), 100) });
    const first = node.figures().log!.commits;
    const pushers = Array.from({ length: 40 }, async (_, pusher) => {
      for (let round = 0; round < 4; round += 1) await machine.push(6 + pusher + 40 * round);
    });
    await Promise.all(pushers);
    expect(machine.acknowledged.size).to.equal(166 * linesOfPush(0).length);
    expect(node.figures().log!.commits - first, 'commits of 160 pushes').to.be.within(4, 16);
    await machine.finish();
  });

  it('is not kept from freeing the log by pushes that repeat what is stored', async () => {
    const { node, chunks, clock } = machine;
    let letStore = (): void => undefined;
    const mayStore = new Promise<void>((resolve) => {
      letStore = resolve;
    });
    chunks.before = (operation) => (operation === 'put' ? mayStore : undefined);
    const repeat = () => node.services.push('tenant', smallPush(1));
    await repeat();
    const flushed = node.services.flush();
    await repeat();
    letStore();
    await flushed;
    await repeat();
    for (const line of linesOfSmallPush(1)) machine.sent.add(line);
    await eventually('the log is told', () => node.figures().log?.liveBytes === 0, node.figures);
    clock.skip(LOOK_PERIOD_MS);
    await machine.finish();
  });

  it('fails a query over what it cannot read of the log, rather than leave it out', async () => {
    const { disk } = machine;
    disk.kill();
    await machine.stop();
    const node = await machine.start();
    disk.inject({ step: 'read', code: 'EIO' });
    const failed = await linesOf(node, '{app=~".+"}').then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(failed).to.be.instanceOf(RefusedError);
    expect((failed as RefusedError).refusal).to.deep.include({ code: 'STORAGE_UNAVAILABLE' });
    expect((failed as RefusedError).message).to.match(/log.*EIO/);
    disk.clear();
    await machine.check('once it can be read');
    await machine.finish();
  });

  it('gives up a segment of which nothing is left, says so, and goes on with the others', async () => {
    const { disk, node } = machine;
    await node.services.push('tenant', smallPush(1));
    await machine.stop();
    const [name = ''] = disk.names;
    const content = disk.content(name);
    const at = content.indexOf(linesOfSmallPush(1)[0] ?? '');
    content[at] = (content[at] ?? 0) ^ 1;
    await machine.start();
    const failed = await linesOf(machine.node, '{app="small"}').catch((error: RefusedError) => error.refusal.code);
    expect(failed).to.equal('INTERNAL');
    await machine.node.services.flush();
    expect(machine.running?.problems.join('; ')).to.match(/1 entries of segment .* are lost to damage/);
    await machine.check('after the flush');
    await machine.finish();
  });

  it('reports a file that cannot be read at the start, and has it and its commits when it can', async () => {
    const { disk, node } = machine;
    // Committed, and the log is not told.
    disk.holdSyncs();
    await node.services.flush();
    disk.kill();
    await machine.stop();
    const commits = await machine.commits();
    expect(commits.length).to.be.greaterThan(0);
    disk.inject({ step: 'read', code: 'EIO' });
    await machine.start();
    expect(machine.running?.problems.join('; ')).to.match(/cannot be read/);
    expect(machine.node.figures().log?.unreadableFiles).to.equal(1);
    expect(await machine.commits(), 'still remembered').to.deep.equal(commits);
    disk.clear();
    disk.kill();
    await machine.stop();
    await machine.start();
    await machine.check('once it can be read');
    const objects = machine.chunks.objects.size;
    await machine.node.services.flush();
    expect(machine.chunks.objects.size, 'nothing is stored twice').to.equal(objects);
    await machine.finish();
  });
});
