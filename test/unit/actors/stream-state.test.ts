import { expect } from 'chai';
import { LoggedPart, LoggedStream } from '../../../src/actors/logged-segments.ts';
import { type MovingSegment, StreamCell } from '../../../src/actors/stream-cell.ts';
import {
  type AppendOutcome,
  flushDue,
  isPassive,
  type StreamEffect,
  type StreamMessage,
  stepStream,
} from '../../../src/actors/stream-state.ts';
import { TenantStreams } from '../../../src/actors/tenant-streams.ts';
import { cutBlock } from '../../../src/chunk/cut-block.ts';
import type { LogSegment } from '../../../src/log/segment-table.ts';
import { defaultSchemaConfig, periodAt } from '../../../src/storage/schema-config.ts';
import { labelsOf, rangeOf, type TestEntry } from '../../support/entries.ts';

const MS_NS = 1_000_000n;
const SCHEMA = defaultSchemaConfig();
const T0_MS = Date.UTC(2024, 2, 10);
const T0_NS = BigInt(T0_MS) * MS_NS;
const RULES = { idleMs: 1_800_000, ageNs: 7_200_000n * MS_NS, passivateMs: 900_000 };
const LIMITS = { rateBytes: 0, rateBurstBytes: 0, windowNs: 3_600_000n * MS_NS, isOrdered: false };

/** A stream with its surroundings; effects are kept, and cuts are made only when the test says so. */
class TestStream {
  readonly cell = new StreamCell(new TenantStreams('tenant'), labelsOf('{app="web"}'), T0_MS);
  readonly outcomes: AppendOutcome[] = [];
  readonly replies: string[] = [];
  readonly pending: StreamEffect[] = [];
  readonly logged: Extract<StreamEffect, { type: 'log' }>[] = [];
  #counter = 0;
  readonly #limits;

  constructor(blockSize = 1000, targetSize = 1_000_000) {
    this.#limits = { blockSize, targetSize };
  }

