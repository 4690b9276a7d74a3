import { expect } from 'chai';
import { ByteRate } from '../../../src/copy/byte-rate.ts';
import { ManualClock } from '../../support/clock.ts';

describe('a rate of bytes', () => {
  const never = new AbortController().signal;

  it('gives the first their turn at once, and the others when those before them had their time', async () => {
    const clock = new ManualClock();
    const rate = new ByteRate(clock, 1000);
    const turns: number[] = [];
    await rate.turn(500, never);
    const waiting = [200, 10_000, 1].map(async (bytes) => {
      await rate.turn(bytes, never);
      turns.push(clock.monotonicMs());
    });
    const startMs = clock.monotonicMs();
    for (let ms = 0; ms < 11_000; ms += 100) {
      clock.advance(100);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(waiting);
    expect(turns.map((ms) => ms - startMs)).to.deep.equal([500, 700, 10_700]);
  });

  it('saves up nothing in a rest, and holds up nobody without a limit', async () => {
    const clock = new ManualClock();
    const rate = new ByteRate(clock, 1000);
    clock.advance(60_000);
    await rate.turn(1000, never);
    let isTurn = false;
    const second = rate.turn(1, never).then(() => {
      isTurn = true;
    });
    clock.advance(999);
    expect(isTurn).to.equal(false);
    clock.advance(1);
    await second;
    const free = new ByteRate(clock, Number.POSITIVE_INFINITY);
    for (let time = 0; time < 3; time++) await free.turn(1 << 30, never);
  });

  it('ends a wait with the reason of the signal', async () => {
    const rate = new ByteRate(new ManualClock(), 1);
    const ending = new AbortController();
    await rate.turn(1000, ending.signal);
    const waiting = rate.turn(1, ending.signal);
    const reason = new Error('enough');
    ending.abort(reason);
    const ended = await waiting.catch((error: unknown) => error);
    expect(ended).to.equal(reason);
  });
});
