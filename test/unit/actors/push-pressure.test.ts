import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect } from 'chai';
import { PushPressure } from '../../../src/actors/push-pressure.ts';
import { ManualClock } from '../../support/clock.ts';

describe('the pressure of pushes', () => {
  let clock: ManualClock;
  let pressure: PushPressure;

  beforeEach(() => {
    clock = new ManualClock();
    pressure = new PushPressure(clock);
  });

  /** Pushes while each turn of the event loop takes so long. */
  const pushInTurnsOf = async (ms: number, count: number): Promise<void> => {
    for (let done = 0; done < count; done += 1) {
      pressure.pushed();
      await nextTurn();
      clock.advance(ms);
      await nextTurn();
    }
  };

  it('is high while pushes go through long turns, and a second longer', async () => {
    await pushInTurnsOf(2, 50);
    expect(pressure.isHigh).to.equal(false);
    await pushInTurnsOf(20, 50);
    expect(pressure.isHigh).to.equal(true);
    await pushInTurnsOf(1, 500);
    expect(pressure.isHigh).to.equal(true);
    await pushInTurnsOf(1, 1_000);
    expect(pressure.isHigh).to.equal(false);
  });

  it('is not high for one long turn', async () => {
    await pushInTurnsOf(1, 50);
    await pushInTurnsOf(20, 1);
    expect(pressure.isHigh).to.equal(false);
  });

  it('is not high for a pause now and then, as of garbage collection, but for two long turns in a row', async () => {
    for (let second = 0; second < 5; second += 1) {
      await pushInTurnsOf(1, 50);
      await pushInTurnsOf(100, 1);
      expect(pressure.isHigh).to.equal(false);
    }
    await pushInTurnsOf(100, 1);
    expect(pressure.isHigh).to.equal(true);
  });

  it('is over when no pushes come', async () => {
    await pushInTurnsOf(20, 50);
    clock.advance(1_000);
    expect(pressure.isHigh).to.equal(false);
  });
});
