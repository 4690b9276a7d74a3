import { expect } from 'chai';
import { ask, gather, settled } from '../../../src/actors/ask.ts';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import { ManualClock } from '../../support/clock.ts';

const refusalOf = async (promise: Promise<unknown>) => {
  try {
    await promise;
  } catch (error) {
    if (error instanceof RefusedError) return error.refusal;
    throw error;
  }
  throw new Error('was not refused');
};

describe('ask', () => {
  it('resolves to the answer and leaves no timer behind', async () => {
    const clock = new ManualClock();
    expect(await ask<number>(clock, 1000, (reply) => reply(7))).to.equal(7);
    expect(clock.timers).to.equal(0);
  });

  it('refuses DEADLINE_EXCEEDED when nobody answers', async () => {
    const clock = new ManualClock();
    const answer = ask(clock, 1000, () => undefined);
    clock.advance(1000);
    expect((await refusalOf(answer)).code).to.equal('DEADLINE_EXCEEDED');
  });
});

describe('gather', () => {
  it('resolves to all answers in order of arrival, once the last is there', async () => {
    const clock = new ManualClock();
    let reply: (answer: string) => void = () => undefined;
    const answers = gather<string>(clock, 1000, 2, (given) => {
      reply = given;
    });
    reply('second asked, first to answer');
    reply('the other');
    expect(await answers).to.deep.equal(['second asked, first to answer', 'the other']);
  });

  it('resolves at once when nothing is asked', async () => {
    expect(await gather(new ManualClock(), 1000, 0, () => undefined)).to.deep.equal([]);
  });

  it('says how many answers were missing at the deadline, and ignores those that come later', async () => {
    const clock = new ManualClock();
    let reply: (answer: number) => void = () => undefined;
    const answers = gather<number>(clock, 50, 3, (given) => {
      reply = given;
    });
    reply(1);
    clock.advance(50);
    reply(2);
    reply(3);
    expect((await refusalOf(answers)).text).to.equal('2 of 3 answers did not come within 50 ms');
  });
});

describe('settled', () => {
  it('waits for all parts before it tells of one that failed', async () => {
    let finish: (answer: number) => void = () => undefined;
    const slow = new Promise<number>((resolve) => {
      finish = resolve;
    });
    let outcome = 'waits';
    const all = settled([Promise.reject(new Error('failed')), slow]).catch((error: Error) => {
      outcome = error.message;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(outcome).to.equal('waits');
    finish(1);
    await all;
    expect(outcome).to.equal('failed');
  });

  it('tells of what was not answered before anything else: it may still run', async () => {
    const late = new RefusedError({ code: 'DEADLINE_EXCEEDED', text: 'late' });
    const refused = new RefusedError({ code: 'OVERLOADED', text: 'no', retryAfterMs: 1 });
    expect(await refusalOf(settled([Promise.reject(refused), Promise.reject(late)]))).to.equal(late.refusal);
  });

  it('gives the answers in the order of the parts', async () => {
    expect(await settled([Promise.resolve(1), Promise.resolve(2)])).to.deep.equal([1, 2]);
  });
});
