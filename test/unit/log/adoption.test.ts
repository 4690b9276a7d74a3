import { expect } from 'chai';
import fc from 'fast-check';
import { crc32c } from '../../../src/chunk/checksum.ts';
import type { SegmentPart } from '../../../src/log/adoption.ts';
import type { AppendRun } from '../../../src/log/append-record.ts';
import type { Log } from '../../../src/log/log.ts';
import { decodeSegmentPart } from '../../../src/log/segment-part.ts';
import type { LogSegment } from '../../../src/log/segment-table.ts';
import type { RefusedError } from '../../../src/protocol/refusal.ts';
import { ManualClock } from '../../support/clock.ts';
import { entryAt, rangeOf, type TestEntry } from '../../support/entries.ts';
import { PowerLossFiles } from '../../support/log/power-loss-files.ts';
import {
  bytesOfPart,
  entriesOf,
  HEADER,
  openTestLog,
  readAll,
  seededChance,
  segmentId,
  type TestLogOptions,
  turn,
  UID,
} from '../../support/log/test-log.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../support/property-runs.ts';

const OTHER = 'ffeeddccbbaa99887766554433221100';

const runsOf = async (log: Log, segment: LogSegment, from = 0): Promise<AppendRun[]> => {
  const runs: AppendRun[] = [];
  for await (const run of log.records(segment, from)) runs.push(run);
  return runs;
};

/** As it comes from the wire. */
const sent = (part: SegmentPart): SegmentPart => decodeSegmentPart(bytesOfPart(part));

const partOf = async (log: Log, segment: LogSegment, from = 0): Promise<SegmentPart> =>
  sent({ id: segment.id, epoch: segment.epoch, open: segment.open, runs: await runsOf(log, segment, from) });

const failureOf = (work: () => unknown): string => {
  try {
    work();
    return 'none';
  } catch (error) {
    return (error as Error).message;
  }
};

describe('records of several segments', () => {
  it('are the same read together as one after the other', async () => {
    const log = await openTestLog(new PowerLossFiles().process());
    const segments = Array.from({ length: 20 }, (_, index) => log.open(segmentId(index), HEADER));
    for (let round = 0; round < 12; round += 1) {
      const append = (segment: LogSegment, index: number): Promise<unknown> =>
        log.append(segment, rangeOf([entryAt(round, `${index} ${'x'.repeat((index % 7) * 3_000)}`)]));
      await Promise.all(segments.map(append));
    }
    const some = segments.filter((_, index) => index % 3 !== 1).toReversed();
    const together = await log.recordsOf(some);
    const alone = await Promise.all(some.map((segment) => runsOf(log, segment)));
    expect(together.map((runs) => runs.flatMap(entriesOf))).to.deep.equal(alone.map((runs) => runs.flatMap(entriesOf)));
    expect(together.map((runs) => runs.map(({ first }) => first))).to.deep.equal(
      alone.map((runs) => runs.map(({ first }) => first)),
    );
    expect(together[0]).to.have.length(12);
    const as = (runs: readonly AppendRun[]): SegmentPart => ({ id: segmentId(0), epoch: 1, open: undefined, runs });
    const decoded = alone.map((runs) => runs.map(({ payload: _, ...run }) => run));
    expect(
      together.map((runs) => bytesOfPart(as(runs))),
      'sent as the records are',
    ).to.deep.equal(decoded.map((runs) => bytesOfPart(as(runs))));
    await log.close();
  });

  it('keep no more than their size in memory, whatever lies between them', async () => {
    const log = await openTestLog(new PowerLossFiles().process());
    const [small, between] = [log.open(segmentId(0), HEADER), log.open(segmentId(1), HEADER)];
    for (let round = 0; round < 20; round += 1) {
      const ranges = [
        rangeOf([entryAt(round, 'x'.repeat(300))]),
        rangeOf([entryAt(round, 'y'.repeat(14_000))]),
      ] as const;
      await Promise.all([log.append(small, ranges[0]), log.append(between, ranges[1])]);
    }
    const held = async (
      segments: readonly LogSegment[],
    ): Promise<{ readonly size: number; readonly memory: number }> => {
      const payloads = (await log.recordsOf(segments)).flat().flatMap(({ payload }) => payload ?? []);
      const buffers = new Set(payloads.map(({ buffer }) => buffer));
      return {
        size: payloads.reduce((sum, { length }) => sum + length, 0),
        memory: [...buffers].reduce((sum, { byteLength }) => sum + byteLength, 0),
      };
    };
    for (const segments of [[small], [between], [small, between]]) {
      const { size, memory } = await held(segments);
      expect(size).to.be.at.least(20 * 300);
      // Headers and padding.
      expect(memory).to.be.at.most(1.1 * size);
    }
    await log.close();
  });
});

