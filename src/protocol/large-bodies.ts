import type { Clock } from './clock.ts';
import { RefusedError } from './refusal.ts';

/** Where the memory that a body takes once it is inflated is counted. */
export interface BodyMemory {
  /** Given back when the push is settled. @throws RefusedError OVERLOADED if there is no room */
  take(bytes: number): void;
}

export interface LargeBodiesOptions {
  readonly countMax: number;
  /** How long one waits for a place. */
  readonly waitMsMax: number;
  readonly retryAfterMs: number;
}

/**
 * Places for bodies that are large once inflated: a few kilobytes may become a hundred megabytes, so only so many are inflated and decoded
 * at once. First come, first served. Who waits holds what it has inflated so far, which is why the wait has an end.
 */
export class LargeBodies {
  readonly #clock: Pick<Clock, 'after'>;
  readonly #options: LargeBodiesOptions;
  readonly #waiting = new Set<() => void>();
  #count = 0;

  constructor(clock: Pick<Clock, 'after'>, options: LargeBodiesOptions) {
    this.#clock = clock;
    this.#options = options;
  }

  /** Call `leave` when it is decoded. @throws RefusedError OVERLOADED if the wait takes too long */
  async enter(): Promise<void> {
    const { countMax, waitMsMax, retryAfterMs } = this.#options;
    if (this.#count < countMax) {
      this.#count += 1;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const cancelDeadline = this.#clock.after(waitMsMax, () => {
        this.#waiting.delete(admit);
        reject(new RefusedError({ code: 'OVERLOADED', text: 'too many large bodies at once', retryAfterMs }));
      });
      const admit = () => {
        cancelDeadline();
        resolve();
      };
      this.#waiting.add(admit);
    });
  }

  leave(): void {
    const [next] = this.#waiting;
    if (!next) {
      this.#count -= 1;
      return;
    }
    // The place is handed over, so that nobody who comes now is first.
    this.#waiting.delete(next);
    next();
  }
}
