import type { Clock } from './protocol/clock.ts';

/** The machine's clocks. Timers do not keep the process alive: what must be awaited holds a socket or a promise of its own. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};
