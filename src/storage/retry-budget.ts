import type { Clock } from '../protocol/clock.ts';

export interface RetryDeps {
  readonly clock: Clock;
  /** In [0, 1): spreads retries. */
  readonly chance: () => number;
  /** Told of each request that is about to be sent again. */
  readonly retried?: (() => void) | undefined;
}

/** How often, and with what pauses between. */
export interface RetryRule {
  readonly triesMax: number;
  /** The bound of a pause doubles from the first to the last, in ms. */
  readonly firstMs: number;
  readonly lastMs: number;
  /** A pause is drawn between this share of its bound and the whole. */
  readonly shareMin: number;
}

/** Tries of one piece of work at a store over the network: so many, and all within its time. The one rule of the one layer that retries below the flusher. */
export class RetryBudget {
  readonly #deps: RetryDeps;
  readonly #rule: RetryRule;
  readonly #endMs: number;
  #tries = 1;

  /** The first try is under way. */
  constructor(deps: RetryDeps, timeoutMs: number, rule: RetryRule) {
    this.#deps = deps;
    this.#rule = rule;
    this.#endMs = deps.clock.monotonicMs() + timeoutMs;
  }

  /** For the next call; 0 if the time is up. */
  get leftMs(): number {
    return Math.max(0, this.#endMs - this.#deps.clock.monotonicMs());
  }

  /** Waits until the next try; false if there is none left, or once the signal ends the pause. */
  async wait(signal?: AbortSignal): Promise<boolean> {
    const { triesMax, firstMs, lastMs, shareMin } = this.#rule;
    const boundMs = Math.min(lastMs, firstMs * 2 ** (this.#tries - 1));
    const delayMs = boundMs * (shareMin + (1 - shareMin) * this.#deps.chance());
    if (this.#tries >= triesMax || delayMs >= this.leftMs || signal?.aborted) return false;
    this.#tries += 1;
    this.#deps.retried?.();
    await new Promise<void>((resolve) => {
      const end = (): void => {
        cancel();
        signal?.removeEventListener('abort', end);
        resolve();
      };
      const cancel = this.#deps.clock.after(delayMs, end);
      signal?.addEventListener('abort', end);
    });
    return !signal?.aborted;
  }

  /** Something came through: what follows has all its tries again, within the same time. */
  progressed(): void {
    this.#tries = 1;
  }
}
