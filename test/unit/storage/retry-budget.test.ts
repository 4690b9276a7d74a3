import { expect } from 'chai';
import { RetryBudget, type RetryRule } from '../../../src/storage/retry-budget.ts';
import { ManualClock } from '../../support/clock.ts';

const RULE: RetryRule = { triesMax: 5, firstMs: 100, lastMs: 300, shareMin: 0.5 };

describe('a budget of retries', () => {
  let clock: ManualClock;
  let drawn: number;

  beforeEach(() => {
    clock = new ManualClock(0);
    drawn = 0;
  });

  const budgetOf = (timeoutMs: number, rule: Partial<RetryRule> = {}): RetryBudget =>
    new RetryBudget({ clock, chance: () => drawn }, timeoutMs, { ...RULE, ...rule });

  const settled = async (): Promise<void> => {
    for (let turn = 0; turn < 10; turn++) await Promise.resolve();
  };

  /** How long it waits; undefined if there is no other try. */
  const pauseOf = async (budget: RetryBudget, signal?: AbortSignal): Promise<number | undefined> => {
    const startMs = clock.monotonicMs();
    let answer: boolean | undefined;
    const waiting = budget.wait(signal).then((isAnother) => {
      answer = isAnother;
    });
    await settled();
    while (answer === undefined) {
      clock.advance(1);
      await settled();
    }
    await waiting;
    return answer ? clock.monotonicMs() - startMs : undefined;
  };

  it('waits longer each time, up to a bound, for so many tries', async () => {
    const budget = budgetOf(10_000, { shareMin: 1 });
    const pauses = [];
    for (let time = 0; time < 5; time++) pauses.push(await pauseOf(budget));
    expect(pauses).to.deep.equal([100, 200, 300, 300, undefined]);
  });

  it('tells of each try but the first', async () => {
    let retries = 0;
    const budget = new RetryBudget({ clock, chance: () => 0, retried: () => retries++ }, 10_000, RULE);
    for (let time = 0; time < 5; time++) await pauseOf(budget);
    expect(retries).to.equal(RULE.triesMax - 1);
  });

  it('draws a pause between a share of its bound and the whole', async () => {
    expect(await pauseOf(budgetOf(1_000))).to.equal(50);
    drawn = 0.5;
    expect(await pauseOf(budgetOf(1_000))).to.equal(75);
    expect(await pauseOf(budgetOf(1_000, { shareMin: 0 }))).to.equal(50);
  });

  it('begins no pause that ends after its time', async () => {
    const budget = budgetOf(200, { shareMin: 1 });
    expect(await pauseOf(budget)).to.equal(100);
    expect(budget.leftMs).to.equal(100);
    expect(await pauseOf(budget)).to.equal(undefined);
    clock.advance(500);
    expect(budget.leftMs).to.equal(0);
  });

  it('has all its tries again once something came through, within the same time', async () => {
    const budget = budgetOf(450, { triesMax: 2, shareMin: 1 });
    expect(await pauseOf(budget)).to.equal(100);
    expect(await pauseOf(budget)).to.equal(undefined);
    budget.progressed();
    expect(await pauseOf(budget)).to.equal(100);
    clock.advance(200);
    budget.progressed();
    expect(await pauseOf(budget)).to.equal(undefined);
  });

  it('ends a pause with its signal, and leaves no timer behind', async () => {
    const ending = new AbortController();
    const budget = budgetOf(1_000);
    const waiting = budget.wait(ending.signal);
    ending.abort();
    expect(await waiting).to.equal(false);
    expect(await budget.wait(ending.signal)).to.equal(false);
  });
});
