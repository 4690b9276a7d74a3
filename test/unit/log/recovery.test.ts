import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect } from 'chai';
import { headBytes, headTimes } from '../../../src/chunk/head-views.ts';
import { Segment } from '../../../src/chunk/segment.ts';
import { BatchBuffer } from '../../../src/log/batch-buffer.ts';
import { DATA_START, fileNameOf } from '../../../src/log/file-header.ts';
import type { Log } from '../../../src/log/log.ts';
import { RecordType } from '../../../src/log/record-format.ts';
import { SegmentTable } from '../../../src/log/segment-table.ts';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import { entryAt, rangeOf } from '../../support/entries.ts';
import { PowerLossFiles } from '../../support/log/power-loss-files.ts';
import { HEADER, linesOf, openTestLog, readAll, segmentId, UID } from '../../support/log/test-log.ts';

const FIRST = fileNameOf(1);

const line = (segment: number, index: number): string => `segment ${segment} line ${index}`;

/** A log of one file without a footer: `batches` batches, each with a line for each of two segments. */
const unclosed = async (batches: number): Promise<PowerLossFiles> => {
  const disk = new PowerLossFiles();
  const log = await openTestLog(disk.process());
  const segments = [1, 2].map((counter) => log.open(segmentId(counter), { ...HEADER, labels: ['n', `${counter}`] }));
  for (let index = 0; index < batches; index += 1) {
    await Promise.all(
      segments.map((segment, at) => log.append(segment, rangeOf([entryAt(index, line(at + 1, index))]))),
    );
  }
  disk.kill();
  return disk;
};

const closed = async (batches: number): Promise<PowerLossFiles> => {
  const disk = await unclosed(batches);
  await (await openTestLog(disk.process())).close();
  return disk;
};

/** A disk with this one file. */
const diskOf = (bytes: Uint8Array): PowerLossFiles => {
  const disk = new PowerLossFiles();
  disk.put(FIRST, bytes);
  return disk;
};

const allLines = async (log: Log): Promise<readonly (readonly string[])[]> => {
  const lines: (readonly string[])[] = [];
  for (const counter of [1, 2]) {
    const segment = log.find(segmentId(counter));
    lines.push(segment ? await linesOf(log, segment) : []);
  }
  return lines;
};

const isPrefix = (lines: readonly string[], segment: number): boolean =>
  lines.every((found, index) => found === line(segment, index));

const refusalOf = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work;
  } catch (error) {
    if (error instanceof RefusedError) return `${error.refusal.code}: ${error.refusal.text}`;
    throw error;
  }
  return 'none';
};