describe('a part of a segment', () => {
  const entries: readonly TestEntry[] = [
    entryAt(0, 'one'),
    { ...entryAt(1, 'two'), metadata: ['k', 'v'] },
    entryAt(2, ''),
    entryAt(3, 'x'.repeat(300)),
  ];
  let part: SegmentPart;
  before(async () => {
    const log = await openTestLog(new PowerLossFiles().process());
    const segment = log.open(segmentId(7), HEADER);
    await log.append(segment, rangeOf(entries.slice(0, 2)));
    await log.append(segment, rangeOf(entries.slice(2)));
    part = { id: segment.id, epoch: 3, open: segment.open, runs: await runsOf(log, segment) };
  });

  it('is read as it was written', () => {
    const read = sent(part);
    expect(read.id).to.deep.equal(part.id);
    expect(read.epoch).to.equal(3);
    expect(read.open).to.deep.equal(part.open);
    expect(read.runs.map(({ first, count }) => [first, count])).to.deep.equal([
      [0, 2],
      [2, 2],
    ]);
    expect(read.runs.flatMap(entriesOf)).to.deep.equal(entries);
  });

  it('is refused where its sections do not begin behind its header, at a multiple of 8', () => {
    const withStart = (start: number): Uint8Array => {
      const bytes = bytesOfPart(part);
      const view = new DataView(bytes.buffer);
      view.setUint16(6, start, true);
      view.setUint32(8, crc32c(bytes.subarray(12), crc32c(bytes.subarray(0, 8))) >>> 0, true);
      return bytes;
    };
    expect(decodeSegmentPart(withStart(16)).epoch).to.equal(3);
    for (const start of [0, 8, 12, 20, 23]) {
      expect(
        failureOf(() => decodeSegmentPart(withStart(start))),
        `${start}`,
      ).to.match(/multiple of 8/);
    }
  });

  it('is found damaged wherever a byte is flipped', () => {
    const bytes = bytesOfPart(part);
    for (let at = 0; at < bytes.length; at += 1) {
      const flipped = bytes.slice();
      flipped[at]! ^= 0x40;
      expect(
        failureOf(() => decodeSegmentPart(flipped)),
        `${at}`,
      ).to.match(/part/);
    }
    for (let size = 0; size < bytes.length; size += 1) {
      expect(
        failureOf(() => decodeSegmentPart(bytes.subarray(0, size))),
        `${size}`,
      ).to.match(/part/);
    }
  });
});