  send(message: StreamMessage): readonly string[] {
    const effects = stepStream(this.cell, message, {
      segmentLimits: this.#limits,
      nextSegmentId: () => ({ nodeId: 'n1', incarnation: 1, counter: this.#counter++ }),
      periodAt: (timeNs) => periodAt(SCHEMA, Number(timeNs / MS_NS)),
      compressionGuess: () => 1,
    });
    for (const effect of effects) {
      if (effect.type === 'reply') effect.reply(effect.outcome);
      else if (effect.type === 'replied') effect.reply(undefined);
      else if (effect.type === 'moving') effect.reply(effect.segments);
      else if (effect.type === 'log') this.logged.push(effect);
      else this.pending.push(effect);
    }
    return effects.map(({ type }) => type);
  }

  append(entries: readonly TestEntry[], nowMs = T0_MS): AppendOutcome {
    this.send({
      type: 'append',
      ranges: [rangeOf(entries)],
      limits: LIMITS,
      nowMs,
      reply: (outcome) => this.outcomes.push(outcome),
    });
    return this.outcomes.at(-1)!;
  }

  flush(name: string): void {
    this.send({ type: 'flush', reason: 'asked', reply: () => this.replies.push(name) });
  }

  /** Answers the oldest cut that is pending. */
  finishCut(): readonly string[] {
    const index = this.pending.findIndex(({ type }) => type === 'cut' || type === 'cut-again');
    const [effect] = this.pending.splice(index, 1);
    if (effect?.type !== 'cut' && effect?.type !== 'cut-again') throw new Error('no cut is pending');
    const { held, cut } = effect;
    const block = cutBlock(cut.head, { encoding: 'none', withMetadataSections: true });
    return this.send({ type: 'cut-done', held, cut, block });
  }

  /** The segment that went to the flusher first. */
  takeFlush() {
    const index = this.pending.findIndex(({ type }) => type === 'flush');
    const [effect] = this.pending.splice(index, 1);
    if (effect?.type !== 'flush') throw new Error('no flush is pending');
    return effect.held;
  }

  count(type: StreamEffect['type']): number {
    return this.pending.filter((effect) => effect.type === type).length;
  }
}

const entry = (ms: number, line = 'line'): TestEntry => ({ timeNs: T0_NS + BigInt(ms) * MS_NS, line });
const long = (ms: number): TestEntry => entry(ms, `${ms} `.padEnd(400, 'x'));

/** A segment of the stream in the log, its one entry at T0. */
const loggedPart = (cell: StreamCell, runBytes: number, version = 4): LoggedPart => {
  cell.logged ??= new LoggedStream('tenant', cell.labels);
  const segment = { minTime: T0_NS, maxTime: T0_NS, runBytes } as LogSegment;
  const part = new LoggedPart(cell.logged, segment, { version, openedMs: T0_MS }, SCHEMA, T0_MS);
  cell.logged.parts.push(part);
  return part;
};

describe('stepStream', () => {
  it('opens a segment at the first append and says what it stored', () => {
    const stream = new TestStream();
    expect(stream.append([entry(0, 'one'), entry(1, 'two')])).to.deep.equal({
      acceptedLines: 2,
      acceptedBytes: 6,
      refusal: undefined,
    });
    expect(stream.cell.segments.map(({ segment }) => segment.count)).to.deep.equal([2]);
  });

  it('takes a repeated entry as accepted and stores it once', () => {
    const stream = new TestStream();
    stream.append([entry(0)]);
    expect(stream.append([entry(0)])).to.deep.include({ acceptedLines: 1, acceptedBytes: 0 });
    expect(stream.cell.segments[0]?.segment.count).to.equal(1);
  });

  it('knows a repeated entry also after its segment is stored and gone', () => {
    const stream = new TestStream();
    stream.append([entry(0)]);
    stream.flush('asked');
    stream.finishCut();
    stream.send({ type: 'stored', held: stream.takeFlush() });
    expect(stream.append([entry(0)]).acceptedBytes).to.equal(0);
  });

  it('cuts a block when the head reaches the block size', () => {
    const stream = new TestStream(1000);
    stream.append([long(0), long(1)]);
    expect(stream.count('cut')).to.equal(0);
    stream.append([long(2)]);
    expect(stream.count('cut')).to.equal(1);
    stream.finishCut();
    expect(stream.cell.segments[0]?.segment.blocks.length).to.equal(1);
  });

  it('seals a full segment, flushes it once all its heads are cut, and goes on in a new one', () => {
    const stream = new TestStream(1000, 2000);
    stream.append(Array.from({ length: 40 }, (_, index) => long(index)));
    const sealed = stream.cell.segments.filter(({ sealedFor }) => sealedFor === 'full');
    expect(sealed.length).to.be.at.least(1);
    expect(stream.cell.open).to.not.equal(undefined);
    expect(stream.count('flush')).to.equal(0);
    while (stream.count('cut') > 0) stream.finishCut();
    expect(stream.count('flush')).to.equal(sealed.length);
    expect(stream.cell.segments.reduce((sum, { segment }) => sum + segment.count, 0)).to.equal(40);
  });

  it('keeps a segment until it is stored', () => {
    const stream = new TestStream();
    stream.append([entry(0)]);
    stream.flush('asked');
    stream.finishCut();
    const held = stream.takeFlush();
    expect(stream.cell.segments).to.deep.equal([held]);
    stream.send({ type: 'stored', held });
    expect(stream.cell.segments).to.deep.equal([]);
  });

  it('hands segments to the flusher in order, also when a later one is ready first', () => {
    const stream = new TestStream();
    stream.append([entry(0)]);
    stream.flush('first');
    stream.append([entry(1)]);
    stream.flush('second');
    const [, second] = stream.pending.splice(0, 2).map((effect) => (effect.type === 'cut' ? effect : undefined));
    const [first] = stream.cell.segments;
    const block = cutBlock(second!.cut.head, { encoding: 'none', withMetadataSections: true });
    stream.send({ type: 'cut-done', held: second!.held, cut: second!.cut, block });
    expect(stream.count('flush'), 'the first is still being cut').to.equal(0);
    expect(first?.isFlushing).to.equal(false);
  });

  it('answers a flush when all that was unflushed at the time is stored, and not before', () => {
    const stream = new TestStream();
    stream.append([entry(0)]);
    stream.flush('first');
    stream.append([entry(1)]);
    stream.finishCut();
    expect(stream.replies).to.deep.equal([]);
    stream.send({ type: 'stored', held: stream.takeFlush() });
    expect(stream.replies, 'what came later does not matter').to.deep.equal(['first']);
  });

  it('answers a flush at once when there is nothing to store', () => {
    const stream = new TestStream();
    stream.flush('empty');
    expect(stream.replies).to.deep.equal(['empty']);
  });

  it('waits with the answer for a segment that was sealed before', () => {
    const stream = new TestStream();
    stream.append([entry(0)]);
    stream.flush('first');
    stream.flush('second');
    stream.finishCut();
    stream.send({ type: 'stored', held: stream.takeFlush() });
    expect(stream.replies).to.deep.equal(['first', 'second']);
  });

  it('hands a head out again when its cut failed', () => {
    const stream = new TestStream();
    stream.append([entry(0)]);
    stream.flush('asked');
    const [effect] = stream.pending.splice(0, 1);
    if (effect?.type !== 'cut') throw new Error('expected a cut');
    expect(stream.send({ type: 'cut-failed', held: effect.held, cut: effect.cut })).to.deep.equal(['cut-again']);
    expect(stream.finishCut()).to.deep.equal(['flush']);
  });

  it('may be told again to let go of memory once it was', () => {
    const stream = new TestStream();
    for (const message of [{ type: 'spill' }, { type: 'flush', reason: 'memory' }] as const) {
      stream.append([entry(0)]);
      stream.cell.isReliefAsked = true;
      stream.send(message);
      expect(stream.cell.isReliefAsked, message.type).to.equal(false);
    }
  });

  it('gives up its head early when asked, and goes on in the same segment', () => {
    const stream = new TestStream();
    stream.append([entry(0)]);
    expect(stream.cell.openHeadBytes).to.be.greaterThan(0);
    expect(stream.send({ type: 'cut-early' })).to.deep.equal(['cut']);
    expect(stream.cell.openHeadBytes).to.equal(0);
    stream.append([entry(1)]);
    expect(stream.cell.segments.length).to.equal(1);
  });

  it('begins with little memory once it has little to say, whatever its heads held before', () => {
    const stream = new TestStream(100_000);
    stream.append(Array.from({ length: 300 }, (_, ms) => long(ms)));
    expect(stream.count('cut')).to.equal(1);
    // The flusher is busy: each segment follows one that is not stored yet.
    for (const ms of [1000, 1001, 1002]) {
      stream.append([entry(ms)]);
      stream.flush('asked');
    }
    stream.append([entry(2000)]);
    expect(stream.cell.openHeadBytes).to.be.below(2000);
    stream.append(Array.from({ length: 300 }, (_, ms) => long(3000 + ms)));
    expect(stream.cell.openHeadBytes, 'after a full one').to.be.greaterThan(100_000);
  });

  describe('and the log', () => {
    const logged = (stream: TestStream) =>
      stream.logged.map(({ held, range }) => [held.segment.id.counter, range.first, range.end]);

    it('gets what each segment was offered, repetitions included, in order', () => {
      const stream = new TestStream(1000, 900);
      stream.append([long(0), long(0), long(1), long(2), long(3), long(4)]);
      const parts = logged(stream);
      expect(parts.length).to.be.greaterThan(1);
      expect(parts.map(([counter]) => counter)).to.deep.equal(parts.map((_, index) => index));
      expect(parts[0]?.[1]).to.equal(0);
      expect(parts.at(-1)?.[2]).to.equal(6);
      for (const [index, part] of parts.slice(1).entries()) expect(part[1]).to.equal(parts[index]?.[2]);
    });

    it('gets nothing of entries that are refused', () => {
      const stream = new TestStream();
      stream.append([entry(7_200_000)]);
      stream.append([entry(0), entry(7_200_001)]);
      expect(logged(stream)).to.deep.equal([
        [0, 0, 1],
        [0, 1, 2],
      ]);
    });

    it('gets nothing of entries that only repeat what is stored, and goes on with the next', () => {
      const stream = new TestStream();
      stream.append([entry(0)]);
      stream.flush('asked');
      stream.finishCut();
      stream.send({ type: 'stored', held: stream.cell.segments[0]! });
      stream.logged.length = 0;
      expect(stream.append([entry(0)])).to.deep.include({ acceptedLines: 1, acceptedBytes: 0, refusal: undefined });
      expect(logged(stream)).to.deep.equal([]);
      stream.append([entry(1)]);
      expect(logged(stream)).to.deep.equal([[1, 0, 1]]);
    });

    it('is told that what only repeats a segment on its way to the store ended with it', () => {
      const stream = new TestStream();
      stream.append([entry(0)]);
      stream.flush('asked');
      stream.append([entry(0)]);
      expect(logged(stream), 'the first may not be durable').to.deep.equal([
        [0, 0, 1],
        [1, 0, 1],
      ]);
      const [first, second] = stream.cell.segments;
      second!.log = {} as LogSegment;
      stream.finishCut();
      expect(stream.send({ type: 'stored', held: first! })).to.deep.equal(['ended', 'replied']);
      expect(stream.cell.segments).to.deep.equal([]);
      stream.append([entry(0), entry(1)]);
      expect(stream.cell.segments[0]?.segment.count, 'still known').to.equal(1);
    });

    it('closes a segment that it lost entries of: the next ones go into another', () => {
      const stream = new TestStream();
      stream.append([entry(0)]);
      const [held] = stream.cell.segments;
      expect(stream.send({ type: 'unlogged', held: held! })).to.deep.equal(['cut']);
      expect(held?.sealedFor).to.equal('unlogged');
      stream.append([entry(1)]);
      expect(stream.cell.segments.map(({ segment }) => segment.id.counter)).to.deep.equal([0, 1]);
      expect(stream.send({ type: 'unlogged', held: held! }), 'told twice').to.deep.equal([]);
    });
  });

  describe('a move to another node', () => {
    /** As if the log had all that was offered to it. */
    const inLog = (stream: TestStream): readonly LogSegment[] =>
      stream.cell.segments.map((held) => {
        const log = { count: 1, accepted: 1, waiting: 0, isRefused: false } as LogSegment;
        held.log = log;
        return log;
      });
    const moveOut = (stream: TestStream): readonly MovingSegment[] => {
      let moving: readonly MovingSegment[] = [];
      const effects = stream.send({
        type: 'move-out',
        reply: (segments) => {
          moving = segments;
        },
      });
      expect(effects).to.deep.equal(['moving']);
      return moving;
    };

    it('seals what is open without cutting it, and takes new entries into another segment', () => {
      const stream = new TestStream();
      stream.append([entry(0)]);
      const [log] = inLog(stream);
      expect(moveOut(stream).map((one) => one.log)).to.deep.equal([log]);
      expect(stream.count('cut')).to.equal(0);
      stream.append([entry(1)]);
      expect(stream.cell.segments.map(({ isMoving }) => isMoving)).to.deep.equal([true, false]);
      expect(stream.cell.segments[0]?.segment.count, 'queries read it').to.equal(1);
    });

    it('holds up no flush of what comes after it', () => {
      const stream = new TestStream();
      stream.append([entry(0)]);
      inLog(stream);
      moveOut(stream);
      stream.append([entry(1)]);
      stream.flush('later');
      expect(stream.finishCut()).to.deep.equal(['flush']);
      const held = stream.takeFlush();
      expect(held.segment.id.counter).to.equal(1);
      stream.send({ type: 'stored', held });
      expect(stream.replies).to.deep.equal(['later']);
      expect(stream.cell.segments.length).to.equal(1);
    });

    it('leaves to the flusher what it has, and moves what waits for its cuts', () => {
      const stream = new TestStream();
      stream.append([entry(0)]);
      stream.flush('first');
      stream.finishCut();
      stream.append([entry(1)]);
      stream.flush('second');
      const [, second] = inLog(stream);
      expect(moveOut(stream).map((one) => one.log)).to.deep.equal([second]);
      expect(stream.finishCut(), 'its cut comes, and it is not flushed').to.deep.equal([]);
      expect(moveOut(stream), 'asked again: it moves already').to.deep.equal([]);
    });

    it('drops it once another node has it, told once or twice, and lets its late cuts go', () => {
      const stream = new TestStream();
      stream.append([entry(0)]);
      stream.flush('asked');
      inLog(stream);
      const segments = moveOut(stream).map((segment) => ({ ...segment, epoch: 1 }));
      expect(stream.send({ type: 'moved', segments })).to.deep.equal(['replied', 'released']);
      expect(stream.send({ type: 'moved', segments })).to.deep.equal([]);
      expect(stream.send({ type: 'move-failed', segments })).to.deep.equal([]);
      expect(stream.cell.segments).to.deep.equal([]);
      expect(stream.finishCut()).to.deep.equal([]);
      expect(stream.append([entry(0)]).acceptedBytes, 'its last entry is known').to.equal(0);
    });

    it('leaves it to the log if the move fails: the next chunk takes it from there', () => {
      const stream = new TestStream();
      stream.append([entry(0)]);
      inLog(stream);
      const segments = moveOut(stream);
      expect(stream.send({ type: 'move-failed', segments })).to.deep.equal(['left-to-log']);
      expect(stream.send({ type: 'move-failed', segments })).to.deep.equal([]);
      expect(stream.cell.segments).to.deep.equal([]);
    });

    it('flushes it if the move fails and the log lost some of it', () => {
      const stream = new TestStream();
      stream.append([entry(0)]);
      const [log] = inLog(stream);
      const segments = moveOut(stream);
      log!.isRefused = true;
      expect(stream.send({ type: 'move-failed', segments })).to.deep.equal(['cut']);
      expect(stream.finishCut()).to.deep.equal(['flush']);
    });

    it('takes along what lies in the log, unless it is being flushed', () => {
      const stream = new TestStream();
      const [first, second] = [1, 2].map(() => loggedPart(stream.cell, 100));
      first!.claim('flushing');
      expect(moveOut(stream).map(({ log }) => log)).to.deep.equal([second!.segment]);
      expect(second!.state).to.equal('moving');
      stream.send({ type: 'move-failed', segments: [{ log: second!.segment, from: { part: second! } }] });
      expect(second!.state).to.equal('waiting');
    });

    it('takes along what was to share a chunk that is not with the flusher yet', () => {
      const stream = new TestStream();
      const part = loggedPart(stream.cell, 100);
      stream.append([entry(0)]);
      stream.flush('asked');
      expect(part.state).to.equal('flushing');
      const [log] = inLog(stream);
      expect(moveOut(stream).map((one) => one.log)).to.deep.equal([part.segment, log]);
      expect(stream.cell.segments[0]?.sharers).to.deep.equal([]);
    });
  });

  describe('and what lies in the log', () => {
    it('takes it into the chunk of its next segment, and counts it for its size', () => {
      const alone = new TestStream(1000, 4000);
      const sharing = new TestStream(1000, 4000);
      const part = loggedPart(sharing.cell, 3000);
      for (const stream of [alone, sharing]) stream.append([long(0), long(1), long(2), long(3)]);
      expect(alone.cell.segments.length).to.equal(1);
      expect(sharing.cell.segments.length).to.equal(2);
      expect(sharing.cell.segments.map(({ sharers }) => sharers)).to.deep.equal([[part], []]);
      expect(part.state).to.equal('flushing');
    });

    it('stores it alone where it makes a chunk', () => {
      const stream = new TestStream(1000, 4000);
      const part = loggedPart(stream.cell, 5000);
      stream.append([long(0), long(1)]);
      expect(stream.count('flush-logged')).to.be.greaterThan(0);
      expect(stream.cell.segments.length).to.equal(1);
      expect(part.state).to.equal('waiting');
    });

    it('counts it for its age', () => {
      const stream = new TestStream();
      loggedPart(stream.cell, 100);
      stream.append([entry(7_200_000)]);
      expect(flushDue(stream.cell, RULES, T0_MS)).to.equal(undefined);
      stream.append([entry(7_200_001)]);
      expect(flushDue(stream.cell, RULES, T0_MS)).to.equal('old');
    });

    it('leaves alone what is of another chunk version, or could not be read', () => {
      const stream = new TestStream();
      const [other, broken] = [loggedPart(stream.cell, 100, 3), loggedPart(stream.cell, 100)];
      broken.failures = 1;
      stream.append([entry(0)]);
      stream.flush('asked');
      expect(stream.cell.segments[0]?.sharers).to.deep.equal([]);
      expect([other.state, broken.state]).to.deep.equal(['waiting', 'waiting']);
    });
  });

  it('refuses entries that are too far behind and stores the others', () => {
    const stream = new TestStream();
    stream.append([entry(7_200_000)]);
    const outcome = stream.append([entry(0), entry(7_200_001)]);
    expect(outcome).to.deep.include({ acceptedLines: 1, acceptedBytes: 4 });
    expect(outcome.refusal).to.deep.include({ code: 'INVALID_ENTRIES', lines: 1, bytes: 4 });
  });

  it('does what was decided before a defect showed, then crashes', () => {
    const stream = new TestStream(1000);
    const good = rangeOf([long(0), long(1), long(2)]);
    const bad = { columns: { ...good.columns, bytes: undefined as unknown as Uint8Array }, first: 0, end: 3 };
    const effects = stream.send({
      type: 'append',
      ranges: [good, bad],
      limits: LIMITS,
      nowMs: T0_MS,
      reply: () => undefined,
    });
    expect(effects).to.deep.equal(['log', 'cut', 'crash']);
  });

  describe('check', () => {
    const check = (stream: TestStream, nowMs: number) => stream.send({ type: 'check', rules: RULES, nowMs });

    it('leaves a segment alone that is neither idle nor old', () => {
      const stream = new TestStream();
      stream.append([entry(0)]);
      expect(flushDue(stream.cell, RULES, T0_MS + RULES.idleMs)).to.equal(undefined);
      expect(check(stream, T0_MS + RULES.idleMs)).to.deep.equal([]);
    });

    it('seals a segment that nothing was appended to for longer than the idle period', () => {
      const stream = new TestStream();
      stream.append([entry(0)]);
      expect(check(stream, T0_MS + RULES.idleMs + 1)).to.deep.equal(['cut']);
      expect(stream.cell.segments[0]?.sealedFor).to.equal('idle');
    });

    it('seals a segment that spans more time than its age allows', () => {
      const stream = new TestStream();
      stream.append([entry(0), entry(7_200_000)]);
      expect(check(stream, T0_MS)).to.deep.equal([]);
      stream.append([entry(7_200_001)]);
      expect(check(stream, T0_MS)).to.deep.equal(['cut']);
      expect(stream.cell.segments[0]?.sealedFor).to.equal('old');
    });
  });

  describe('passivate', () => {
    it('confirms when nothing is held, nothing came for long and no message is on its way', () => {
      const stream = new TestStream();
      const nowMs = T0_MS + RULES.passivateMs + 1;
      expect(stream.send({ type: 'passivate', rules: RULES, nowMs })).to.deep.equal(['passivated']);
    });

    it('refuses while anything is unflushed, recent or on its way', () => {
      const nowMs = T0_MS + RULES.passivateMs + 1;
      const holding = new TestStream();
      holding.append([entry(0)]);
      expect(isPassive(holding.cell, RULES, nowMs)).to.equal(false);
      const recent = new TestStream();
      expect(isPassive(recent.cell, RULES, nowMs - 1)).to.equal(false);
      const expecting = new TestStream();
      expecting.cell.messagesInFlight = 1;
      expect(isPassive(expecting.cell, RULES, nowMs)).to.equal(false);
    });
  });
});
