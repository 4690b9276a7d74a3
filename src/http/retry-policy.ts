export interface RetryOptions {
  /** Attempts of one request, the first included (default 10, as promtail's). */
  readonly attemptsMax: number;
  /** Delay before the second attempt; it doubles (default 100). */
  readonly delayMs: number;
  readonly delayMsMax: number;
  /** Retries that may be spent over all requests (default 100); each success earns a fifth of one back. */
  readonly budget: number;
  /** Chance in [0, 1) that spreads the delays. */
  readonly random: () => number;
}

const DEFAULTS: RetryOptions = {
  attemptsMax: 10,
  delayMs: 100,
  delayMsMax: 5000,
  budget: 100,
  random: Math.random,
};
const EARNED_PER_SUCCESS = 0.2;

/** When to try again: exponential back-off with jitter, and a budget, so that a server that is down is not buried in retries. */
export class RetryPolicy {
  readonly #options: RetryOptions;
  #tokens: number;

  constructor(options: Partial<RetryOptions> = {}) {
    this.#options = { ...DEFAULTS, ...options };
    this.#tokens = this.#options.budget;
  }

  succeeded(): void {
    this.#tokens = Math.min(this.#options.budget, this.#tokens + EARNED_PER_SUCCESS);
  }

  /** Waits and says true, or says false: attempts or budget are used up. */
  async again(attempts: number): Promise<boolean> {
    if (attempts >= this.#options.attemptsMax || this.#tokens < 1) return false;
    this.#tokens -= 1;
    await new Promise((resolve) => setTimeout(resolve, this.delayMs(attempts)));
    return true;
  }

  /** Between half and the whole of the exponential delay. */
  delayMs(attempts: number): number {
    const { delayMs, delayMsMax, random } = this.#options;
    const whole = Math.min(delayMsMax, delayMs * 2 ** (attempts - 1));
    return whole / 2 + (whole / 2) * random();
  }
}