describe('the recovery of a log', () => {
  it('finds segments, their labels, counts, bounds and entries, from footers or without', async () => {
    for (const disk of [await unclosed(5), await closed(5)]) {
      const log = await openTestLog(disk.process());
      const segments = [...log.segments()];
      expect(segments.map(({ header }) => header?.labels)).to.deep.equal([
        ['n', '1'],
        ['n', '2'],
      ]);
      for (const segment of segments) {
        expect(segment.count).to.equal(5);
        expect(segment.minTime).to.equal(entryAt(0, '').timeNs);
        expect(segment.maxTime).to.equal(entryAt(4, '').timeNs);
        expect(segment.header).to.include({ tenant: 'tenant-a', version: 4, openedMs: HEADER.openedMs });
      }
      expect(await allLines(log)).to.deep.equal([1, 2].map((n) => [0, 1, 2, 3, 4].map((index) => line(n, index))));
      expect(log.recovery).to.include({ segments: 2, tornBytes: 0, damagedBytes: 0, missingEntries: 0 });
    }
  });

  it('gives runs that go into a segment as the pushes did', async () => {
    const disk = new PowerLossFiles();
    const log = await openTestLog(disk.process());
    const logged = log.open(segmentId(1), HEADER);
    const limits = { blockSize: 1 << 20, targetSize: 0 };
    const before = new Segment(segmentId(1), limits);
    for (let push = 0; push < 20; push += 1) {
      const entries = Array.from({ length: 10 }, (_, index) => ({
        ...entryAt(10 * push + ((7 * index) % 10), `push ${push} line ${index % 8}`),
        ...(index % 3 === 0 ? { metadata: ['trace', `${index}`] } : {}),
      }));
      const range = { ...rangeOf(entries), first: 1, end: 9 };
      before.append(range);
      await log.append(logged, range);
    }
    disk.kill();
    const again = await openTestLog(disk.process());
    const after = new Segment(segmentId(1), limits);
    for await (const { columns, count } of again.read(again.find(segmentId(1))!, () => undefined)) {
      after.append({ columns, first: 0, end: count });
    }
    expect(after.count).to.equal(before.count);
    expect(after.lineBytes).to.equal(before.lineBytes);
    const shown = (segment: Segment) => {
      const { heads, symbols } = segment.snapshot();
      return heads.map((head) => ({
        symbols,
        times: headTimes(head),
        bytes: Buffer.from(headBytes(head)),
        ends: head.metadataEnds?.slice(0, head.count),
      }));
    };
    expect(shown(after)).to.deep.equal(shown(before));
  });

  it('reads nothing of a closed file but its ends', async () => {
    const disk = await closed(500);
    const reads: number[] = [];
    const files = disk.process();
    const log = await openTestLog({
      ...files,
      open: async (name, mode) => {
        const file = await files.open(name, mode);
        return {
          ...file,
          read: (offset, into) => {
            reads.push(into.length);
            return file.read(offset, into);
          },
        };
      },
    });
    expect(log.recovery.files.map(({ state }) => state)).to.deep.equal(['footer']);
    const size = disk.content(FIRST).length;
    expect(reads.reduce((sum, read) => sum + read, 0)).to.be.lessThan(DATA_START + size / 5);
  });

  it('has footers of files with many segments, made beside the batches that follow', async () => {
    const states = async (then: 'close' | 'push' | 'tidy'): Promise<readonly string[]> => {
      const disk = new PowerLossFiles();
      const log = await openTestLog(disk.process(), { fileSizeMax: 256 << 10 });
      const push = (counter: number) =>
        log.append(
          log.open(segmentId(counter), { ...HEADER, labels: ['n', `${counter}`] }),
          rangeOf([entryAt(counter, line(counter, 0))]),
        );
      // The second file begins with the last of them.
      for (let counter = 1; log.figures.files < 2; counter += 1) await push(counter);
      if (then === 'close') await log.close();
      // Nothing of the disk here takes time: one push after another would leave no turn for anything else.
      else for (let turn = 0; turn < 100; turn += 1) await nextTurn();
      // The footer is written behind the first, and the second behind the footer.
      if (then === 'push') for (const counter of [1_000_001, 1_000_002]) await push(counter);
      if (then === 'tidy') await log.tidy();
      disk.kill();
      const again = await openTestLog(disk.process());
      const found = again.recovery.files.map(({ state }) => state);
      await again.close();
      return found;
    };
    expect(await states('close')).to.deep.equal(['footer', 'footer']);
    expect(await states('push')).to.deep.equal(['footer', 'scanned']);
    expect(await states('tidy')).to.deep.equal(['footer', 'scanned']);
  });

  it('cuts a log that ends anywhere to whole batches, and says how much it cut', async () => {
    const bytes = Buffer.from((await unclosed(4)).content(FIRST));
    for (let size = 0; size < bytes.length; size += 1) {
      if (size < DATA_START && size % 97 !== 0) continue;
      const disk = diskOf(bytes.subarray(0, size));
      const log = await openTestLog(disk.process());
      const lines = await allLines(log);
      for (const [at, found] of lines.entries()) expect(isPrefix(found, at + 1), `size ${size}`).to.equal(true);
      const { recovery } = log;
      expect(recovery.damagedBytes + recovery.missingEntries, `size ${size}`).to.equal(0);
      const kept = size - recovery.tornBytes;
      expect(kept === 0 || kept >= DATA_START, `size ${size}`).to.equal(true);
      // It is cut for good: the next start finds a closed file.
      disk.kill();
      const again = await openTestLog(disk.process());
      expect(again.recovery.tornBytes).to.equal(0);
      expect(await allLines(again)).to.deep.equal(lines);
    }
  }).timeout(60_000);

  it('reads a closed log whose end is cut off without its footer', async () => {
    const bytes = Buffer.from((await closed(4)).content(FIRST));
    const batchesEnd = (await unclosed(4)).content(FIRST).length;
    for (let size = batchesEnd; size < bytes.length; size += 1) {
      const log = await openTestLog(diskOf(bytes.subarray(0, size)).process());
      expect((await allLines(log)).map(({ length }) => length)).to.deep.equal([4, 4]);
      expect(log.recovery.damagedBytes).to.equal(0);
    }
  });

  it('loses no more than the damaged record, and reports it, whichever byte is flipped', async () => {
    for (const [disk, isClosed] of [
      [await unclosed(4), false],
      [await closed(4), true],
    ] as const) {
      const bytes = Buffer.from(disk.content(FIRST));
      const end = isClosed ? bytes.length : (await unclosed(3)).content(FIRST).length;
      for (let at = 0; at < end; at += at < DATA_START ? 53 : 1) {
        const damaged = Buffer.from(bytes);
        damaged[at]! ^= 0x41;
        const log = await openTestLog(diskOf(damaged).process());
        const found: string[][] = [];
        let missing = 0;
        for (const counter of [1, 2]) {
          const { entries, gaps } = await readAll(log, log.find(segmentId(counter))!);
          found.push(entries.map((entry) => entry.line));
          missing += gaps.reduce((sum, gap) => sum + gap.end - gap.first, 0);
        }
        const all = found.flat();
        expect(new Set(all).size, `byte ${at}`).to.equal(all.length);
        expect(all.length + missing, `byte ${at}`).to.equal(8);
        expect(all.length, `byte ${at}`).to.be.at.least(7);
        for (const text of all) expect(text).to.match(/^segment [12] line [0-3]$/);
        const { recovery } = log;
        if (missing > 0 && !isClosed) expect(recovery.damagedBytes, `byte ${at}`).to.be.greaterThan(0);
      }
    }
  }).timeout(60_000);

  it('counts what a damaged middle cost: bytes, records, segments, entries', async () => {
    const disk = await unclosed(10);
    const first = (await unclosed(3)).content(FIRST).length;
    const second = (await unclosed(5)).content(FIRST).length;
    disk.content(FIRST).fill(0xff, first, second);
    const log = await openTestLog(disk.process());
    expect(log.recovery).to.include({
      damagedBytes: second - first,
      damagedSegments: 2,
      missingEntries: 4,
      tornBytes: 0,
    });
    expect(log.recovery.damagedRecords).to.be.at.least(1);
    const { entries, gaps } = await readAll(log, log.find(segmentId(1))!);
    expect(entries.map((entry) => entry.line)).to.deep.equal([0, 1, 2, 5, 6, 7, 8, 9].map((index) => line(1, index)));
    expect(gaps).to.deep.equal([{ first: 3, end: 5, file: undefined }]);
    // It is not forgotten once the file has its footer.
    disk.kill();
    const again = await openTestLog(disk.process());
    expect(again.recovery.files[0]?.state).to.equal('footer');
    expect(again.recovery).to.include({ damagedBytes: second - first, missingEntries: 4 });
  });

  it('counts the records of a damaged batch by what the batch says of itself', async () => {
    const disk = await unclosed(3);
    const start = (await unclosed(1)).content(FIRST).length;
    const end = (await unclosed(2)).content(FIRST).length;
    // All but the BATCH record, which is 80 bytes or less.
    disk.content(FIRST).fill(0, start + 88, end);
    const log = await openTestLog(disk.process());
    expect(log.recovery.damagedRecords).to.equal(2);
    expect(log.recovery.missingEntries).to.equal(2);
  });

  it('cuts the last batch at its first damaged record: the power went while it was written', async () => {
    const disk = await unclosed(4);
    const end = disk.content(FIRST).length;
    const start = (await unclosed(3)).content(FIRST).length;
    // The first record behind BATCH; the second is whole.
    disk.content(FIRST)[start + 120]! ^= 1;
    const log = await openTestLog(disk.process());
    expect((await allLines(log)).map(({ length }) => length)).to.deep.equal([3, 3]);
    expect(log.recovery).to.include({ damagedBytes: 0, missingEntries: 0 });
    expect(log.recovery.tornBytes).to.be.within(1, end - start);
    expect(log.recovery.files[0]!.size - log.recovery.tornBytes).to.be.within(start, start + 120);
  });

  it('searches a damaged file in bounded time, whatever was pushed into it', async () => {
    const disk = new PowerLossFiles();
    const log = await openTestLog(disk.process(), { batchSizeMax: 8 << 20 });
    // Every 24 bytes of this line look like the header of a record of 500 KB.
    const words = new Uint32Array(6 << 15);
    for (let at = 0; at < words.length; at += 6) words.set([0, 500 << 10, 3, 0, 1, 0], at);
    const line = Buffer.from(words.buffer).toString('latin1');
    const segment = log.open(segmentId(1), HEADER);
    // At one of these shifts they lie where records do.
    for (let index = 0; index < 8; index += 1) {
      await log.append(segment, rangeOf([entryAt(index, ' '.repeat(index) + line)]));
    }
    disk.kill();
    const bytes = disk.content(FIRST);
    const size = (bytes.length - DATA_START) / 8;
    for (let index = 0; index < 8; index += 1) bytes[Math.floor(DATA_START + (index + 0.5) * size)]! ^= 1;
    const again = await openTestLog(disk.process());
    expect(again.recovery.damagedRecords).to.equal(7);
  });

  it('takes no line for a record, even where the file is damaged', async () => {
    const disk = new PowerLossFiles();
    const log = await openTestLog(disk.process());
    const segment = log.open(segmentId(1), HEADER);
    // A whole batch as this log would write it, but for the salt, pushed as a line.
    const forged = new BatchBuffer(1024, 12345);
    const table = new SegmentTable();
    const other = table.segment(table.writer(UID, 1), 99);
    forged.add(other, { type: RecordType.DROP, payload: new Uint8Array(8), first: 0, count: 0 });
    const text = Buffer.from(forged.close(0).bytes).toString('latin1');
    for (let shift = 0; shift < 8; shift += 1) {
      await log.append(segment, rangeOf([entryAt(shift, `${' '.repeat(shift)}${text}`)]));
    }
    await log.append(segment, rangeOf([entryAt(9, 'last')]));
    disk.kill();
    const bytes = disk.content(FIRST);
    for (let at = DATA_START + 64; at < bytes.length - 300; at += 128) bytes[at]! ^= 0xff;
    const again = await openTestLog(disk.process());
    expect(again.find(segmentId(99))).to.equal(undefined);
  });

  it('scans a file whose footer is damaged, and keeps its last batch', async () => {
    const disk = await closed(4);
    const bytes = disk.content(FIRST);
    bytes[bytes.length - 5]! ^= 1;
    const log = await openTestLog(disk.process());
    expect(log.recovery.files[0]?.state).to.equal('scanned');
    expect((await allLines(log)).map(({ length }) => length)).to.deep.equal([4, 4]);
  });

  it('uses one copy of what was written twice', async () => {
    const disk = await unclosed(4);
    disk.put(fileNameOf(2), Buffer.from(disk.content(FIRST)));
    const log = await openTestLog(disk.process());
    expect((await allLines(log)).map(({ length }) => length)).to.deep.equal([4, 4]);
    expect(log.recovery).to.include({ segments: 2, missingEntries: 0 });
    // The other copy serves where one is damaged.
    const size = (await unclosed(1)).content(FIRST).length;
    disk.content(FIRST).fill(0, size - 40, size);
    expect((await allLines(log)).map(({ length }) => length)).to.deep.equal([4, 4]);
  });

  it('does not bring back what was flushed or dropped', async () => {
    const disk = new PowerLossFiles();
    const log = await openTestLog(disk.process());
    const [a, b, c] = [1, 2, 3].map((counter) => log.open(segmentId(counter), HEADER)) as [never, never, never];
    await Promise.all([a, b, c].map((segment) => log.append(segment, rangeOf([entryAt(0, 'x'), entryAt(1, 'y')]))));
    await Promise.all([log.seal(a, 2), log.flushed(a, 2, true), log.drop(b), log.flushed(c, 1, false)]);
    disk.kill();
    const again = await openTestLog(disk.process());
    expect([...again.segments()].map(({ id, flushed }) => ({ id, flushed }))).to.deep.equal([
      { id: segmentId(3), flushed: { count: 1, isComplete: false } },
    ]);
    expect(again.find(segmentId(1))).to.include({ finalCount: 2, isDead: true });
  });

  it('skips records of types it does not know, and keeps them in the footer', async () => {
    const disk = await unclosed(2);
    const log = await openTestLog(disk.process());
    const bytes = disk.content(FIRST);
    // A record that a later version wrote.
    const salt = bytes.readUInt32LE(12);
    const table = new SegmentTable();
    const batch = new BatchBuffer(1024, salt);
    const adopted = table.segment(table.writer(UID, 1), 1);
    batch.add(adopted, { type: 10, payload: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12), first: 0, count: 0 });
    const open = (await unclosed(2)).content(FIRST);
    disk.put(FIRST, Buffer.concat([open, batch.close(9).bytes]));
    await log.close();
    for (const state of ['scanned', 'footer']) {
      const again = await openTestLog(disk.process());
      expect(again.recovery.files.map((file) => file.state)).to.deep.equal([state]);
      expect(again.recovery).to.include({ damagedBytes: 0, tornBytes: 0 });
      const [place] = again.find(segmentId(1))!.places;
      expect(place!.file.index.chain(place!.last).map(({ type }) => type)).to.deep.equal([2, 3, 3, 10]);
      disk.kill();
    }
  });

  it('counts a file that cannot be read, leaves it, and has it back when it can', async () => {
    const disk = await closed(4);
    disk.inject({ step: 'read', code: 'EIO' });
    const log = await openTestLog(disk.process());
    expect(
      log.recovery.files.map(({ state, error }) => ({ state, code: (error as { code: string }).code })),
    ).to.deep.equal([{ state: 'unreadable', code: 'EIO' }]);
    // Meanwhile pushes go on.
    const segment = log.open(segmentId(1, 2), HEADER);
    await log.append(segment, rangeOf([entryAt(0, 'new')]));
    await log.tidy();
    await log.close();
    disk.clear();
    disk.kill();
    const again = await openTestLog(disk.process());
    expect((await allLines(again)).map(({ length }) => length)).to.deep.equal([4, 4]);
    expect(await linesOf(again, again.find(segmentId(1, 2))!)).to.deep.equal(['new']);
  });

  it('opens no file for whoever reads on when it is closed', async () => {
    const disk = await closed(4);
    const log = await openTestLog(disk.process());
    const segment = log.find(segmentId(1))!;
    await log.close();
    const outcome = await linesOf(log, segment).catch((error: unknown) => (error as { code: string }).code);
    expect(outcome).to.equal('ERR_CLOSED');
  });

  it('puts aside what was never begun, and reports a file that lost both headers later', async () => {
    const disk = await unclosed(3);
    disk.content(FIRST).fill(0, 0, DATA_START);
    const log = await openTestLog(disk.process());
    expect(log.recovery.files[0]).to.include({ state: 'unfinished' });
    expect(disk.names).to.deep.equal([`${FIRST}.torn`]);

    const two = await closed(3);
    const next = await openTestLog(two.process());
    await next.append(next.open(segmentId(1, 2), HEADER), rangeOf([entryAt(0, 'x')]));
    two.kill();
    const bytes = two.content(FIRST);
    bytes.fill(0, 0, DATA_START);
    bytes.fill(0, bytes.length - 8);
    const again = await openTestLog(two.process());
    expect(again.recovery.files[0]).to.include({ state: 'unreadable', damagedBytes: bytes.length });
    expect(two.names).to.include(FIRST);
  });

  it("refuses another disk's log, and a newer version's", async () => {
    const disk = await closed(1);
    expect(await refusalOf(openTestLog(disk.process(), { uid: 'ff'.repeat(16) }))).to.match(
      /^STORAGE_UNAVAILABLE: the log file 0000000000000001.log belongs to the disk 0011/,
    );
  });

  it('starts on a disk that cannot be written, and says what it could not do', async () => {
    const disk = await unclosed(2);
    for (const step of ['write', 'sync', 'truncate', 'unlink', 'rename'] as const) disk.inject({ step, code: 'EROFS' });
    const problems: string[] = [];
    const log = await openTestLog(disk.process(), { report: (problem) => problems.push(problem) });
    expect((await allLines(log)).map(({ length }) => length)).to.deep.equal([2, 2]);
    expect(problems.join()).to.match(/could not be closed/);
    const segment = log.open(segmentId(7, 2), HEADER);
    expect(await refusalOf(log.append(segment, rangeOf([entryAt(0, 'x')])))).to.match(/^STORAGE_UNAVAILABLE/);
  });
});
