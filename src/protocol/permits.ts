import { RefusedError } from './refusal.ts';

const RETRY_AFTER_MS = 1000;

/** How many may wait, and what the others are told. */
export interface PermitQueue {
  readonly waitingMax: number;
  readonly text: string;
}

/** So many at a time; the others wait for their turn, first come first served. */
export class Permits {
  readonly #queue: PermitQueue | undefined;
  readonly #waiting = new Set<() => void>();
  #free: number;

  /** @param queue without it all may wait */
  constructor(count: number, queue?: PermitQueue) {
    this.#free = count;
    this.#queue = queue;
  }

  get free(): number {
    return this.#free;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Runs `work` when it is its turn. @throws what `signal` was aborted with, if that is before its turn; RefusedError OVERLOADED if too many wait */
  async with<Result>(signal: AbortSignal, work: () => Promise<Result>): Promise<Result> {
    if (this.#free > 0) this.#free -= 1;
    else await this.#turn(signal);
    try {
      return await work();
    } finally {
      this.#give();
    }
  }

  #turn(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#queue && this.#waiting.size >= this.#queue.waitingMax) {
      throw new RefusedError({ code: 'OVERLOADED', text: this.#queue.text, retryAfterMs: RETRY_AFTER_MS });
    }
    return new Promise((resolve, reject) => {
      const turn = (): void => {
        signal.removeEventListener('abort', giveUp);
        resolve();
      };
      const giveUp = (): void => {
        this.#waiting.delete(turn);
        reject(signal.reason);
      };
      this.#waiting.add(turn);
      signal.addEventListener('abort', giveUp, { once: true });
    });
  }

  #give(): void {
    const [next] = this.#waiting;
    if (!next) {
      this.#free += 1;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}
