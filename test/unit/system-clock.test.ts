import { expect } from 'chai';
import sinon from 'sinon';
import { systemClock } from '../../src/system-clock.ts';

describe('the system clock', () => {
  let timers: sinon.SinonFakeTimers;

  beforeEach(() => {
    timers = sinon.useFakeTimers({
      now: 1_700_000_000_000,
      toFake: ['setTimeout', 'clearTimeout', 'Date', 'performance'],
    });
  });
  afterEach(() => timers.restore());

  it('tells wall time, and time that a set wall clock does not move', () => {
    const [wallMs, monotonicMs] = [systemClock.nowMs(), systemClock.monotonicMs()];
    timers.tick(250);
    expect([systemClock.nowMs() - wallMs, systemClock.monotonicMs() - monotonicMs]).to.deep.equal([250, 250]);
    timers.setSystemTime(0);
    expect([systemClock.nowMs(), systemClock.monotonicMs() - monotonicMs]).to.deep.equal([0, 250]);
  });

  it('calls back once, when the delay is over', () => {
    const callback = sinon.spy();
    systemClock.after(100, callback);
    timers.tick(99);
    expect(callback.callCount).to.equal(0);
    timers.tick(1000);
    expect(callback.callCount).to.equal(1);
  });

  it('does not call back when cancelled, however often', () => {
    const callback = sinon.spy();
    const cancel = systemClock.after(100, callback);
    cancel();
    cancel();
    timers.tick(1000);
    expect(callback.callCount).to.equal(0);
    expect(timers.countTimers()).to.equal(0);
  });

  it('does not keep the process alive', () => {
    timers.restore();
    const started = sinon.spy(globalThis, 'setTimeout');
    try {
      systemClock.after(60_000, () => undefined)();
      expect(started.firstCall.returnValue.hasRef()).to.equal(false);
    } finally {
      started.restore();
    }
  });
});
