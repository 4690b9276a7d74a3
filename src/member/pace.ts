import type { Clock } from '../protocol/clock.ts';

/** Rest after a piece of work, as a multiple of what it took, where nothing else is to be done. */
const REST_SHARE = 2;
/** What took longer mostly waited, for syncs of two disks: a longer rest would help nobody. About twice the work of a message. */
const REST_MAX_MS = 60;
/** Both are up to so many times longer where threads wait for cores, and at first so many: what begins is cold, and so is who is sent to. */
const STRETCH_MAX = 5;
const STRETCH_FIRST = 3;
/** While the event loop waits for a core for a larger share of its time rests grow, else they shrink. See CpuWait.share. */
const WAIT_SHARE = 0.55;
/** By so much, and no more often than it is looked at: a single look may have met a collection of garbage. */
const STRETCH_STEP = 1.25;
const STEP_MS_MIN = 100;

/**
 * Work in the background that leaves the machine to others: one piece after another, and after each a rest that grows with what it took, and with what others
 * do meanwhile. So pieces of up to 30 ms take a third of the time at most, and an eleventh where others want all of it; those that wait for longer, on a busy machine or for a slow
 * other side, use little of it.
 */
export class Pace {
  readonly #clock: Clock;
  readonly #isUrgent: () => boolean;
  readonly #cpuWaitShare: (() => number) | undefined;
  readonly #hasDeadline: () => boolean;
  #rested: Promise<void> = Promise.resolve();
  #failure: Error | undefined;
  #steppedMs = Number.NEGATIVE_INFINITY;
  #stretch: number;

  /**
   * @param isUrgent asked after each piece: there is no time to rest
   * @param cpuWaitShare see CpuWait.share; rests do not grow unless it is given
   * @param hasDeadline rests do not grow beyond the first: what is not done then is done all the harder later
   */
  constructor(clock: Clock, isUrgent: () => boolean, cpuWaitShare?: () => number, hasDeadline = (): boolean => false) {
    this.#hasDeadline = hasDeadline;
    this.#clock = clock;
    this.#isUrgent = isUrgent;
    this.#cpuWaitShare = cpuWaitShare;
    this.#stretch = cpuWaitShare ? STRETCH_FIRST : 1;
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
    if (this.#failure || this.#isUrgent()) return;
    const stretch = this.#hasDeadline() ? Math.min(STRETCH_FIRST, this.#stretch) : this.#stretch;
    const forMs = stretch * Math.min(REST_SHARE * tookMs, REST_MAX_MS);
    if (forMs <= 0) return;
    await new Promise<void>((resolve) => this.#clock.after(forMs, resolve));
    this.#step();
  }

  #step(): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#steppedMs < STEP_MS_MIN) return;
    this.#steppedMs = nowMs;
    const isCrowded = (this.#cpuWaitShare?.() ?? 0) > WAIT_SHARE;
    const next = isCrowded ? this.#stretch * STRETCH_STEP : this.#stretch / STRETCH_STEP;
    this.#stretch = Math.min(STRETCH_MAX, Math.max(1, next));
  }
}
