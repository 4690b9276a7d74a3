import { expect } from 'chai';
import { fileNameOf } from '../../../src/log/file-header.ts';
import type { Log } from '../../../src/log/log.ts';
import type { LogSegment } from '../../../src/log/segment-table.ts';
import { ManualClock } from '../../support/clock.ts';
import { entryAt, rangeOf } from '../../support/entries.ts';
import { PowerLossFiles } from '../../support/log/power-loss-files.ts';
import { HEADER, linesOf, openTestLog, segmentId, type TestLogOptions } from '../../support/log/test-log.ts';

const HOUR_MS = 3_600_000;

describe('the space of the log', () => {
  let disk: PowerLossFiles;
  let clock: ManualClock;
  let log: Log;
  let counter: number;
  let problems: string[];

  const start = async (options: TestLogOptions = {}): Promise<void> => {
    problems = [];
    log = await openTestLog(disk.process(), {
      clock,
      fileSizeMax: 16 << 10,
      report: (problem) => problems.push(problem),
      ...options,
    });
  };
  const open = (): LogSegment => {
    counter += 1;
    return log.open(segmentId(counter), { ...HEADER, labels: ['n', `${counter}`] });
  };
  /** Lines of 1 KB: about 7 fill a file. */
  const append = async (segment: LogSegment, lines = 1): Promise<void> => {
    for (let index = 0; index < lines; index += 1) {
      const text = `${segment.id.counter}-${segment.accepted} ${'x'.repeat(1000)}`;
      await log.append(segment, rangeOf([entryAt(segment.accepted, text)]));
    }
  };
  /** The file is gone, and the disk was full when its folder was to be synced. */
  const removeWithoutSync = async (number: number): Promise<void> => {
    for (let after = 0; disk.names.includes(fileNameOf(number)); after += 1) {
      expect(after, 'syncs before the removal').to.be.below(3);
      disk.inject({ step: 'sync', code: 'ENOSPC', after, times: 1 });
      await log.tidy();
      disk.clear();
    }
  };
  const flush = (segment: LogSegment): Promise<void> => log.flushed(segment, segment.count, true);

  beforeEach(async () => {
    disk = new PowerLossFiles();
    clock = new ManualClock();
    counter = 0;
    await start();
  });

  it('comes back when all segments of a file are flushed', async () => {
    const [a, b] = [open(), open()];
    await append(a, 8);
    await append(b, 8);
    await flush(a);
    await log.tidy();
    expect(disk.names[0]).to.equal(fileNameOf(2));
    await flush(b);
    await log.tidy();
    expect(log.figures).to.include({ liveBytes: 0, files: 1 });
  });

  it('does not bring back what was flushed, whichever of the removals of two processes a power loss undoes', async () => {
    for (let kept = 0; kept < 2 ** 4; kept += 1) {
      disk = new PowerLossFiles();
      await start();
      const segment = open();
      await append(segment);
      disk.crash(() => 0);
      await start({ incarnation: 2 });
      // The word of it is in the second file, the segment in the first.
      await flush(log.find(segment.id)!);
      disk.crash(() => 0);
      await start({ incarnation: 3 });
      await removeWithoutSync(1);
      disk.kill();
      await start({ incarnation: 4 });
      await removeWithoutSync(2);
      let name = 0;
      disk.crash(() => {
        name += 1;
        return (kept >> (name - 1)) & 1 ? 0.9 : 0;
      });
      await start({ incarnation: 5 });
      expect([...log.segments()], `names undone: ${kept.toString(2)}`).to.deep.equal([]);
    }
  });

  it('is kept for the word that a segment is flushed, as long as the segment is in another file', async () => {
    const [kept, dead] = [open(), open()];
    await append(kept);
    await append(dead);
    const other = open();
    await append(other, 10);
    await flush(dead);
    await append(other, 10);
    await flush(other);
    await log.tidy();
    // The first file stays for `kept`; so must the word about `dead`, which is in it too.
    disk.kill();
    await start({ incarnation: 2 });
    expect([...log.segments()].map(({ id }) => id.counter)).to.deep.equal([1]);
    expect(log.find(dead.id)?.isDead).to.equal(true);
    for (const segment of log.segments()) await flush(segment);
    await log.tidy();
    await log.tidy();
    expect(log.figures).to.include({ liveBytes: 0, files: 1 });
  });

  it('is taken back from old files that are mostly dead: what lives moves to the head', async () => {
    const [kept, dead] = [open(), open()];
    await append(kept);
    await append(dead, 20);
    await flush(dead);
    await log.tidy();
    expect(log.figures.compactedFiles).to.equal(0);
    expect(log.figures.files).to.be.greaterThan(1);
    clock.advance(HOUR_MS);
    await log.tidy();
    expect(log.figures.compactedFiles).to.be.greaterThan(0);
    expect(log.figures.files).to.equal(1);
    expect(await linesOf(log, kept)).to.have.length(1);
    await append(kept);
    expect(await linesOf(log, kept)).to.have.length(2);
    disk.crash(() => 0.4);
    await start({ incarnation: 2 });
    expect((await linesOf(log, log.find(kept.id)!)).map((line) => line.slice(0, 3))).to.deep.equal(['1-0', '1-1']);
    expect(log.find(kept.id)?.header?.labels).to.deep.equal(['n', '1']);
    expect(log.find(dead.id)?.isLive ?? false).to.equal(false);
  });

  it('stays within about four times what is live', async () => {
    const live: LogSegment[] = [];
    for (let round = 0; round < 60; round += 1) {
      const [long, short] = [open(), open()];
      await append(long);
      await append(short, 5);
      live.push(long);
      await flush(short);
      if (live.length > 12) await flush(live.splice(3, 1)[0]!);
      clock.advance(HOUR_MS);
      await log.tidy();
      const { bytes, liveBytes, files } = log.figures;
      // Headers of 8 KB weigh more in files of 16 KB; the head is young.
      expect(bytes - 8192 * files, `round ${round}`).to.be.lessThan(4 * liveBytes + (16 << 10));
    }
    expect(log.figures.compactedFiles).to.be.greaterThan(5);
    for (const segment of live) expect(await linesOf(log, segment)).to.have.length(1);
    expect(problems).to.deep.equal([]);
  });

  it('is not taken from under a reader', async () => {
    const segment = open();
    await append(segment, 20);
    const reading = log.read(segment, () => undefined);
    await reading.next();
    await flush(segment);
    await log.tidy();
    expect(log.figures.files).to.be.greaterThan(1);
    let runs = 1;
    for await (const _ of reading) runs += 1;
    expect(runs).to.equal(20);
    await log.tidy();
    expect(log.figures.files).to.equal(1);
  });

  it('is kept where a record cannot be copied, and that is reported', async () => {
    const [kept, dead] = [open(), open()];
    await append(kept, 2);
    await append(dead, 20);
    await flush(dead);
    const { file, last } = kept.places[0]!;
    const record = file.index.chain(last).at(-1)!;
    disk.content(fileNameOf(1))[record.offset + 100]! ^= 1;
    clock.advance(HOUR_MS);
    await log.tidy();
    expect(problems.join()).to.match(/a record at \d+ of the log file 0000000000000001.log is damaged/);
    expect(disk.names).to.include(fileNameOf(1));
    expect(await linesOf(log, kept)).to.have.length(1);
  });

  it('is given back later if the disk does not let go of it now', async () => {
    const segment = open();
    await append(segment, 20);
    await flush(segment);
    disk.inject({ step: 'unlink', code: 'EIO', times: 1 });
    await log.tidy();
    expect(problems).to.deep.equal(['the log could not be tidied; trying again']);
    await log.tidy();
    expect(log.figures.files).to.equal(1);
  });

  it('is looked at by itself, every period', async () => {
    await start({ tidyPeriodMs: 10_000 });
    const segment = open();
    await append(segment, 20);
    await flush(segment);
    clock.advance(10_000);
    await log.tidy();
    expect(log.figures.files).to.equal(1);
    await log.close();
  });
});