describe('a segment of another disk', () => {
  let giver: Log;
  let segment: LogSegment;
  let disk: PowerLossFiles;
  let log: Log;
  const entries = Array.from({ length: 12 }, (_, index) => entryAt(index, `line ${index}`));
  const open = (incarnation = 1, options: TestLogOptions = {}) =>
    openTestLog(disk.process(), { uid: OTHER, incarnation, ...options });
  const restart = async (options: TestLogOptions = {}): Promise<void> => {
    disk.kill();
    log = await open(2, options);
  };

  beforeEach(async () => {
    giver = await openTestLog(new PowerLossFiles().process());
    segment = giver.open(segmentId(1), HEADER);
    for (let first = 0; first < 12; first += 4) await giver.append(segment, rangeOf(entries.slice(first, first + 4)));
    disk = new PowerLossFiles();
    log = await open();
  });

  it('is taken in parts, each once, and only where the one before ended', async () => {
    const whole = await partOf(giver, segment);
    const [first, second, third] = whole.runs.map((run) => ({ ...whole, runs: [run] }));
    expect(await log.adopt(second!), 'the beginning is missing').to.equal(0);
    expect(await log.adopt(first!)).to.equal(4);
    expect(await log.adopt(third!)).to.equal(4);
    expect(await log.adopt({ ...second!, open: undefined })).to.equal(8);
    expect(await log.adopt(whole)).to.equal(12);
    expect(await log.adopt(first!)).to.equal(12);
    expect(await log.adopt(await partOf(giver, segment, 6))).to.equal(12);
    const copy = log.find(segment.id)!;
    expect((await readAll(log, copy)).entries).to.deep.equal(entries);
    expect(copy.header).to.deep.equal(segment.header);
  });

  it('takes parts that come at the same time one after the other', async () => {
    const whole = await partOf(giver, segment);
    const parts = whole.runs.map((run) => ({ ...whole, runs: [run] }));
    expect(await Promise.all(parts.map((part) => log.adopt(part)))).to.deep.equal([4, 8, 12]);
    expect((await readAll(log, log.find(segment.id)!)).entries).to.deep.equal(entries);
  });

  it("is nobody's before there is CUSTODY: in no answer, and gone after a restart", async () => {
    await log.adopt(await partOf(giver, segment));
    expect([...log.segments()]).to.deep.equal([]);
    expect(log.figures.liveBytes, 'it is kept meanwhile').to.be.greaterThan(0);
    await restart();
    expect([...log.segments()]).to.deep.equal([]);
    expect(log.recovery).to.include({ segments: 0, damagedSegments: 0 });
    await log.tidy();
    expect(log.figures).to.include({ files: 0, liveBytes: 0 });
    // It may be offered again.
    expect(await log.adopt(await partOf(giver, segment))).to.equal(12);
    expect((await readAll(log, log.find(segment.id)!)).entries).to.deep.equal(entries);
  });

  it('does not count on a file that is about to go, nor does a file go that it counts on', async () => {
    // Whenever the offer comes between the steps of the first tidying of a process.
    for (let turns = 0; turns < 12; turns += 1) {
      await log.adopt(await partOf(giver, segment));
      await restart();
      const part = await partOf(giver, segment);
      const tidied = log.tidy();
      for (let left = turns; left > 0; left -= 1) await Promise.resolve();
      expect(await log.adopt(part), `after ${turns}`).to.equal(12);
      await tidied;
      expect((await readAll(log, log.find(segment.id)!)).entries, `after ${turns}`).to.deep.equal(entries);
      log.giveUpAdoption(log.find(segment.id)!);
    }
  });

  it('goes on from what an earlier process has of it', async () => {
    const whole = await partOf(giver, segment);
    await log.adopt({ ...whole, runs: whole.runs.slice(0, 2) });
    await restart();
    expect(await log.adopt({ ...whole, runs: whole.runs.slice(2) })).to.equal(12);
    await log.takeCustody(log.find(segment.id)!, 1, 12);
    await restart();
    expect((await readAll(log, log.find(segment.id)!)).entries).to.deep.equal(entries);
  });

  it('is freed when the adoption is given up', async () => {
    await log.adopt(await partOf(giver, segment));
    log.giveUpAdoption(log.find(segment.id)!);
    expect(log.figures.liveBytes).to.equal(0);
  });

  it('stays while CUSTODY is on its way, though the adoption is given up', async () => {
    await log.adopt(await partOf(giver, segment));
    const copy = log.find(segment.id)!;
    const custody = log.takeCustody(copy, 1, 12);
    log.giveUpAdoption(copy);
    expect(log.figures.liveBytes).to.be.greaterThan(0);
    await custody;
    expect([...log.segments()]).to.deep.equal([copy]);
    expect((await readAll(log, copy)).entries).to.deep.equal(entries);
  });

  it('stays while its entries and CUSTODY are on their way together, though nobody waits for them any more', async () => {
    const clock = new ManualClock();
    await restart({ clock, commitWaitMsMax: 1_000, roomWaitMsMax: 1_000, batchSizeMax: 4_096 });
    const whole = await partOf(giver, segment);
    disk.holdSyncs();
    const inTime = async (taken: Promise<unknown>): Promise<string> => {
      const code = taken.then(
        () => 'ok',
        (error: unknown) => (error as RefusedError).refusal.code,
      );
      await turn();
      clock.advance(1_001);
      return await code;
    };
    expect(await inTime(log.adoptLast(whole, 12, 3))).to.equal('DEADLINE_EXCEEDED');
    const copy = log.find(segment.id)!;
    log.giveUpAdoption(copy);
    // The next attempt finds no room, which says nothing about the first.
    const fillers = Array.from({ length: 6 }, (_, index) => log.open(segmentId(70 + index), HEADER));
    for (const filler of fillers)
      void log.append(filler, rangeOf([entryAt(1, 'x'.repeat(700))])).catch(() => undefined);
    expect(log.figures.waiting, 'the open half is full').to.be.greaterThan(0);
    expect(await inTime(log.adoptLast(whole, 12, 3))).to.equal('OVERLOADED');
    expect(copy).to.include({ isTaking: true, accepted: 0 });
    log.giveUpAdoption(copy);
    disk.releaseSyncs();
    await log.settled(fillers[0]!);
    expect(log.find(segment.id), 'the table knows what became durable').to.equal(copy);
    expect(copy).to.include({ isHeld: true, custodyEpoch: 4, count: 12 });
    expect(await log.adoptLast(whole, 12, 3), 'offered again').to.equal(6);
    await log.flushed(copy, 12, true);
    await restart();
    expect(
      [...log.segments()].filter(({ id }) => id.counter === segment.id.counter),
      'FLUSHED was written',
    ).to.deep.equal([]);
  });

  it('is taken as its records are: nothing of them is decoded', async () => {
    const whole = await partOf(giver, segment);
    const unread = whole.runs.map(({ payload, first, count, bounds }) => ({
      payload,
      first,
      count,
      bounds,
      get columns(): never {
        throw new Error('a record is decoded');
      },
    }));
    expect(await log.adopt({ ...whole, runs: unread.slice(0, 1) })).to.equal(4);
    expect(await log.adoptLast({ ...whole, runs: unread.slice(1) }, 12, 0)).to.equal(1);
    expect((await readAll(log, log.find(segment.id)!)).entries).to.deep.equal(entries);
  });

  it('is held with CUSTODY, which needs all of it, over restarts and compactions', async () => {
    const whole = await partOf(giver, segment);
    await log.adopt({ ...whole, runs: whole.runs.slice(0, 2) });
    const incomplete = await log.takeCustody(log.find(segment.id)!, 1, 12).catch((error: Error) => error.message);
    expect(incomplete).to.match(/not complete/);
    await log.adopt(whole);
    await log.takeCustody(log.find(segment.id)!, 1, 12);
    expect([...log.segments()].map(({ id }) => id)).to.deep.equal([segment.id]);
    for (const state of ['scanned', 'footer']) {
      await restart();
      expect(log.recovery.files.map((file) => file.state)).to.deep.equal([state]);
      const held = log.find(segment.id)!;
      expect(held).to.include({ custodyEpoch: 1, finalCount: 12, isHeld: true, isLive: true, wasShared: true });
      expect((await readAll(log, held)).entries).to.deep.equal(entries);
      expect(await log.adopt(whole), 'it is all here').to.equal(12);
    }
    await log.flushed(log.find(segment.id)!, 12, true);
    await restart();
    expect([...log.segments()]).to.deep.equal([]);
  });

  it('is taken with its last part, in one batch with it, and not before it is whole', async () => {
    const whole = await partOf(giver, segment);
    expect(await log.adoptLast({ ...whole, runs: whole.runs.slice(1) }, 12, 3), 'the beginning is missing').to.equal(
      undefined,
    );
    expect(await log.adopt({ ...whole, runs: whole.runs.slice(0, 1) })).to.equal(4);
    expect(await log.adoptLast({ ...whole, runs: whole.runs.slice(0, 2) }, 12, 3), 'the end is').to.equal(undefined);
    expect([...log.segments()]).to.deep.equal([]);
    const { commits } = log.figures;
    expect(await log.adoptLast({ ...whole, runs: whole.runs.slice(1) }, 12, 3)).to.equal(4);
    expect(log.figures.commits - commits).to.equal(1);
    expect(await log.adoptLast(whole, 12, 3), 'offered again').to.equal(5);
    await restart();
    expect(log.find(segment.id)).to.include({ custodyEpoch: 5, finalCount: 12, isHeld: true });
    expect((await readAll(log, log.find(segment.id)!)).entries).to.deep.equal(entries);
  });

  it('is taken with its last part when that is too much for a batch: entries first, as they are or anew', async () => {
    const long = Array.from({ length: 12 }, (_, index) => entryAt(index, `${index} ${'x'.repeat(300)}`));
    const large = giver.open(segmentId(2), HEADER);
    for (let first = 0; first < 12; first += 4) await giver.append(large, rangeOf(long.slice(first, first + 4)));
    // A run fits into a quarter of a batch, or does not.
    for (const batchSizeMax of [8_192, 4_096]) {
      disk = new PowerLossFiles();
      log = await open(1, { batchSizeMax });
      expect(await log.adoptLast(await partOf(giver, large), 12, 3)).to.equal(4);
      expect(log.figures.commits).to.be.greaterThan(1);
      await restart();
      expect(log.find(large.id)).to.include({ custodyEpoch: 4, finalCount: 12, isHeld: true });
      expect((await readAll(log, log.find(large.id)!)).entries).to.deep.equal(long);
    }
  });

  it('is not taken when its last part cannot be written, and is when it is sent again', async () => {
    const whole = await partOf(giver, segment);
    await log.adopt({ ...whole, runs: whole.runs.slice(0, 2) });
    disk.inject({ step: 'write', code: 'ENOSPC', times: 1 });
    const failed = await log.adoptLast(whole, 12, 0).catch((error: Error) => error.message);
    expect(failed).to.match(/cannot be written/);
    expect([...log.segments()]).to.deep.equal([]);
    expect(log.find(segment.id)).to.include({ isTaking: false, isAdopting: true });
    expect(await log.adoptLast(whole, 12, 0)).to.equal(2);
    await restart();
    expect((await readAll(log, log.find(segment.id)!)).entries).to.deep.equal(entries);
  });

  it('goes with RELEASED, and comes back with CUSTODY of a later epoch', async () => {
    await giver.offer(segment, 12);
    expect(segment).to.include({ isOffered: true, wasShared: true });
    await giver.released(segment, 1);
    expect([...giver.segments()]).to.deep.equal([]);
    expect(segment).to.include({ isLive: false, isHeld: false });
    await log.adopt(await partOf(giver, segment));
    await log.takeCustody(log.find(segment.id)!, 1, 12);
    expect(await giver.adopt(await partOf(log, log.find(segment.id)!))).to.equal(12);
    await giver.takeCustody(segment, 2, 12);
    await log.released(log.find(segment.id)!, 2);
    expect([...log.segments()]).to.deep.equal([]);
    expect([...giver.segments()]).to.deep.equal([segment]);
    await restart();
    expect([...log.segments()]).to.deep.equal([]);
  });

  it("is known by its name: those of earlier versions, which had one disk each, are this disk's", async () => {
    const old = log.open({ nodeId: 'local', incarnation: 1, counter: 1 }, HEADER);
    await log.append(old, rangeOf(entries));
    await restart();
    expect([...log.segments()].map(({ id }) => id.nodeId)).to.deep.equal(['local']);
  });
});

