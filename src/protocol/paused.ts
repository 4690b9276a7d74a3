import type { Clock } from './clock.ts';

/** Resolves after so long, or once the signal fires. */
export const paused = (clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) {
      resolve();
      return;
    }
    const done = () => {
      cancelTimer();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const cancelTimer = clock.after(delayMs, done);
    signal.addEventListener('abort', done, { once: true });
  });
