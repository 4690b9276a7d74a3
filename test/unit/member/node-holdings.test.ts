import { expect } from 'chai';
import type { LocalNode } from '../../../src/actors/local-node.ts';
import type { OfferedSegment, StreamMoves } from '../../../src/actors/stream-moves.ts';
import type { UnflushedStream } from '../../../src/actors/unflushed-streams.ts';
import type { LogSegment } from '../../../src/log/segment-table.ts';
import type { Holding } from '../../../src/member/holdings.ts';
import { NodeHoldings } from '../../../src/member/node-holdings.ts';
import { Pace } from '../../../src/member/pace.ts';
import type { LabelSet } from '../../../src/protocol/label-set.ts';
import { labelSetOf } from '../../../src/protocol/label-text.ts';
import { ManualClock } from '../../support/clock.ts';

const STREAMS = 700;
const SEAL_MS = 10;

describe('NodeHoldings', () => {
  it('seals some streams at a time, and tells of hundreds while those behind them are not sealed', async () => {
    const clock = new ManualClock();
    let sealed = 0;
    const groups: number[] = [];
    const holdings = new NodeHoldings(
      nodeWith(STREAMS),
      movesThat(() => {
        if (sealed % 64 === 0) clock.advance(SEAL_MS);
        sealed += 1;
        return sealed;
      }),
      () => undefined,
      clock,
      fail,
    );
    const told = (moves: readonly Holding[]): void => void groups.push(moves.length);
    const walk = holdings.walk(() => false, new Pace(clock, () => false), told);

    for (let group = 1; group < 8; group += 1) {
      await settled();
      expect({ groups, sealed }).to.deep.equal({ groups: [], sealed: 64 * group });
      clock.advance(2 * SEAL_MS);
    }
    await settled();
    expect({ groups, sealed }).to.deep.equal({ groups: [512], sealed: 512 });
    for (let group = 0; group < 3; group += 1) {
      clock.advance(2 * SEAL_MS);
      await settled();
    }
    const { moves } = await walk;
    expect(groups).to.deep.equal([512, 188]);
    expect(moves).to.have.lengthOf(STREAMS);
  });

  it('seals them in the order of their oldest segments, as they lie in the log', async () => {
    const streams = 40_000;
    // Coprime: each number once, far from its neighbours.
    const numberOf = (index: number): number => (index * 17_011) % streams;
    const asked: number[] = [];
    const holdings = new NodeHoldings(
      nodeWith(streams, numberOf),
      movesThat(
        () => asked.length,
        (labels) => void asked.push(numberOf(Number(labels.pairs[1]?.slice('app-'.length)))),
      ),
      () => undefined,
      new ManualClock(),
      fail,
    );
    await holdings.walk(
      () => false,
      new Pace(new ManualClock(), () => true),
      () => undefined,
    );
    expect([...asked].sort((left, right) => left - right)).to.deep.equal(Array.from({ length: streams }, (_, i) => i));
    const isInOrder = asked.map((number, index) => index % (1 << 14) === 0 || number > (asked[index - 1] as number));
    expect(isInOrder.every(Boolean)).to.equal(true);
  });
});

const nodeWith = (streams: number, numberOf = (index: number): number => index): LocalNode => {
  const forEachUnflushed = (visit: (stream: UnflushedStream) => void): Promise<void> => {
    for (let index = 0; index < streams; index += 1) {
      const labels = labelSetOf(['app', `app-${index}`]);
      visit({ tenant: 'tenant', labels, isMovable: true, flushing: 0, moving: 0, oldestSegment: numberOf(index) });
    }
    return Promise.resolve();
  };
  return { forEachUnflushed } as unknown as LocalNode;
};

/** One segment a stream. */
const movesThat = (next: () => number, asked: (labels: LabelSet) => void = () => undefined): StreamMoves => {
  const moveOut = (_tenant: string, labels: LabelSet): Promise<readonly OfferedSegment[]> => {
    asked(labels);
    const id = { nodeId: '00', incarnation: 1, counter: next() };
    const log = { id, bytes: 100, highestEpoch: 0 } as LogSegment;
    return Promise.resolve([{ log, finalCount: 1 } as OfferedSegment]);
  };
  return { moveOut } as unknown as StreamMoves;
};

const fail = (problem: string, error: unknown): never => {
  throw new Error(problem, { cause: error });
};

const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));