type Action =
  | { readonly type: 'append'; readonly node: number; readonly segment: number; readonly lines: number }
  | { readonly type: 'move'; readonly segment: number; readonly to: number; readonly giveUp: boolean }
  | { readonly type: 'turns'; readonly count: number }
  | { readonly type: 'kill' | 'lose-power' | 'tidy' | 'start-tidy'; readonly node: number }
  | { readonly type: 'settle' };

interface Known {
  readonly node: number;
  readonly incarnation: number;
  readonly counter: number;
  /** In the order the log of its own disk took them. */
  entries: TestEntry[];
  acknowledged: number;
  isSealed: boolean;
}

class Machine {
  readonly uid: string;
  readonly disk = new PowerLossFiles();
  incarnation = 0;
  log!: Log;

  constructor(uid: string) {
    this.uid = uid;
  }
}

/** Two disks, segments that move between them, and a memory that no crash touches. */
class Moves {
  readonly #clock = new ManualClock();
  readonly #machines = [new Machine(UID), new Machine(OTHER)] as const;
  readonly #chance: () => number;
  readonly #known: Known[] = [];
  #pending: Promise<unknown>[] = [];
  #time = 0;
  moved = 0;
  crashes = 0;

  constructor(seed: number) {
    this.#chance = seededChance(seed);
  }

