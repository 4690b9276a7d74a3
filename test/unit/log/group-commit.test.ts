import { expect } from 'chai';
import { fileNameOf } from '../../../src/log/file-header.ts';
import type { Log } from '../../../src/log/log.ts';
import type { LogSegment } from '../../../src/log/segment-table.ts';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import { ManualClock } from '../../support/clock.ts';
import { entryAt, rangeOf } from '../../support/entries.ts';
import { PowerLossFiles } from '../../support/log/power-loss-files.ts';
import { HEADER, linesOf, openTestLog, segmentId, type TestLogOptions, turn } from '../../support/log/test-log.ts';

const codeOf = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work;
  } catch (error) {
    if (error instanceof RefusedError) return error.refusal.code;
    throw error;
  }
  return 'ok';
};

const isSettled = async (work: Promise<unknown>): Promise<boolean> => {
  const pending = Symbol();
  return (await Promise.race([work.catch(() => undefined), turn().then(() => pending)])) !== pending;
};

describe('the group commit', () => {
  let disk: PowerLossFiles;
  let clock: ManualClock;
  let log: Log;
  let counter: number;

  const start = async (options: TestLogOptions = {}): Promise<void> => {
    log = await openTestLog(disk.process(), { clock, ...options });
  };
  const open = (): LogSegment => {
    counter += 1;
    return log.open(segmentId(counter), HEADER);
  };
  const append = (segment: LogSegment, ...lines: readonly string[]): Promise<void> =>
    log.append(segment, rangeOf(lines.map((line, index) => entryAt(index, line))));

  beforeEach(async () => {
    disk = new PowerLossFiles();
    clock = new ManualClock();
    counter = 0;
    await start();
  });

  it('writes what comes in one turn as one batch, with one promise', async () => {
    const first = append(open(), 'a');
    const second = append(open(), 'b');
    expect(first).to.equal(second);
    await first;
    expect(log.figures.commits).to.equal(1);
  });

  it('tells how long each batch took', async () => {
    const told: number[] = [];
    await start({ committed: (ms) => told.push(ms) });
    disk.holdSyncs();
    const first = append(open(), 'a');
    while (disk.heldSyncs === 0) await turn();
    clock.advance(7);
    disk.releaseSyncs();
    await first;
    await append(open(), 'b');
    expect(told).to.deep.equal([7, 0]);
  });

  it('waits between batches while threads wait for cores, the longer the more of their time', async () => {
    let share = 0;
    let holds = 0;
    const holdProcess = (): (() => void) => {
      holds += 1;
      return () => {
        holds -= 1;
      };
    };
    await start({ cpuWaitShare: () => share, holdProcess });
    /** From the start of a batch until one that comes right behind it. */
    const waitsMs = async (): Promise<number> => {
      clock.advance(1000);
      await append(open(), 'first');
      const fromMs = clock.monotonicMs();
      const second = append(open(), 'second');
      await turn();
      expect(holds, 'no timer keeps the process alive').to.equal(share > 0.3 ? 1 : 0);
      while (!(await isSettled(second))) clock.advance(0.5);
      expect(holds).to.equal(0);
      return clock.monotonicMs() - fromMs;
    };
    const waited: number[] = [];
    for (share of [0, 0.3, 0.5, 0.7, 0.9]) waited.push(await waitsMs());
    expect(waited.map(Math.round)).to.deep.equal([0, 0, 5, 10, 10]);
    clock.advance(10);
    const { commits } = log.figures;
    await append(open(), 'who comes later than that waits for nothing');
    expect(log.figures.commits - commits).to.equal(1);
  });

  it('begins no rest while somebody waits for room', async () => {
    await start({ cpuWaitShare: () => 1, batchSizeMax: 4096 });
    disk.holdSyncs();
    const first = append(open(), 'first');
    await turn();
    const appends = Array.from({ length: 7 }, () => append(open(), 'x'.repeat(800)));
    expect(log.figures.waiting, 'there is no room for all').to.be.greaterThan(0);
    disk.releaseSyncs();
    await first;
    await appends[0];
    expect(clock.monotonicMs(), 'no time went by').to.equal(new ManualClock().monotonicMs());
    while (!(await isSettled(Promise.all(appends)))) clock.advance(1);
  });

  it('tells that a segment has settled as soon as it has, whatever comes meanwhile', async () => {
    const segment = open();
    const [one, other] = [open(), open()];
    disk.holdSyncs();
    const entries = append(segment, 'a');
    await turn();
    // While the one is written the other comes: the log never has nothing to do.
    const appends = async (to: LogSegment): Promise<void> => {
      for (let count = 0; count < 50; count += 1) await append(to, 'next');
    };
    const busy = [appends(one)];
    const settled = log.settled(segment);
    disk.releaseSyncs();
    await entries;
    busy.push(appends(other));
    expect(await settled).to.equal(1);
    expect(log.figures.commits, 'long before the log has nothing to do').to.be.at.most(5);
    await Promise.all(busy);
    expect(log.figures.commits).to.be.greaterThan(50);
  });

  it('tells that a segment has settled whose entries were refused along with the batch in front of them', async () => {
    const segment = open();
    disk.holdSyncs();
    const first = append(open(), 'first');
    await turn();
    const refused = append(segment, 'a');
    const settled = log.settled(segment);
    disk.inject({ step: 'sync', code: 'EIO', times: 2 });
    disk.releaseSyncs();
    expect(await Promise.all([codeOf(first), codeOf(refused)])).to.deep.equal([
      'STORAGE_UNAVAILABLE',
      'STORAGE_UNAVAILABLE',
    ]);
    expect(await settled).to.equal(0);
  });

  it('ends its rest when somebody has no room', async () => {
    await start({ cpuWaitShare: () => 1, batchSizeMax: 4096 });
    await append(open(), 'first');
    const fits = append(open(), 'x'.repeat(800));
    await turn();
    const behind = [1, 2, 3, 4, 5, 6].map(() => append(open(), 'x'.repeat(800)));
    expect(log.figures.waiting, 'there is no room for all').to.be.greaterThan(0);
    await fits;
    expect(log.figures.waiting).to.equal(0);
    await turn();
    clock.advance(10);
    await Promise.all(behind);
  });

  it('acknowledges nothing before it is synced, and puts what comes meanwhile into the next batch', async () => {
    const segment = open();
    await append(segment, 'a');
    disk.holdSyncs();
    const second = append(segment, 'b');
    await turn();
    await turn();
    expect(disk.heldSyncs).to.equal(1);
    const third = [append(segment, 'c'), append(open(), 'd')];
    expect(await isSettled(second)).to.equal(false);
    expect(segment.count).to.equal(1);
    disk.releaseSyncs();
    await second;
    await Promise.all(third);
    expect(log.figures.commits).to.equal(3);
    expect(await linesOf(log, segment)).to.deep.equal(['a', 'b', 'c']);
  });

  it('copies what it is given at once', async () => {
    const segment = open();
    const range = rangeOf([entryAt(0, 'as it was')]);
    const appended = log.append(segment, range);
    range.columns.bytes.fill(0);
    range.columns.times.fill(0n);
    await appended;
    expect(await linesOf(log, segment)).to.deep.equal(['as it was']);
  });

  it('lets those wait in line for whom there is no room, and refuses them past their deadline', async () => {
    await start({ batchSizeMax: 4096, roomWaitMsMax: 100 });
    const segment = open();
    await append(segment, 'first');
    disk.holdSyncs();
    const inFlight = append(segment, 'x'.repeat(900));
    await turn();
    await turn();
    const filling = [1, 2, 3, 4].map((index) => append(segment, `${index}${'y'.repeat(900)}`));
    const waiting = append(segment, 'z'.repeat(900));
    const behind = append(segment, 'small');
    expect(log.figures.waiting).to.equal(2);
    clock.advance(101);
    expect(await codeOf(waiting)).to.equal('OVERLOADED');
    expect(await codeOf(behind)).to.equal('OVERLOADED');
    const later = append(segment, 'later');
    disk.releaseSyncs();
    await Promise.all([inFlight, ...filling, later]);
    const lines = await linesOf(log, segment);
    expect(lines.map((line) => line.slice(0, 5))).to.deep.equal([
      'first',
      'xxxxx',
      '1yyyy',
      '2yyyy',
      '3yyyy',
      '4yyyy',
      'later',
    ]);
  });

  it('keeps a segment that is sealed while its first entries wait in line', async () => {
    await start({ batchSizeMax: 4096 });
    disk.holdSyncs();
    const filling = Array.from({ length: 4 }, () => append(open(), 'x'.repeat(900)));
    await turn();
    await turn();
    filling.push(...Array.from({ length: 4 }, () => append(open(), 'x'.repeat(900))));
    const segment = open();
    const appended = append(segment, 'waits');
    expect(segment.accepted).to.equal(0);
    const sealed = log.seal(segment, 1);
    disk.releaseSyncs();
    await Promise.all([...filling, appended, sealed]);
    expect(log.find(segment.id)).to.equal(segment);
    expect(segment).to.include({ count: 1, finalCount: 1, isLive: true });
    expect(await log.drop(open()), 'of nothing, nothing is written').to.equal(undefined);
  });

  it('bounds who waits', async () => {
    await start({ batchSizeMax: 4096, waitingMax: 2 });
    disk.holdSyncs();
    const segment = open();
    const appends = Array.from({ length: 8 }, () => append(segment, 'x'.repeat(900)));
    expect(await codeOf(appends.at(-1)!)).to.equal('OVERLOADED');
    expect(log.figures.waiting).to.equal(2);
    disk.releaseSyncs();
    await Promise.all(appends.slice(0, 5));
  });

  it('says so when nobody knows in time what became of a batch, which may well be written', async () => {
    await start({ commitWaitMsMax: 1000 });
    const segment = open();
    disk.holdSyncs();
    const appended = append(segment, 'slow');
    await turn();
    clock.advance(1001);
    expect(await codeOf(appended)).to.equal('DEADLINE_EXCEEDED');
    disk.releaseSyncs();
    await append(segment, 'next');
    expect(await linesOf(log, segment)).to.deep.equal(['slow', 'next']);
    expect(clock.timers, 'no timer is left but that of the tidying').to.be.at.most(2);
  });

  it('splits what is larger than a batch, and refuses an entry that is', async () => {
    await start({ batchSizeMax: 8192 });
    const segment = open();
    const lines = Array.from({ length: 40 }, (_, index) => `${index} ${'x'.repeat(1000)}`);
    await append(segment, ...lines);
    expect(await linesOf(log, segment)).to.deep.equal(lines);
    expect(await codeOf(append(segment, 'y'.repeat(9000)))).to.equal('TOO_LARGE');
    await append(segment, 'z'.repeat(7000));
  });

  it('refuses a batch for which there is no room on disk, cuts it off, and goes on in the same file when there is', async () => {
    const [segment, other] = [open(), open()];
    await append(segment, 'a');
    const size = disk.content(fileNameOf(1)).length;
    disk.inject({ step: 'write', code: 'ENOSPC', times: 1 });
    expect(await codeOf(append(segment, 'b'))).to.equal('STORAGE_UNAVAILABLE');
    expect(disk.content(fileNameOf(1)).length).to.equal(size);
    expect(segment.isRefused).to.equal(true);
    expect(await codeOf(append(segment, 'c')), 'it would leave a hole').to.equal('STORAGE_UNAVAILABLE');
    await append(other, 'd');
    expect(disk.names).to.deep.equal([fileNameOf(1)]);
    expect(await linesOf(log, segment)).to.deep.equal(['a']);
    expect(await linesOf(log, other)).to.deep.equal(['d']);
  });

  it('never syncs the same pages twice: after a failed sync the batch goes into a new file', async () => {
    const segment = open();
    await append(segment, 'a');
    disk.inject({ step: 'sync', code: 'EIO', times: 1 });
    await append(segment, 'b');
    expect(disk.names).to.deep.equal([fileNameOf(1), fileNameOf(2)]);
    await append(segment, 'c');
    disk.crash(() => 0.9);
    await start({ incarnation: 2 });
    expect(await linesOf(log, log.find(segmentId(1))!)).to.deep.equal(['a', 'b', 'c']);
    expect(log.recovery).to.include({ damagedBytes: 0, missingEntries: 0 });
  });

  it('refuses all that waits while the disk is read-only, and recovers by itself', async () => {
    const segment = open();
    await append(segment, 'a');
    for (const step of ['write', 'sync', 'truncate', 'unlink'] as const) disk.inject({ step, code: 'EROFS' });
    for (let tries = 0; tries < 3; tries += 1)
      expect(await codeOf(append(open(), 'b'))).to.equal('STORAGE_UNAVAILABLE');
    disk.clear();
    const other = open();
    await append(other, 'c');
    disk.crash(() => 0.5);
    await start({ incarnation: 2 });
    expect(await linesOf(log, log.find(segmentId(1))!)).to.deep.equal(['a']);
    expect(await linesOf(log, log.find(other.id)!)).to.deep.equal(['c']);
  });

  it('refuses with a batch what waits behind it', async () => {
    const segment = open();
    await append(segment, 'a');
    disk.holdSyncs();
    const first = append(segment, 'b');
    await turn();
    await turn();
    const second = append(segment, 'c');
    for (const step of ['write', 'sync'] as const) disk.inject({ step, code: 'EIO' });
    disk.releaseSyncs();
    expect(await codeOf(first)).to.equal('STORAGE_UNAVAILABLE');
    expect(await codeOf(second)).to.equal('STORAGE_UNAVAILABLE');
  });

  it('refuses entries while the disk is nearly full, but not the news that frees it', async () => {
    await start({ diskUsedMax: 0.9, spaceCheckMs: 1000 });
    const segment = open();
    await append(segment, 'a');
    disk.diskSpace = { sizeBytes: 1000, freeBytes: 99 };
    clock.advance(1001);
    await append(segment, 'b');
    await turn();
    expect(await codeOf(append(segment, 'c'))).to.equal('OVERLOADED');
    await log.seal(segment, 2);
    await log.flushed(segment, 2, true);
    expect([...log.segments()]).to.deep.equal([]);
    disk.diskSpace = { sizeBytes: 1000, freeBytes: 101 };
    clock.advance(1001);
    expect(await codeOf(append(open(), 'd')), 'what was seen last').to.equal('OVERLOADED');
    await turn();
    await append(open(), 'e');
  });

  it('begins a new file when one is full, and gives the full one its footer', async () => {
    await start({ fileSizeMax: 10_000 });
    const segment = open();
    for (let index = 0; index < 8; index += 1) await append(segment, `${index}${'x'.repeat(500)}`);
    await log.close();
    expect(disk.names.length).to.be.greaterThan(2);
    await start({ incarnation: 2 });
    expect(log.recovery.files.every(({ state }) => state === 'footer')).to.equal(true);
    expect((await linesOf(log, log.find(segmentId(1))!)).length).to.equal(8);
  });

  it('does not wait for the disk where only the end of the process matters', async () => {
    await start({ sync: 'os' });
    const segment = open();
    await append(segment, 'a');
    const { syncs } = disk;
    await append(segment, 'b');
    expect(disk.syncs).to.equal(syncs);
    disk.kill();
    await start({ incarnation: 2 });
    expect(await linesOf(log, log.find(segmentId(1))!)).to.deep.equal(['a', 'b']);
  });
});
