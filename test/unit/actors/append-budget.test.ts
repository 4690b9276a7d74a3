import { expect } from 'chai';
import { AppendBudget } from '../../../src/actors/append-budget.ts';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import { ManualClock } from '../../support/clock.ts';

const budgetOf = (clock: ManualClock, waitingMax = 2) =>
  new AppendBudget(clock, { bytesMax: 100, waitingMax, waitMsMax: 5000, retryAfterMs: 1000 });

const outcomesOf = (waits: readonly (Promise<void> | undefined)[]) => {
  const outcomes: string[] = waits.map(() => 'waits');
  for (const [index, wait] of waits.entries()) {
    wait?.then(
      () => (outcomes[index] = 'admitted'),
      (error: unknown) => (outcomes[index] = error instanceof RefusedError ? error.refusal.code : 'broken'),
    );
    if (!wait) outcomes[index] = 'at once';
  }
  return outcomes;
};

const settle = () => new Promise((resolve) => setImmediate(resolve));

describe('AppendBudget', () => {
  it('admits at once while there is room', () => {
    const budget = budgetOf(new ManualClock());
    expect(budget.acquire(60)).to.equal(undefined);
    expect(budget.acquire(40)).to.equal(undefined);
    expect(budget.bytes).to.equal(100);
  });

  it('makes later ones wait, and admits them in order as bytes are released', async () => {
    const clock = new ManualClock();
    const budget = budgetOf(clock);
    void budget.acquire(100);
    const outcomes = outcomesOf([budget.acquire(70), budget.acquire(20)]);
    budget.release(50);
    await settle();
    expect(outcomes, 'the small one does not overtake').to.deep.equal(['waits', 'waits']);
    budget.release(50);
    await settle();
    expect(outcomes).to.deep.equal(['admitted', 'admitted']);
    expect(budget.bytes).to.equal(90);
    expect(clock.timers).to.equal(0);
  });

  it('refuses OVERLOADED when too many wait', async () => {
    const budget = budgetOf(new ManualClock(), 1);
    void budget.acquire(100);
    const outcomes = outcomesOf([budget.acquire(1), budget.acquire(1)]);
    await settle();
    expect(outcomes).to.deep.equal(['waits', 'OVERLOADED']);
  });

  it('refuses OVERLOADED, with when to come back, after the longest wait', async () => {
    const clock = new ManualClock();
    const budget = budgetOf(clock);
    void budget.acquire(100);
    const refused = budget.acquire(1)?.catch((error: unknown) => error);
    clock.advance(5000);
    const error = await refused;
    expect(error).to.be.instanceOf(RefusedError);
    expect((error as RefusedError).refusal).to.deep.include({ code: 'OVERLOADED', retryAfterMs: 1000 });
    expect(budget.waiting).to.equal(0);
    expect(budget.bytes, 'what never came in is not counted').to.equal(100);
  });

  it('lets in what is larger than the whole budget once nothing else is in flight', async () => {
    const budget = budgetOf(new ManualClock());
    void budget.acquire(1);
    const outcomes = outcomesOf([budget.acquire(1000)]);
    budget.release(1);
    await settle();
    expect(outcomes).to.deep.equal(['admitted']);
  });

  it('counts heads that wait for a cut worker, so that pushes wait for them', async () => {
    const budget = budgetOf(new ManualClock());
    budget.hold(500);
    const outcomes = outcomesOf([budget.acquire(10)]);
    budget.release(450);
    await settle();
    expect(outcomes).to.deep.equal(['admitted']);
  });

  it('keeps nobody waiting who has gone elsewhere by then', async () => {
    const clock = new ManualClock();
    const budget = budgetOf(clock);
    void budget.acquire(100);
    const outcomes = outcomesOf([budget.acquire(1, 2000), budget.acquire(1, 60_000)]);
    clock.advance(2000);
    await settle();
    expect(outcomes).to.deep.equal(['OVERLOADED', 'waits']);
    clock.advance(3000);
    await settle();
    expect(outcomes).to.deep.equal(['OVERLOADED', 'OVERLOADED']);
    budget.release(100);
    expect(budget.bytes).to.equal(0);
  });
});