  async run(actions: readonly Action[]): Promise<void> {
    for (const machine of this.#machines) await this.#start(machine);
    for (const action of actions) {
      await this.#perform(action);
      for (const { log } of this.#machines) expect(log.segmentCount).to.equal([...log.segments()].length);
    }
    await this.#settle();
    for (const machine of this.#machines) await this.#crash(machine, true);
  }

  async #perform(action: Action): Promise<void> {
    switch (action.type) {
      case 'append':
        this.#append(action);
        return;
      case 'move':
        this.#pending.push(this.#move(action).catch(() => undefined));
        return;
      case 'turns':
        for (let left = action.count; left > 0; left -= 1) await turn();
        return;
      case 'settle':
        await this.#settle();
        await this.#check();
        return;
      case 'tidy':
        this.#clock.advance(1000);
        await this.#machines[action.node]!.log.tidy();
        return;
      case 'start-tidy':
        this.#clock.advance(1000);
        this.#pending.push(this.#machines[action.node]!.log.tidy());
        return;
      case 'kill':
      case 'lose-power':
        await this.#crash(this.#machines[action.node]!, action.type === 'lose-power');
        return;
    }
  }

  #append({ node, segment, lines }: Extract<Action, { type: 'append' }>): void {
    const { log, incarnation } = this.#machines[node]!;
    const open = this.#known.filter((one) => one.node === node && one.incarnation === incarnation && !one.isSealed);
    let known = open[segment % Math.max(1, open.length)];
    if (!known || this.#chance() < 0.2) {
      const counter = this.#known.length;
      known = { node, incarnation, counter, entries: [], acknowledged: 0, isSealed: false };
      log.open(this.#idOf(known), { ...HEADER, labels: ['app', `${counter}`] });
      this.#known.push(known);
    }
    const handle = log.find(this.#idOf(known))!;
    const entries = Array.from({ length: lines }, () => {
      this.#time += 1;
      return entryAt(this.#time, `${this.#time} ${'x'.repeat(this.#time % 400)}`);
    });
    const before = handle.accepted;
    const appended = log.append(handle, rangeOf(entries));
    if (handle.accepted > before) known.entries.push(...entries);
    const end = handle.accepted;
    const acknowledge = (): void => {
      known.acknowledged = Math.max(known.acknowledged, end);
    };
    this.#pending.push(appended.then(acknowledge, () => undefined));
  }

  /** What both nodes do, as they will. Whatever throws ends it. */
  async #move({ segment, to, giveUp }: Extract<Action, { type: 'move' }>): Promise<void> {
    const [from, target] = [this.#machines[1 - to]!.log, this.#machines[to]!.log];
    const held = [...from.segments()];
    const moving = held[segment % Math.max(1, held.length)];
    if (!moving) return;
    const known = this.#known[moving.id.counter]!;
    known.isSealed = true;
    const finalCount = await from.settled(moving);
    await from.offer(moving, finalCount);
    const { id, epoch: given, open } = moving;
    let have = 0;
    let epoch: number | undefined;
    const withLast = this.#chance() < 0.5;
    while (have < finalCount) {
      const left = await runsOf(from, moving, have);
      const runs = left.slice(0, 2);
      const part = sent({ id, epoch: given, open, runs });
      if (withLast && runs.length === left.length) {
        epoch = await target.adoptLast(part, finalCount, given);
        if (epoch === undefined) throw new Error('entries are missing');
        break;
      }
      const before = have;
      have = await target.adopt(part);
      if (this.#chance() < 0.2) have = await target.adopt(part);
      if (have === before) throw new Error('nothing was taken');
      if (giveUp && this.#chance() < 0.3) {
        target.giveUpAdoption(target.find(id)!);
        return;
      }
    }
    if (epoch === undefined) {
      epoch = given + 1;
      await target.takeCustody(target.find(id)!, epoch, finalCount);
    }
    if (this.#chance() < 0.3) return;
    await from.released(moving, epoch);
    this.moved += 1;
  }

  #idOf({ node, incarnation, counter }: Known) {
    return { nodeId: this.#machines[node]!.uid, incarnation, counter };
  }

  async #settle(): Promise<void> {
    const pending = this.#pending;
    this.#pending = [];
    await Promise.all(pending);
  }

  async #crash(machine: Machine, isPowerLost: boolean): Promise<void> {
    this.crashes += 1;
    if (isPowerLost) machine.disk.crash(this.#chance);
    else machine.disk.kill();
    for (let left = 5; left > 0; left -= 1) await turn();
    await this.#start(machine);
    await this.#check();
  }

  async #start(machine: Machine): Promise<void> {
    machine.incarnation += 1;
    machine.log = await openTestLog(machine.disk.process(), {
      clock: this.#clock,
      uid: machine.uid,
      incarnation: machine.incarnation,
      fileSizeMax: 12 << 10,
      batchSizeMax: 1 << 20,
      compactAgeMs: 500,
      compactLiveShareMax: 0.5,
    });
  }

  /** Wherever a segment is held, all of it is, and it is held somewhere. */
  async #check(): Promise<void> {
    for (const { log } of this.#machines) expect(log.recovery).to.include({ damagedBytes: 0, missingEntries: 0 });
    for (const known of this.#known) {
      const id = this.#idOf(known);
      const holders = this.#machines.filter(({ log }) => [...log.segments()].some((one) => one === log.find(id)));
      if (known.acknowledged > 0) expect(holders.length, `${known.counter}: held`).to.be.greaterThan(0);
      for (const { log } of holders) {
        const { entries, gaps } = await readAll(log, log.find(id)!);
        expect(gaps).to.deep.equal([]);
        expect(entries.length, `${known.counter}: acknowledged, and lost`).to.be.at.least(known.acknowledged);
        expect(entries).to.deep.equal(known.entries.slice(0, entries.length));
      }
    }
  }
}

const node = fc.nat({ max: 1 });
const index = fc.nat({ max: 20 });
const RUNS = propertyRuns(30);

const actions = fc.array(
  fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        type: fc.constant('append' as const),
        node,
        segment: index,
        lines: fc.integer({ min: 1, max: 5 }),
      }),
    },
    {
      weight: 5,
      arbitrary: fc.record({ type: fc.constant('move' as const), segment: index, to: node, giveUp: fc.boolean() }),
    },
    { weight: 4, arbitrary: fc.record({ type: fc.constant('turns' as const), count: fc.integer({ min: 1, max: 6 }) }) },
    { weight: 2, arbitrary: fc.constant<Action>({ type: 'settle' }) },
    {
      weight: 3,
      arbitrary: fc.record({
        type: fc.constantFrom('kill' as const, 'lose-power' as const, 'tidy' as const, 'start-tidy' as const),
        node,
      }),
    },
  ),
  { minLength: 10, maxLength: 70, size: 'max' },
);

describe('two logs under moves, compactions and power losses', () => {
  it('always have every segment: whole where it is held, and held by one at least', async () => {
    const seen = { runs: 0, moved: 0, crashes: 0 };
    await fc.assert(
      fc.asyncProperty(fc.nat(), actions, async (seed, steps) => {
        const moves = new Moves(seed);
        await moves.run(steps);
        seen.runs += 1;
        seen.moved += moves.moved;
        seen.crashes += moves.crashes;
      }),
      { numRuns: RUNS },
    );
    expect(seen.moved, 'segments moved').to.be.greaterThan(0.3 * seen.runs);
    expect(seen.crashes, 'crashes happened').to.be.greaterThan(0.3 * seen.runs);
  }).timeout(PROPERTY_TIMEOUT_MS);
});
