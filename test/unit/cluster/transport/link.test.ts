import { expect } from 'chai';
import fc from 'fast-check';
import {
  decodePacket,
  encodePacket,
  FRAME,
  FRAME_COST,
  type Hello,
  type OutgoingFrame,
} from '../../../../src/cluster/transport/frame.ts';
import { Link, windowsOf } from '../../../../src/cluster/transport/link.ts';
import { noFigures } from '../../../../src/cluster/transport/link-figures.ts';
import { DEFAULT_LINK_OPTIONS, type LinkOptions } from '../../../../src/cluster/transport/link-options.ts';
import { CALL_CLASSES, type CallClass, type PeerHandler } from '../../../../src/cluster/transport/peers.ts';
import { ManualClock } from '../../../support/clock.ts';
import { failureOf, textOf } from '../../../support/peers-rig.ts';
import { deliverAll, pipePair, settle, type TestPipe } from '../../../support/pipe-pair.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../../support/property-runs.ts';

const KILOBYTE = 1024;
const SMALL: LinkOptions = {
  ...DEFAULT_LINK_OPTIONS,
  windowBytes: { control: 4 * KILOBYTE, append: 8 * KILOBYTE, query: 8 * KILOBYTE, transfer: 8 * KILOBYTE },
  streamWindowBytes: 4 * KILOBYTE,
  partBytesMax: KILOBYTE,
  messageBytesMax: 64 * KILOBYTE,
};
const ECHO = 1;
const HANG = 2;
const HOLD = 3;

const helloOf = (nodeId: string, options: LinkOptions): Hello => ({
  nodeId,
  incarnation: 1,
  clusterUid: 'uid',
  protocolMin: 1,
  protocolMax: 1,
  address: `${nodeId}:1`,
  toNodeId: '',
  toIncarnation: 0,
  windows: windowsOf(options),
});

interface End {
  readonly link: Link;
  readonly pipe: TestPipe;
  readonly figures: ReturnType<typeof noFigures>;
  readonly problems: string[];
  readonly news: string[];
}

const pairOf = (options: LinkOptions, handlers: Readonly<Record<number, PeerHandler>> = {}) => {
  const clock = new ManualClock();
  const pipes = pipePair();
  const endOf = (pipe: TestPipe, remoteId: string, isOpener: boolean): End => {
    const figures = noFigures();
    const problems: string[] = [];
    const news: string[] = [];
    const all: [number, PeerHandler][] = [[ECHO, async (body) => [body]]];
    for (const [kind, handler] of Object.entries(handlers)) all.push([Number(kind), handler]);
    const link = new Link(
      pipe,
      helloOf(remoteId, options),
      isOpener,
      {
        clock,
        options,
        handlers: new Map(all),
        figures,
        report: (problem, error) => problems.push(`${problem}: ${error}`),
      },
      {
        retired: () => news.push('retired'),
        closed: (_, error) => news.push(`closed ${error?.message ?? 'well'}`),
      },
    );
    return { link, pipe, figures, problems, news };
  };
  return { clock, a: endOf(pipes[0], 'b', true), b: endOf(pipes[1], 'a', false) };
};

const options = (callClass: CallClass) => ({ class: callClass, deadlineMs: 1000 });

const framesIn = (pipe: TestPipe): string[] =>
  pipe.written.flatMap((packet) =>
    decodePacket(packet).map(({ type, seq }) => `${Object.keys(FRAME)[type - 1]} ${seq}`),
  );

