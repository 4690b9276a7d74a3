import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect } from 'chai';
import { type SegmentId, segmentName } from '../../../src/chunk/memory-format.ts';
import { RELEASES_A_TICK } from '../../../src/cluster/handover/giver-state.ts';
import type { Ring } from '../../../src/cluster/ring.ts';
import { sizeOf } from '../../../src/cluster/transport/frame.ts';
import { PeerError, type Peers } from '../../../src/cluster/transport/peers.ts';
import type { Member, View } from '../../../src/cluster/view.ts';
import type { AppendRun } from '../../../src/log/append-record.ts';
import type { Log } from '../../../src/log/log.ts';
import { encodeSegmentPart } from '../../../src/log/segment-part.ts';
import type { LogSegment } from '../../../src/log/segment-table.ts';
import {
  decodeAdoptRequest,
  encodeAdoptReply,
  encodeAdoptRequest,
  type OutgoingPart,
} from '../../../src/member/adopt-message.ts';
import { Handover } from '../../../src/member/handover.ts';
import type { Holding, Holdings } from '../../../src/member/holdings.ts';
import { MESSAGE_SIZES } from '../../../src/member/offered-parts.ts';
import { ManualClock } from '../../support/clock.ts';
import { segmentId } from '../../support/log/test-log.ts';

const TAKER = { nodeId: 'taker', incarnation: 1 } as Member;
const OTHER = { nodeId: 'other', incarnation: 1 } as Member;
const LINGER_MS = 1000;
const SEGMENTS = 10 * RELEASES_A_TICK;

const segmentOf = (counter: number): LogSegment =>
  ({ id: segmentId(counter), open: new Uint8Array(8), highestEpoch: 0 }) as unknown as LogSegment;

const holdingOf = (counter: number): Holding => {
  const name = segmentName(segmentId(counter));
  return { name, segment: segmentOf(counter), key: counter, finalCount: 0, bytes: 10, epoch: 0 };
};

const offerOf = ({ segment: { id } }: Holding): Pick<OutgoingPart, 'pieces' | 'size'> => {
  const pieces = encodeSegmentPart({ id, epoch: 1, open: undefined, runs: [] });
  return { pieces, size: sizeOf(pieces) };
};

/** A run of each segment, all in one piece of memory, as the log's reader has them. */
const recordsIn = (memories: Uint8Array[], count: number): readonly (readonly AppendRun[])[] => {
  const memory = new Uint8Array(16 * count);
  memories.push(memory);
  return Array.from({ length: count }, (_, index) => [
    {
      get payload(): Uint8Array {
        return memory.subarray(16 * index, 16 * (index + 1));
      },
    } as unknown as AppendRun,
  ]);
};

