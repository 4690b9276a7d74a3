import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect } from 'chai';
import { TurnBudget } from '../../../src/protocol/turn-budget.ts';
import { inSlices } from '../../../src/storage/slices.ts';
import { ManualClock } from '../../support/clock.ts';

/** Counts turns of the event loop until stopped. */
const countTurns = (): { readonly turns: number; stop(): void } => {
  const counter = { turns: 0, isRunning: true, stop: () => {} };
  counter.stop = () => {
    counter.isRunning = false;
  };
  const next = (): void => {
    counter.turns += 1;
    if (counter.isRunning) setImmediate(next);
  };
  setImmediate(next);
  return counter;
};

describe('the turn budget', () => {
  it('lets work go on within a slice and waits for the next turn after it', async () => {
    const clock = new ManualClock();
    const budget = new TurnBudget(clock, 1);
    const counter = countTurns();
    for (let piece = 0; piece < 1_000; piece++) {
      while (!budget.hasTime()) await budget.nextTurn();
      clock.advance(0.1);
    }
    counter.stop();
    expect(counter.turns).to.be.within(95, 105);
  });

  it('is one for all who take part: a turn is exceeded by one piece at most', async () => {
    const clock = new ManualClock();
    const budget = new TurnBudget(clock, 1);
    let [pieces, piecesMax, left] = [0, 0, 16];
    const worker = async (): Promise<void> => {
      for (let piece = 0; piece < 50; piece++) {
        while (!budget.hasTime()) await budget.nextTurn();
        pieces += 1;
        clock.advance(0.6);
      }
      left -= 1;
    };
    const working = Promise.all(Array.from({ length: 16 }, worker));
    while (left > 0) {
      pieces = 0;
      await nextTurn();
      piecesMax = Math.max(piecesMax, pieces);
    }
    await working;
    expect(piecesMax).to.be.within(1, 2);
  });
});

describe('slices', () => {
  it('hold every item once, in order, and each but the first comes in a turn of its own', async () => {
    const items = Array.from({ length: 10_500 }, (_, index) => index);
    const counter = countTurns();
    const found: number[] = [];
    let sliceCount = 0;
    for await (const slice of inSlices(items)) {
      found.push(...slice);
      sliceCount += 1;
    }
    counter.stop();
    expect(found).to.deep.equal(items);
    expect(sliceCount).to.be.greaterThan(5);
    expect(counter.turns).to.be.at.least(sliceCount - 1);
  });

  it('of nothing are none', async () => {
    for await (const slice of inSlices([])) expect.fail(`${slice.length}`);
  });
});
