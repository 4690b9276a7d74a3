import { RefusedError } from '../protocol/refusal.ts';

const RETRY_AFTER_MS = 1000;

interface Waiting {
  readonly start: (release: () => void) => void;
}

/** So many calls at a time, and so many that wait their turn. */
export class CallSlots {
  readonly #runningMax: number;
  readonly #waitingMax: number;
  readonly #waiting = new Set<Waiting>();
  #running = 0;

  constructor({ runningMax, waitingMax }: { readonly runningMax: number; readonly waitingMax: number }) {
    this.#runningMax = runningMax;
    this.#waitingMax = waitingMax;
  }

  /**
   * Resolves when it is this call's turn, with what ends it.
   * @throws RefusedError OVERLOADED if too many wait; the signal's reason if that comes first
   */
  take(signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    if (this.#running < this.#runningMax) {
      this.#running += 1;
      return Promise.resolve(this.#release());
    }
    if (this.#waiting.size >= this.#waitingMax) {
      const text = `too many calls wait for the store: ${this.#waitingMax}`;
      throw new RefusedError({ code: 'OVERLOADED', text, retryAfterMs: RETRY_AFTER_MS });
    }
    return new Promise((resolve, reject) => {
      const giveUp = (): void => {
        this.#waiting.delete(waiting);
        reject(signal.reason);
      };
      const waiting: Waiting = {
        start: (release) => {
          signal.removeEventListener('abort', giveUp);
          resolve(release);
        },
      };
      this.#waiting.add(waiting);
      signal.addEventListener('abort', giveUp, { once: true });
    });
  }

  /** Hands the place to whoever waits longest. */
  #release(): () => void {
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      for (const next of this.#waiting) {
        this.#waiting.delete(next);
        next.start(this.#release());
        return;
      }
      this.#running -= 1;
    };
  }
}
