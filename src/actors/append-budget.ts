import type { Clock } from '../protocol/clock.ts';
import { RefusedError } from '../protocol/refusal.ts';
import { PushPressure } from './push-pressure.ts';

export interface AppendBudgetOptions {
  /** Bytes that may be on their way into streams: pushes being appended and heads waiting for a cut worker. */
  readonly bytesMax: number;
  /** Pushes that may wait for room. */
  readonly waitingMax: number;
  /** How long one may wait. */
  readonly waitMsMax: number;
  /** What a refused client is told to wait. */
  readonly retryAfterMs: number;
}

interface Waiting {
  readonly bytes: number;
  readonly admit: () => void;
}

/**
 * Bytes in flight between the edge and the compressed blocks. Actor mailboxes have no bound of their own, so this is what keeps memory
 * bounded when appends come faster than they are handled or cut. First come, first served.
 */
export class AppendBudget {
  readonly pressure: PushPressure;
  readonly #clock: Clock;
  readonly #options: AppendBudgetOptions;
  readonly #waiting: Set<Waiting> = new Set();
  #bytes = 0;

  constructor(clock: Clock, options: AppendBudgetOptions) {
    this.#clock = clock;
    this.#options = options;
    this.pressure = new PushPressure(clock);
  }

  get bytes(): number {
    return this.#bytes;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /**
   * Resolves when there is room and counts the bytes; undefined if there was room at once. What is larger than the whole budget
   * goes when nothing else is in flight.
   * @param waitMs how long the asker waits, where that is less than what any may wait
   * @throws RefusedError OVERLOADED if too many wait already, or the wait takes too long
   */
  acquire(bytes: number, waitMs = Number.POSITIVE_INFINITY): Promise<void> | undefined {
    this.pressure.pushed();
    if (this.#waiting.size === 0 && this.#hasRoom(bytes)) {
      this.#bytes += bytes;
      return undefined;
    }
    return this.#wait(bytes, Math.min(waitMs, this.#options.waitMsMax));
  }

  /** Counts bytes that are there whether they fit or not: a head handed to the cut workers. */
  hold(bytes: number): void {
    this.#bytes += bytes;
  }

  release(bytes: number): void {
    this.#bytes -= bytes;
    for (const next of this.#waiting) {
      if (!this.#hasRoom(next.bytes)) return;
      this.#waiting.delete(next);
      this.#bytes += next.bytes;
      next.admit();
    }
  }

  #hasRoom(bytes: number): boolean {
    return this.#bytes === 0 || this.#bytes + bytes <= this.#options.bytesMax;
  }

  #wait(bytes: number, waitMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.size >= this.#options.waitingMax) {
        reject(this.#overloaded());
        return;
      }
      const cancelDeadline = this.#clock.after(waitMs, () => {
        this.#waiting.delete(waiting);
        reject(this.#overloaded());
      });
      const admit = () => {
        cancelDeadline();
        resolve();
      };
      const waiting = { bytes, admit };
      this.#waiting.add(waiting);
    });
  }

  #overloaded(): RefusedError {
    const text = 'too many bytes on their way into streams, try again later';
    return new RefusedError({ code: 'OVERLOADED', text, retryAfterMs: this.#options.retryAfterMs });
  }
}