describe('a link between two nodes', function () {
  this.timeout(PROPERTY_TIMEOUT_MS);

  it('answers everything that both sides ask, of any size and class, within the credit of each class', async () => {
    const call = fc.record({
      size: fc.oneof(fc.nat(200), fc.nat(20 * KILOBYTE)),
      callClass: fc.constantFrom(...CALL_CLASSES),
      isFromA: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(call, { minLength: 1, maxLength: 30 }), async (calls) => {
        const { a, b } = pairOf(SMALL);
        const meter = unackedMeter(a.pipe, b.pipe);
        const answers = Promise.all(
          calls.map(async ({ size, callClass, isFromA }, index) => {
            const body = Buffer.alloc(size, `${index} `);
            const end = isFromA ? a : b;
            const answer = await end.link.request(
              ECHO,
              [body.subarray(0, size / 3), body.subarray(size / 3)],
              options(callClass),
            );
            return Buffer.compare(answer, body);
          }),
        );
        await deliverAll(a.pipe, b.pipe);
        expect(await answers).to.deep.equal(calls.map(() => 0));
        expect([a.problems, b.problems]).to.deep.equal([[], []]);
        for (const [index, most] of meter.most.entries()) {
          expect(most, CALL_CLASSES[index]).to.be.at.most(SMALL.windowBytes[CALL_CLASSES[index] ?? 'control']);
        }
      }),
      { numRuns: propertyRuns(20) },
    );
  });

  it('gives the memory of a packet back once all bodies in it are read, and not before', async () => {
    const held: { readonly body: Uint8Array; readonly bodyRead: () => void }[] = [];
    const hold: PeerHandler = async (body, { bodyRead }) => {
      held.push({ body, bodyRead: bodyRead ?? (() => undefined) });
      return [];
    };
    const { a, b } = pairOf(DEFAULT_LINK_OPTIONS, { [HOLD]: hold });
    const texts = ['first ', 'other '].map((text) => Buffer.alloc(30 * KILOBYTE, text));
    for (const text of texts) void a.link.request(HOLD, [text], options('append'));
    await settle();
    expect(a.pipe.written, 'both are in one packet').to.have.lengthOf(1);
    await deliverAll(a.pipe, b.pipe);
    const [first, other] = held;
    first?.bodyRead();
    expect(Buffer.compare(first!.body, texts[0]!), 'the other body lies beside it').to.equal(0);
    expect(Buffer.compare(other!.body, texts[1]!)).to.equal(0);
    other?.bodyRead();
    expect(held.map(({ body }) => body.length)).to.deep.equal([0, 0]);
  });

  it('gives the memory of a body back that came in parts, and leaves answers to who asked', async () => {
    const sizes: number[] = [];
    const read: PeerHandler = async (body, { bodyRead }) => {
      const answer = Buffer.from(body);
      bodyRead?.();
      sizes.push(body.length);
      return [answer];
    };
    const { a, b } = pairOf({ ...SMALL, messageBytesMax: 1 << 20 }, { [HOLD]: read });
    const asked = Buffer.alloc(100 * KILOBYTE, 'text ');
    const answer = a.link.request(HOLD, [asked], options('append'));
    await deliverAll(a.pipe, b.pipe);
    expect(Buffer.compare(await answer, asked)).to.equal(0);
    expect(sizes, 'its memory is gone').to.deep.equal([0]);
  });

  it('sends urgent classes first where there is a choice, and starves none', async () => {
    const wide = { ...SMALL, windowBytes: DEFAULT_LINK_OPTIONS.windowBytes, partBytesMax: 100 * KILOBYTE };
    const { a, b } = pairOf({ ...wide, messageBytesMax: 1 << 26 });
    const order: string[] = [];
    const ask = (name: string, callClass: CallClass, size: number): void => {
      void a.link.request(ECHO, [Buffer.alloc(size)], options(callClass)).then(() => order.push(name));
    };
    ask('transfer', 'transfer', 5_000_000);
    ask('query', 'query', 1_000_000);
    await settle();
    ask('append', 'append', 300_000);
    ask('control', 'control', 10);
    for (let index = 0; index < 200; index += 1) ask('', 'append', 100_000);
    await deliverAll(a.pipe, b.pipe);
    const transferred = a.figures.traffic.transfer.bytesOut;
    expect(order.filter((name) => name !== '')).to.deep.equal(['control', 'append', 'query', 'transfer']);
    expect(transferred).to.equal(5_000_000);
  });

  it('gathers the frames of one turn in a packet', async () => {
    const { a } = pairOf(SMALL);
    for (let index = 0; index < 20; index += 1) void a.link.request(ECHO, [], options('append'));
    await settle();
    expect(a.pipe.written).to.have.length(1);
    expect(framesIn(a.pipe)).to.have.length(20);
  });

  it('does not fill the pipe while it does not drain', async () => {
    const { a } = pairOf({ ...DEFAULT_LINK_OPTIONS });
    for (let index = 0; index < 20; index += 1) void a.link.request(ECHO, [Buffer.alloc(200_000)], options('append'));
    await settle();
    expect(a.pipe.bufferedBytes).to.be.within(256 * KILOBYTE, 700 * KILOBYTE);
  });

  it('ends well once both have nothing under way', async () => {
    let finish = (): void => undefined;
    const hang: PeerHandler = () =>
      new Promise((resolve) => {
        finish = () => resolve([Buffer.from('late')]);
      });
    const { a, b } = pairOf(SMALL, { [HANG]: hang });
    const answer = b.link.request(HANG, [], options('append'));
    await deliverAll(a.pipe, b.pipe);
    a.link.retire();
    await deliverAll(a.pipe, b.pipe);
    expect([a.news, b.news, a.link.isOpen, b.link.isOpen, a.pipe.isEnded]).to.deep.equal([
      ['retired'],
      ['retired'],
      false,
      false,
      false,
    ]);
    finish();
    await deliverAll(a.pipe, b.pipe);
    expect(textOf(await answer)).to.equal('late');
    expect([a.pipe.isEnded, b.pipe.isEnded]).to.deep.equal([true, false]);
    a.pipe.onClose(undefined);
    b.pipe.onClose(new Error('reset'));
    expect([a.news.at(-1), b.news.at(-1)]).to.deep.equal(['closed well', 'closed well']);
  });

  it('breaks when nothing was heard for too long, having pinged', async () => {
    const { a, clock } = pairOf(SMALL);
    const waiting = failureOf(a.link.request(ECHO, [], { class: 'append', deadlineMs: 60_000 }));
    await settle();
    const unsent = failureOf(a.link.request(ECHO, [], { class: 'append', deadlineMs: 60_000 }));
    for (let tick = 0; tick < 4; tick += 1) clock.advance(500);
    expect((await waiting).code).to.equal('UNKNOWN');
    expect((await unsent).code).to.equal('UNREACHABLE');
    expect(a.news).to.deep.equal(['closed nothing was heard for 2000 ms']);
    expect([a.pipe.isDestroyed, a.figures.linksSilent]).to.deep.equal([true, 1]);
  });

  it('keeps a link on which nothing but pings are heard', async () => {
    const { a, b, clock } = pairOf(SMALL);
    for (let tick = 0; tick < 40; tick += 1) {
      clock.advance(500);
      await deliverAll(a.pipe, b.pipe);
    }
    expect([a.news, b.news]).to.deep.equal([[], []]);
  });

  it('does not take its own standstill for silence', async () => {
    const { a } = pairOf(SMALL);
    const clock = new ManualClock();
    const late = new Link(
      a.pipe,
      helloOf('b', SMALL),
      true,
      {
        clock: { ...standstill(clock) },
        options: SMALL,
        handlers: new Map(),
        figures: noFigures(),
        report: () => undefined,
      },
      { retired: () => undefined, closed: () => undefined },
    );
    clock.advance(500);
    expect(late.isOpen).to.equal(true);
  });

  it('takes a deadline without end', async () => {
    const { a, b, clock } = pairOf(SMALL, { [HANG]: async (_, { deadlineMs }) => [Buffer.from(String(deadlineMs))] });
    const call = a.link.request(HANG, [], { class: 'query', deadlineMs: Number.POSITIVE_INFINITY });
    clock.advance(1000);
    await deliverAll(a.pipe, b.pipe);
    expect(textOf(await call)).to.equal(String(2 ** 31 - 1));
  });

  const breaches: Readonly<Record<string, readonly OutgoingFrame[]>> = {
    'a class that does not exist': [{ type: FRAME.request, seq: 1, class: 9 }],
    'a message larger than allowed': [{ type: FRAME.request, seq: 1, more: 1, size: 1e6, body: [Buffer.alloc(10)] }],
    'a message inside another': [
      { type: FRAME.request, seq: 1, more: 1, size: 20, body: [Buffer.alloc(10)] },
      { type: FRAME.request, seq: 2, body: [Buffer.alloc(10)] },
    ],
    'a part too many': [
      { type: FRAME.request, seq: 1, more: 1, size: 20, body: [Buffer.alloc(10)] },
      { type: FRAME.request, seq: 1, offset: 10, body: [Buffer.alloc(11)] },
    ],
    'a part at another place': [
      { type: FRAME.request, seq: 1, more: 1, size: 20, body: [Buffer.alloc(10)] },
      { type: FRAME.request, seq: 1, offset: 9, body: [Buffer.alloc(11)] },
    ],
    'an end too early': [
      { type: FRAME.request, seq: 1, more: 1, size: 20, body: [Buffer.alloc(10)] },
      { type: FRAME.request, seq: 1, offset: 10, body: [Buffer.alloc(5)] },
    ],
  };
  for (const [name, frames] of Object.entries(breaches)) {
    it(`breaks at ${name}`, () => {
      const { a } = pairOf(SMALL);
      a.pipe.onPacket(encodePacket(frames));
      expect([a.problems.length, a.pipe.isDestroyed, a.news.length]).to.deep.equal([1, true, 1]);
    });
  }

  it('passes over what it does not know or no longer waits for', async () => {
    const { a, b } = pairOf(SMALL);
    a.pipe.onPacket(
      encodePacket([
        { type: 99, seq: 5 },
        { type: FRAME.answer, seq: 77, body: [Buffer.from('whose?')] },
        { type: FRAME.answer, seq: 78, more: 1, size: 20, body: [Buffer.alloc(10)] },
        { type: FRAME.answer, seq: 78, offset: 10, body: [Buffer.alloc(10)] },
        { type: FRAME.answer, seq: 79, offset: 10, body: [Buffer.alloc(10)] },
        { type: FRAME.end, seq: 77 },
        { type: FRAME.failure, seq: 77 },
        { type: FRAME.cancel, seq: 77 },
        { type: FRAME.pull, seq: 77, bytes: 5 },
        { type: FRAME.credit, class: 50, bytes: 5 },
      ]),
    );
    const answer = a.link.request(ECHO, [Buffer.from('fine')], options('append'));
    await deliverAll(a.pipe, b.pipe);
    expect(textOf(await answer)).to.equal('fine');
    expect(a.problems).to.deep.equal([]);
  });

  it('gives the credit of a cancelled half-sent request back', async () => {
    const { a, b } = pairOf(SMALL);
    for (let round = 0; round < 10; round += 1) {
      const controller = new AbortController();
      const call = failureOf(
        a.link.request(ECHO, [Buffer.alloc(30 * KILOBYTE)], { ...options('transfer'), signal: controller.signal }),
      );
      await settle();
      a.pipe.deliver();
      controller.abort();
      expect((await call).code).to.be.oneOf(['UNREACHABLE', 'OVERLOADED']);
      await deliverAll(a.pipe, b.pipe);
    }
    const answer = a.link.request(ECHO, [Buffer.alloc(30 * KILOBYTE)], options('transfer'));
    await deliverAll(a.pipe, b.pipe);
    expect((await answer).length).to.equal(30 * KILOBYTE);
    expect(b.figures.handled).to.equal(1);
  });

  it('is not upset by cancels at any moment', async () => {
    const plan = fc.array(fc.record({ size: fc.nat(6 * KILOBYTE), abortAfter: fc.nat(12) }), {
      minLength: 1,
      maxLength: 10,
    });
    await fc.assert(
      fc.asyncProperty(plan, async (calls) => {
        const { a, b } = pairOf(SMALL);
        const controllers = calls.map(() => new AbortController());
        const outcomes = calls.map(({ size }, index) =>
          a.link
            .request(ECHO, [Buffer.alloc(size)], { ...options('query'), signal: controllers[index]!.signal })
            .then((answer) => answer.length === size)
            .catch((error: Error) => error.name === 'PeerError'),
        );
        for (let step = 0; step < 12; step += 1) {
          calls.forEach(({ abortAfter }, index) => {
            if (abortAfter === step) controllers[index]!.abort();
          });
          await settle();
          a.pipe.deliver();
          b.pipe.deliver();
        }
        await deliverAll(a.pipe, b.pipe);
        expect(await Promise.all(outcomes)).to.deep.equal(calls.map(() => true));
        expect([a.problems, b.problems, a.news, b.news]).to.deep.equal([[], [], [], []]);
        // All credit is back: more than a window goes through.
        const last = a.link.request(ECHO, [Buffer.alloc(20 * KILOBYTE)], options('query'));
        await deliverAll(a.pipe, b.pipe);
        expect((await last).length).to.equal(20 * KILOBYTE);
      }),
      { numRuns: propertyRuns(20) },
    );
  });
});

