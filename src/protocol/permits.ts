import { FairQueue } from './fair-queue.ts';
import { RefusedError } from './refusal.ts';

const RETRY_AFTER_MS = 1000;

/** How many may wait, and what the others are told. */
export interface PermitQueue {
  readonly waitingMax: number;
  readonly text: string;
}

interface Waiting {
  readonly admit: () => void;
  readonly refuse: (reason: unknown) => void;
}

/** So many at a time; the others wait for their turn: that of their tenant, and among those of one first come first served. */
export class Permits {
  readonly #queue: PermitQueue | undefined;
  readonly #waiting = new FairQueue<Waiting>();
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

  /**
   * Runs `work` when it is its turn.
   * @param whose tenants take turns; nobody's: all are one
   * @throws what `signal` was aborted with, if that is before its turn; RefusedError OVERLOADED if too many wait, also later if it then is another tenant's
   *   turn to wait here
   */
  async with<Result>(signal: AbortSignal, work: () => Promise<Result>, whose = ''): Promise<Result> {
    if (this.#free > 0) this.#free -= 1;
    else await this.#turn(signal, whose);
    try {
      return await work();
    } finally {
      this.#give();
    }
  }

  #turn(signal: AbortSignal, whose: string): Promise<void> {
    signal.throwIfAborted();
    this.#makeRoom(whose);
    return new Promise((resolve, reject) => {
      const giveUp = (): void => {
        this.#waiting.remove(whose, waiting);
        reject(signal.reason);
      };
      const detach = (): void => signal.removeEventListener('abort', giveUp);
      const waiting: Waiting = {
        admit: () => {
          detach();
          resolve();
        },
        refuse: (reason) => {
          detach();
          reject(reason);
        },
      };
      this.#waiting.add(whose, waiting);
      signal.addEventListener('abort', giveUp, { once: true });
    });
  }

  /** A tenant with many that wait must not keep one with few from waiting at all. */
  #makeRoom(whose: string): void {
    if (!this.#queue || this.#waiting.size < this.#queue.waitingMax) return;
    const overloaded = new RefusedError({
      code: 'OVERLOADED',
      text: this.#queue.text,
      retryAfterMs: RETRY_AFTER_MS,
    });
    const displaced = this.#waiting.displace(whose);
    if (!displaced) throw overloaded;
    displaced.refuse(overloaded);
  }

  #give(): void {
    const next = this.#waiting.take();
    if (next) next.admit();
    else this.#free += 1;
  }
}
