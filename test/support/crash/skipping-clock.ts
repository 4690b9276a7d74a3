import type { Clock } from '../../../src/protocol/clock.ts';
import { systemClock } from '../../../src/system-clock.ts';

interface Timer {
  readonly atMs: number;
  readonly fire: () => void;
}

/** The system's clock, but for the time a test skips: what would have been due meanwhile is due at once. */
export class SkippingClock implements Clock {
  readonly #timers = new Set<Timer>();
  #skippedMs = 0;

  nowMs(): number {
    return systemClock.nowMs() + this.#skippedMs;
  }

  monotonicMs(): number {
    return systemClock.monotonicMs() + this.#skippedMs;
  }

  after(delayMs: number, callback: () => void): () => void {
    const fire = (): void => {
      cancel();
      callback();
    };
    const timer = { atMs: this.monotonicMs() + delayMs, fire };
    const cancelReal = systemClock.after(delayMs, fire);
    const cancel = (): void => {
      this.#timers.delete(timer);
      cancelReal();
    };
    this.#timers.add(timer);
    return cancel;
  }

  skip(ms: number): void {
    this.#skippedMs += ms;
    const nowMs = this.monotonicMs();
    const due = [...this.#timers].filter(({ atMs }) => atMs <= nowMs).sort((a, b) => a.atMs - b.atMs);
    for (const timer of due) if (this.#timers.has(timer)) timer.fire();
  }
}