/** The most bytes of each class that one side had sent and not been given credit for, as seen on the wire. */
const unackedMeter = (...pipes: readonly TestPipe[]): { readonly most: number[] } => {
  const most = CALL_CLASSES.map(() => 0);
  const unacked = new Map(pipes.map((pipe) => [pipe, CALL_CLASSES.map(() => 0)]));
  for (const pipe of pipes) {
    const sent = unacked.get(pipe)!;
    const write = pipe.write.bind(pipe);
    pipe.write = (packet) => {
      for (const frame of decodePacket(packet)) {
        if (frame.type !== FRAME.request && frame.type !== FRAME.answer) continue;
        sent[frame.class]! += frame.body.length + FRAME_COST;
        most[frame.class] = Math.max(most[frame.class]!, sent[frame.class]!);
      }
      write(packet);
    };
    const receive = pipe.onPacket;
    pipe.onPacket = (packet) => {
      for (const frame of decodePacket(packet)) if (frame.type === FRAME.credit) sent[frame.class]! -= frame.bytes;
      receive(packet);
    };
  }
  return { most };
};

/** A clock whose time leaps by 5 s before each timer fires: the process stood still. */
const standstill = (clock: ManualClock) => {
  let leapMs = 0;
  return {
    nowMs: () => clock.nowMs() + leapMs,
    monotonicMs: () => clock.monotonicMs() + leapMs,
    after: (delayMs: number, callback: () => void) =>
      clock.after(delayMs, () => {
        leapMs += 5000;
        callback();
      }),
  };
};
