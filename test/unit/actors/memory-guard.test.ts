import { expect } from 'chai';
import { MemoryGuard } from '../../../src/actors/memory-guard.ts';
import type { StreamCell } from '../../../src/actors/stream-cell.ts';
import { ManualClock } from '../../support/clock.ts';

const BYTES_MAX = 1000;

/** What the guard looks at of a stream. */
const cellOf = (openBytes: number): StreamCell =>
  ({
    countedBytes: 0,
    countedOpenBytes: 0,
    isReliefAsked: false,
    askedBytes: 0,
    unflushedBytes: openBytes,
    open: { segment: { memoryBytes: openBytes } },
    segments: [],
  }) as unknown as StreamCell;

const become = (cell: StreamCell, bytes: number): void => {
  Object.assign(cell, { unflushedBytes: bytes, open: { segment: { memoryBytes: bytes } } });
};

const setUp = (cells: readonly StreamCell[], canSpill = false) => {
  const told: StreamCell[] = [];
  let passes = 0;
  const directory = {
    size: cells.length,
    forEach: async (visit: (cell: StreamCell) => void): Promise<void> => {
      passes += 1;
      for (const cell of cells) visit(cell);
    },
  };
  const clock = new ManualClock();
  const guard = new MemoryGuard({
    clock,
    directory: directory as never,
    tell: (cell) => told.push(cell),
    report: (problem, error) => {
      throw new Error(problem, { cause: error });
    },
    bytesMax: BYTES_MAX,
    canSpill,
  });
  return { guard, told, clock, passes: () => passes };
};

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('the memory guard', () => {
  it('tells a stream once, however often others change before it has looked', async () => {
    const cells = Array.from({ length: 8 }, () => cellOf(100));
    const { guard, told, passes } = setUp(cells);
    for (const cell of cells) guard.update(cell);
    await turn();
    expect(told).to.deep.equal(cells.slice(0, 3));
    for (let round = 0; round < 100; round += 1) {
      for (const cell of cells) guard.update(cell);
      await turn();
    }
    expect(told).to.have.lengthOf(3);
    expect(passes()).to.equal(1);
  });

  it('counts what it asked for until the stream has looked, whatever came of it', async () => {
    const cells = Array.from({ length: 8 }, () => cellOf(100));
    const { guard, told } = setUp(cells);
    for (const cell of cells) guard.update(cell);
    await turn();
    // One let go, one could not.
    for (const cell of cells.slice(0, 2)) cell.isReliefAsked = false;
    become(cells[0]!, 0);
    guard.update(cells[0]!);
    guard.update(cells[1]!);
    expect(guard.bytes).to.equal(700);
    await turn();
    expect(told, '600 bytes without what is asked for').to.have.lengthOf(3);
    become(cells[7]!, 300);
    guard.update(cells[7]!);
    await turn();
    expect(told.slice(3), 'the largest now').to.deep.equal([cells[7]]);
  });

  it('does not look through all streams again for each message when there is nothing to let go of', async () => {
    const cells = Array.from({ length: 8 }, () => cellOf(0));
    for (const cell of cells) Object.assign(cell, { unflushedBytes: 100 });
    const { guard, told, clock, passes } = setUp(cells, true);
    for (let round = 0; round < 100; round += 1) {
      for (const cell of cells) guard.update(cell);
      await turn();
    }
    expect(told).to.deep.equal([]);
    expect(passes()).to.equal(1);
    clock.advance(1000);
    guard.update(cells[0]!);
    await turn();
    expect(passes(), 'something may have changed').to.equal(2);
  });

  it('looks again when a push is refused, though no stream changes', async () => {
    const cells = Array.from({ length: 8 }, () => cellOf(0));
    for (const cell of cells) Object.assign(cell, { unflushedBytes: 200 });
    const { guard, told, clock } = setUp(cells, true);
    for (const cell of cells) guard.update(cell);
    await turn();
    expect(told).to.deep.equal([]);
    const held = { isFlushing: true, isSpilled: false, log: { count: 1, accepted: 1, isRefused: false } };
    for (const cell of cells) Object.assign(cell, { segments: [{ ...held, segment: { memoryBytes: 200 } }] });
    clock.advance(1000);
    expect(guard.isFull).to.equal(true);
    await turn();
    expect(told.length).to.be.greaterThan(0);
  });
});
