import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect } from 'chai';
import { AppendBudget } from '../../../src/actors/append-budget.ts';
import { Cutter } from '../../../src/actors/cutter.ts';
import type { HeldSegment, StreamCell } from '../../../src/actors/stream-cell.ts';
import type { HeadCut } from '../../../src/chunk/segment.ts';
import { ManualClock } from '../../support/clock.ts';

const BUDGET = { bytesMax: 1000, waitingMax: 1, waitMsMax: 1, retryAfterMs: 1 };
const cell = {} as StreamCell;
const held = { version: 3 } as HeldSegment;
const cut = { number: 0, head: { region: { size: 10 } } } as HeadCut;

describe('the cutter', () => {
  let failures: ((error: Error) => void)[] = [];
  let told: string[] = [];
  let cutter: Cutter;

  beforeEach(() => {
    failures = [];
    told = [];
    const clock = new ManualClock();
    cutter = new Cutter({
      clock,
      run: () => new Promise((_, reject) => failures.push(reject)),
      concurrencyMax: 1,
      encoding: 'gzip',
      level: 6,
      budget: new AppendBudget(clock, BUDGET),
      tell: (_, { type }) => told.push(type),
      report: (problem) => told.push(problem),
    });
    cutter.cut(cell, held, cut);
    cutter.cut(cell, held, cut);
  });

  const failAll = async (): Promise<void> => {
    for (const fail of failures.splice(0)) fail(new Error('the work was cancelled'));
    await nextTurn();
  };

  it('says what failed, and goes on with the next', async () => {
    await failAll();
    expect(told).to.deep.equal(['a block could not be cut', 'cut-failed']);
    expect(failures).to.have.lengthOf(1);
  });

  it('says nothing of what was cancelled because it was stopped, and begins nothing', async () => {
    cutter.stop();
    await failAll();
    expect(told).to.deep.equal([]);
    expect([cutter.pending, failures.length]).to.deep.equal([0, 0]);
  });
});
