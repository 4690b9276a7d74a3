import type { Clock } from '../protocol/clock.ts';
import { TokenBucket } from '../protocol/rate-limiter.ts';

/** So many chunks a second at the most: what compaction asks of stores and threads that others need. */
export class ChunkRate {
  readonly #clock: Clock;
  readonly #perSecond: number;
  readonly #bucket: TokenBucket;
  readonly #signal: AbortSignal;

  constructor(clock: Clock, perSecond: number, signal: AbortSignal) {
    this.#clock = clock;
    this.#perSecond = perSecond;
    this.#signal = signal;
    this.#bucket = new TokenBucket(perSecond, clock.monotonicMs());
  }

  /** Waits for the turn of one chunk. @throws what the signal was aborted with */
  async take(): Promise<void> {
    while (!this.#bucket.take(1, this.#perSecond, this.#perSecond, this.#clock.monotonicMs())) {
      await this.pause(this.#bucket.waitMs(1, this.#perSecond, this.#perSecond));
    }
    this.#signal.throwIfAborted();
  }

  /** @throws what the signal was aborted with */
  async pause(delayMs: number): Promise<void> {
    this.#signal.throwIfAborted();
    if (delayMs <= 0) return;
    await new Promise<void>((resolve, reject) => {
      const stopped = (): void => {
        cancel();
        reject(this.#signal.reason);
      };
      const cancel = this.#clock.after(delayMs, () => {
        this.#signal.removeEventListener('abort', stopped);
        resolve();
      });
      this.#signal.addEventListener('abort', stopped, { once: true });
    });
  }
}
