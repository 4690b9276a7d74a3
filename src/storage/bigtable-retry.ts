import { status } from '@grpc/grpc-js';
import type { Clock } from '../protocol/clock.ts';
import { within } from '../protocol/within.ts';
import { BigtableError } from './bigtable-status.ts';

export interface RetryDeps {
  readonly clock: Clock;
  /** In [0, 1): spreads retries. */
  readonly chance: () => number;
}

/** Chosen: eight tries pass over 5 s or so, longer than a tablet takes to move. */
const TRIES_MAX = 8;
const FIRST_DELAY_MS = 50;
const LAST_DELAY_MS = 2_000;

/** Tries of one piece of work: so many, and all within its time. The only layer of the Bigtable store that retries. */
export class RetryBudget {
  readonly #deps: RetryDeps;
  readonly #endMs: number;
  #triesLeft = TRIES_MAX - 1;
  #delayMs = FIRST_DELAY_MS;

  constructor(deps: RetryDeps, timeoutMs: number) {
    this.#deps = deps;
    this.#endMs = deps.clock.monotonicMs() + timeoutMs;
  }

  /** For the next call; 0 if the time is up. */
  get leftMs(): number {
    return Math.max(0, this.#endMs - this.#deps.clock.monotonicMs());
  }

  /** Waits until the next try; false if there is none left. */
  async wait(): Promise<boolean> {
    const { clock, chance } = this.#deps;
    const delayMs = this.#delayMs * (0.5 + chance() / 2);
    if (this.#triesLeft === 0 || delayMs >= this.leftMs) return false;
    this.#triesLeft -= 1;
    this.#delayMs = Math.min(LAST_DELAY_MS, this.#delayMs * 2);
    await new Promise<void>((resolve) => void clock.after(delayMs, resolve));
    return true;
  }

  /** Something came through: what follows has all its tries again, within the same time. */
  progressed(): void {
    this.#triesLeft = TRIES_MAX - 1;
    this.#delayMs = FIRST_DELAY_MS;
  }
}

/** @throws BigtableError DEADLINE_EXCEEDED if `work` takes longer; it is not ended */
export const withinMs = <T>(clock: Clock, timeoutMs: number, work: Promise<T>): Promise<T> =>
  within(
    clock,
    timeoutMs,
    work,
    () => new BigtableError(status.DEADLINE_EXCEEDED, `no answer within ${Math.round(timeoutMs)} ms`),
  );
