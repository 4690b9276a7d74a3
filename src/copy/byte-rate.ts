import type { Clock } from '../protocol/clock.ts';

/** Spreads bytes over time. */
export class ByteRate {
  readonly #clock: Clock;
  readonly #bytesPerMs: number;
  #freeMs = 0;

  /** @param bytesPerSecond Infinity: no limit */
  constructor(clock: Clock, bytesPerSecond: number) {
    this.#clock = clock;
    this.#bytesPerMs = bytesPerSecond / 1000;
  }

  /** Resolves when it is these bytes' turn, at once after a rest. Rejects with the signal's reason if that comes first. */
  async turn(bytes: number, signal: AbortSignal): Promise<void> {
    const nowMs = this.#clock.monotonicMs();
    const startMs = Math.max(nowMs, this.#freeMs);
    this.#freeMs = startMs + bytes / this.#bytesPerMs;
    if (startMs <= nowMs) return;
    signal.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const end = (): void => {
        cancel();
        reject(signal.reason);
      };
      const cancel = this.#clock.after(startMs - nowMs, () => {
        signal.removeEventListener('abort', end);
        resolve();
      });
      signal.addEventListener('abort', end, { once: true });
    });
  }
}
