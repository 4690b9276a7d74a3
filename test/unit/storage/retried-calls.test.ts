import { expect } from 'chai';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import { CallError, type CallLimits, RetriedCalls } from '../../../src/storage/retried-calls.ts';
import { ManualClock } from '../../support/clock.ts';

const LIMITS: CallLimits = {
  runningMax: 2,
  waitingMax: 3,
  attemptMs: 1000,
  totalMs: 10_000,
  retries: { triesMax: 5, firstMs: 200, lastMs: 1000, shareMin: 0 },
};

/** Lets promises that are settled go on. */
const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
};

const textOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    (answer) => String(answer),
    (error: unknown) => (error instanceof RefusedError ? `${error.refusal.code}: ${error.message}` : `threw ${error}`),
  );

describe('retried calls', () => {
  let clock: ManualClock;

  beforeEach(() => {
    clock = new ManualClock();
  });

  const callsWith = (limits: Partial<CallLimits> = {}, chance = 0.5): RetriedCalls =>
    new RetriedCalls({ ...LIMITS, ...limits }, { clock, chance: () => chance });

  const busy = (): never => {
    throw new CallError('busy', true, 503);
  };

  it('pause longer each time, up to a bound, by chance', async () => {
    const startsMs: number[] = [];
    const call = textOf(
      callsWith().run('ask', async () => {
        startsMs.push(clock.monotonicMs());
        return busy();
      }),
    );
    for (let ms = 0; ms < 2000; ms += 10) {
      await settled();
      clock.advance(10);
    }
    expect(await call).to.equal('STORAGE_UNAVAILABLE: cannot ask: busy (5 attempts)');
    expect(startsMs.map((ms, index) => ms - (startsMs[index - 1] ?? 0))).to.deep.equal([0, 100, 200, 400, 500]);
  });

  it('end an attempt that is not answered, tell it so, and try again', async () => {
    const signals: AbortSignal[] = [];
    const call = textOf(
      callsWith({}, 0).run('ask', ({ signal, isRepeated }) => {
        signals.push(signal);
        return isRepeated ? Promise.resolve('late') : new Promise(() => undefined);
      }),
    );
    await settled();
    clock.advance(999);
    await settled();
    expect(signals.map(({ aborted }) => aborted)).to.deep.equal([false]);
    clock.advance(1);
    await settled();
    clock.advance(0);
    expect(await call).to.equal('late');
    expect(signals.map(({ aborted }) => aborted)).to.deep.equal([true, false]);
  });

  it('end at the deadline of all of it, in an attempt, in a pause, in the queue', async () => {
    const calls = callsWith({ totalMs: 500, runningMax: 2 });
    const never = (): Promise<never> => new Promise(() => undefined);
    const inAttempt = textOf(calls.run('ask', never));
    const inPause = textOf(
      callsWith({ totalMs: 500, retries: { triesMax: 5, firstMs: 400, lastMs: 400, shareMin: 1 } }).run(
        'ask',
        async () => busy(),
      ),
    );
    void textOf(calls.run('ask', never));
    const inQueue = textOf(calls.run('ask', never));
    await settled();
    clock.advance(500);
    expect(await inAttempt).to.equal('STORAGE_UNAVAILABLE: cannot ask: no answer within 500 ms');
    expect(await inPause).to.equal('STORAGE_UNAVAILABLE: cannot ask: busy');
    expect(await inQueue).to.equal('STORAGE_UNAVAILABLE: cannot ask: no answer within 500 ms');
    expect(clock.timers, 'no timer is left').to.equal(0);
  });

  it('let through what is not theirs to judge, at the first attempt', async () => {
    let attempts = 0;
    const failing = (error: Error) =>
      textOf(
        callsWith().run('ask', async () => {
          attempts += 1;
          throw error;
        }),
      );
    expect(await failing(new TypeError('a mistake'))).to.equal('threw TypeError: a mistake');
    expect(await failing(new CallError('403 no', false, 403))).to.equal('STORAGE_UNAVAILABLE: cannot ask: 403 no');
    expect(attempts).to.equal(2);
  });

  it('serve those that wait in their order, and refuse more', async () => {
    const calls = callsWith();
    const started: number[] = [];
    const ends: (() => void)[] = [];
    const outcomes = [0, 1, 2, 3, 4, 5].map((index) =>
      textOf(
        calls.run('ask', () => {
          started.push(index);
          return new Promise((resolve) => ends.push(() => resolve(index)));
        }),
      ),
    );
    await settled();
    expect(await outcomes[5]).to.match(/^OVERLOADED: too many calls wait/);
    expect(started).to.deep.equal([0, 1]);
    for (let index = 0; index < 5; index++) {
      ends[index]?.();
      await settled();
    }
    expect(await Promise.all(outcomes.slice(0, 5))).to.deep.equal(['0', '1', '2', '3', '4']);
    expect(started).to.deep.equal([0, 1, 2, 3, 4]);
  });

  it('keep their places while they pause: trouble brings no more requests', async () => {
    const calls = callsWith({ runningMax: 1 });
    let requests = 0;
    const ask = () =>
      textOf(
        calls.run('ask', async () => {
          requests += 1;
          return busy();
        }),
      );
    void ask();
    void ask();
    await settled();
    expect(requests).to.equal(1);
    await calls.close(true);
  });

  it('refuse what waits and what comes once closed, and wait for what is under way', async () => {
    const calls = callsWith({ runningMax: 1 });
    let end: (text: string) => void = () => undefined;
    const underWay = textOf(
      calls.run('ask', () => {
        return new Promise<string>((resolve) => {
          end = resolve;
        });
      }),
    );
    const waiting = textOf(calls.run('ask', async () => 'too late'));
    await settled();
    const closing = calls.close(false);
    expect(await waiting).to.equal('STORAGE_UNAVAILABLE: cannot ask: the chunk store is closed');
    expect(await textOf(calls.run('ask', async () => 'too late'))).to.match(/closed$/);
    end('done');
    await closing;
    expect(await underWay).to.equal('done');
    expect(clock.timers).to.equal(0);
  });
});
