import type { Clock } from '../protocol/clock.ts';

/** Rest after a piece of work, as a multiple of what it took. */
const REST_SHARE = 2;
/** What took longer mostly waited, for syncs of two disks: a longer rest would help nobody. About twice the work of a message. */
const REST_MAX_MS = 60;

/**
 * Work in the background that leaves the machine to others: one piece after another, and after each a rest that grows with what it took. So pieces
 * of up to 30 ms take a third of the time at most; those that wait for longer, on a busy machine or for a slow other side, use little of it.
 */
export class Pace {
  readonly #clock: Clock;
  readonly #isUrgent: () => boolean;
  #rested: Promise<void> = Promise.resolve();
  #failure: Error | undefined;

  /** @param isUrgent asked after each piece: there is no time to rest */
  constructor(clock: Clock, isUrgent: () => boolean) {
    this.#clock = clock;
    this.#isUrgent = isUrgent;
  }

  /** In order of the calls, unless it is urgent: then beside those before it. Settles as the work does, before the rest. */
  run<Result>(work: () => Promise<Result>): Promise<Result> {
    let beganMs = 0;
    const turn = this.#isUrgent() ? Promise.resolve() : this.#rested;
    const result = turn.then(() => {
      if (this.#failure) throw this.#failure;
      beganMs = this.#clock.monotonicMs();
      return work();
    });
    const rest = (): Promise<void> => this.#rest(this.#clock.monotonicMs() - beganMs);
    this.#rested = result.then(rest, rest);
    return result;
  }

  /** There is no time to rest. */
  get isUrgent(): boolean {
    return this.#isUrgent();
  }

  /** Whoever waits fails with this, at once. */
  fail(error: Error): void {
    this.#failure = error;
  }

  async #rest(tookMs: number): Promise<void> {
    const forMs = this.#failure || this.#isUrgent() ? 0 : Math.min(REST_SHARE * tookMs, REST_MAX_MS);
    if (forMs > 0) await new Promise<void>((resolve) => this.#clock.after(forMs, resolve));
  }
}
