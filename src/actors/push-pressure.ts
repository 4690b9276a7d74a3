import type { Clock } from '../protocol/clock.ts';

/** A push takes a dozen turns of the event loop and more on each node that it comes to: these make it wait a tenth of a second. Chosen. */
const TURN_MS_MAX = 5;
/** What one turn counts for at most: two in a row are pressure, and one is not, be it a pause for garbage collection. */
const SEEN_MS_MAX = 3 * TURN_MS_MAX;
/** Turns are short and long in turn: what was seen holds for so long, and no longer than pushes come. Chosen. */
const HOLDS_MS = 1_000;
/** Weight of the last turn in the mean. */
const LAST_SHARE = 0.2;

/** Whether pushes come while the event loop takes long to come round. Measured at pushes alone: a node without any has no timer for it. */
export class PushPressure {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  #turnMs = 0;
  #highUntilMs = Number.NEGATIVE_INFINITY;
  #isMeasuring = false;

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#clock = clock;
  }

  get isHigh(): boolean {
    return this.#clock.monotonicMs() < this.#highUntilMs;
  }

  /** Call it at each push. */
  pushed(): void {
    if (this.#isMeasuring) return;
    this.#isMeasuring = true;
    // From the end of one turn to that of the next.
    setImmediate(() => {
      const startMs = this.#clock.monotonicMs();
      setImmediate(() => {
        this.#isMeasuring = false;
        this.#sawTurn(this.#clock.monotonicMs() - startMs);
      });
    });
  }

  #sawTurn(ms: number): void {
    this.#turnMs += LAST_SHARE * (Math.min(ms, SEEN_MS_MAX) - this.#turnMs);
    if (this.#turnMs > TURN_MS_MAX) this.#highUntilMs = this.#clock.monotonicMs() + HOLDS_MS;
  }
}