describe('the giving side on its node', () => {
  let clock: ManualClock;
  let walks: number;
  let released: string[];
  let kept: string[];
  let members: readonly Member[];
  let isAnswered: boolean;
  let handover: Handover;
  let peersSent: (parts: number) => void;
  let answerMs: number;
  let held: Holding[];
  /** Of each session: its records. */
  let memories: Uint8Array[];

  beforeEach(() => {
    peersSent = () => undefined;
    answerMs = 0;
    clock = new ManualClock();
    walks = 0;
    released = [];
    kept = [];
    memories = [];
    members = [TAKER];
    isAnswered = true;
    const all = Array.from({ length: SEGMENTS }, (_, index) => holdingOf(index + 1));
    held = all;
    const holdings = {
      // Something is on its way to the store all the time: the next walk is due at the next tick.
      walk: async (_isHere: unknown, _pace: unknown, sealed: (moves: readonly Holding[]) => void) => {
        walks += 1;
        if (walks === 1) sealed(all);
        return { moves: walks === 1 ? [] : all, stays: [], flushing: 1 };
      },
      find: (segment: LogSegment) => all.find((one) => one.segment === segment),
      release: ({ name }: Holding) => {
        released.push(name);
        const at = all.findIndex((one) => one.name === name);
        all.splice(at, 1);
      },
      keep: ({ name }: Holding) => kept.push(name),
    };
    const peers = {
      request: async (_to: unknown, _kind: unknown, body: readonly Uint8Array[]) => {
        if (!isAnswered) await new Promise(() => undefined);
        const { parts } = decodeAdoptRequest(Buffer.concat(body));
        peersSent(parts.length);
        if (answerMs > 0) await new Promise<void>((resolve) => clock.after(answerMs, resolve));
        return encodeAdoptReply({
          changedAt: 1,
          answers: parts.map(() => ({ type: 'adopted' as const, epoch: 1 })),
        });
      },
    };
    const ring = { owner: () => members[0] } as unknown as Ring;
    handover = new Handover({
      clock,
      peers: peers as unknown as Peers,
      log: {
        recordsOf: async (some: readonly LogSegment[]) => recordsIn(memories, some.length),
        find: (id: SegmentId) => held.find(({ segment }) => segmentName(segment.id) === segmentName(id))?.segment,
        takeCustody: async () => undefined,
      } as unknown as Log,
      holdings: holdings as unknown as Holdings,
      nodeId: 'giver',
      giver: {
        sessionBytes: 1e9,
        sessionSegmentsMax: 1e9,
        targetBytesMax: 1e9,
        targetsMax: 10,
        lingerMs: LINGER_MS,
        retryMs: 100,
      },
      view: () => ({ changedAt: 1, members }) as unknown as View,
      ring: () => ring,
      refusal: () => undefined,
      report: (problem, error) => expect.fail(`${problem}: ${error}`),
    });
  });
  afterEach(() => handover.stop());

  const turns = async (): Promise<void> => {
    for (let count = 0; count < 20; count += 1) await nextTurn();
  };

  const giveAll = async (): Promise<void> => {
    await handover.walk();
    for (let ms = 0; handover.figures.given < SEGMENTS && ms < 2000; ms += 50) {
      await turns();
      clock.advance(50);
    }
    expect(handover.figures.given).to.equal(SEGMENTS);
  };

  /** The most by which the count went up in a turn of the event loop, until it is there. */
  const mostInATurn = async (count: () => number, end: number): Promise<number> => {
    let most = count();
    for (let turn = 0, before = most; count() < end && turn < 1000; turn += 1) {
      await nextTurn();
      most = Math.max(most, count() - before);
      before = count();
    }
    expect(count()).to.equal(end);
    return most;
  };

  it('lets a node that has come do its first pushes before anything moves', async () => {
    const view = (): View => ({ changedAt: 1, members }) as unknown as View;
    handover.changed(view());
    await turns();
    expect(walks, 'nobody is new in the first view').to.equal(1);
    members = [TAKER, OTHER];
    handover.changed(view());
    for (let ms = 0; ms < 2_900; ms += 100) {
      clock.advance(100);
      await turns();
    }
    expect(walks).to.equal(1);
    for (let ms = 0; ms < 700; ms += 100) {
      clock.advance(100);
      await turns();
    }
    expect(walks).to.be.at.least(2);
    const soFar = walks;
    for (let incarnation = 2; incarnation < 12; incarnation += 1) {
      members = [TAKER, { nodeId: 'other', incarnation } as Member];
      handover.changed(view());
      await turns();
      clock.advance(1_000);
      await turns();
    }
    expect(walks - soFar, 'a node that starts again and again puts nothing off for ever').to.be.at.least(2);
    members = [TAKER];
    handover.changed(view());
    members = [TAKER, OTHER];
    handover.changed(view());
    const before = walks;
    handover.leaveWithin(10_000);
    await handover.walk();
    expect(walks, 'a node that leaves has no time').to.equal(before + 1);
  });

  it('gives evenly from when all is sealed, however long that took', async () => {
    let sent = 0;
    peersSent = () => {
      sent += 1;
    };
    answerMs = 10;
    handover.leaveWithin(10_000);
    clock.advance(5_000);
    await handover.walk();
    for (let ms = 0; ms < 100; ms += 10) {
      await turns();
      clock.advance(10);
    }
    expect(sent, 'messages in 100 ms').to.be.within(2, 4);
  });

  it('sends nothing more of a session once it gives up', async () => {
    const sent: number[] = [];
    peersSent = (count) => sent.push(count);
    answerMs = 10;
    await handover.walk();
    await turns();
    expect(sent).to.deep.equal([MESSAGE_SIZES.messagePartsMax]);
    await handover.giveUp();
    for (let ms = 0; ms < 5_000; ms += 50) {
      clock.advance(50);
      await turns();
    }
    expect(sent).to.deep.equal([MESSAGE_SIZES.messagePartsMax]);
    expect(handover.figures.waiting + handover.figures.sending).to.equal(0);
  });

  it('gives the memory of a session back once all of it was answered, and no sooner', async () => {
    answerMs = 10;
    const sizes = (): readonly number[] => memories.map(({ length }) => length);
    await handover.walk();
    await turns();
    expect(sizes()).to.deep.equal([16 * SEGMENTS]);
    while (handover.figures.given < SEGMENTS) {
      expect(sizes(), `${handover.figures.given} given`).to.deep.equal([16 * SEGMENTS]);
      clock.advance(10);
      await turns();
    }
    // A rest follows the last message, too.
    for (let ms = 0; ms < 1_000; ms += 10) {
      clock.advance(10);
      await turns();
    }
    expect(sizes()).to.deep.equal([0]);
  });

  it('sends again only what was not answered when a message of a session fails', async () => {
    const sent: number[] = [];
    peersSent = (count) => {
      sent.push(count);
      if (sent.length === 3) throw new PeerError('UNREACHABLE', 'lost');
    };
    await handover.walk();
    await turns();
    const { messagePartsMax } = MESSAGE_SIZES;
    expect(handover.figures.given).to.equal(2 * messagePartsMax);
    await giveAll();
    expect(sent.reduce((sum, count) => sum + count, 0)).to.equal(SEGMENTS + messagePartsMax);
  });

  it('does not send what has come back since its session began', async () => {
    answerMs = 10;
    let parts = 0;
    peersSent = (count) => {
      parts += count;
    };
    await handover.walk();
    await turns();
    expect(parts).to.equal(MESSAGE_SIZES.messagePartsMax);
    const [last] = held.slice(-1);
    // Offered by the one who has it now: a copy that comes back is taken at a higher epoch.
    const part = { epoch: 1, finalCount: 1, ...offerOf(last!) };
    await handover.adopt(Buffer.concat(encodeAdoptRequest({ changedAt: 1, parts: [part] })), TAKER);
    expect(kept).to.deep.equal([last!.name]);
    // The next walk would find it again.
    for (let ms = 0; ms < 450; ms += 10) {
      clock.advance(10);
      await turns();
    }
    expect(parts).to.equal(SEGMENTS - 1);
    expect(handover.figures).to.deep.include({ given: SEGMENTS - 1, sending: 0, waiting: 0 });
  });

  it('gives up in slices, and sends nothing more meanwhile', async () => {
    isAnswered = false;
    await handover.walk();
    void handover.giveUp();
    expect(await mostInATurn(() => kept.length, SEGMENTS)).to.be.at.most(250);
    expect(handover.figures.waiting + handover.figures.sending).to.equal(0);
  });

  it('takes back in slices what a node had that is gone', async () => {
    await giveAll();
    members = [OTHER];
    handover.changed({ changedAt: 2, members } as unknown as View);
    expect(await mostInATurn(() => SEGMENTS - handover.figures.given, SEGMENTS)).to.be.at.most(250);
    expect(released).to.deep.equal([]);
  });

  it('lets go of what lingered in small steps, and walks no more often meanwhile', async () => {
    await giveAll();
    let mostAtOnce = 0;
    const [startMs, walksBefore] = [clock.monotonicMs(), walks];
    while (released.length < SEGMENTS && clock.monotonicMs() < startMs + 5000) {
      const before = released.length;
      clock.advance(1);
      await turns();
      mostAtOnce = Math.max(mostAtOnce, released.length - before);
    }
    expect(released).to.have.length(SEGMENTS);
    expect(mostAtOnce).to.equal(RELEASES_A_TICK);
    expect(walks - walksBefore).to.be.at.most(1 + (clock.monotonicMs() - startMs) / 500);
  });
});
