import type { Clock } from '../protocol/clock.ts';

/** Chosen: all reads of a store together take less of one turn of the event loop than a push may notice. */
const SLICE_MS = 2;

/**
 * Shares the event loop between synchronous pieces of work: they wait for their turn before each piece, and once a turn's slice is used
 * up all of them wait for the next turn. A turn is exceeded by one piece at most, however many take part.
 */
export class TurnBudget {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  #sliceEndMs = Number.NEGATIVE_INFINITY;
  #nextTurn: Promise<void> | undefined;

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#clock = clock;
  }

  async turn(): Promise<void> {
    while (this.#clock.monotonicMs() >= this.#sliceEndMs) {
      this.#nextTurn ??= new Promise((resolve) => {
        setImmediate(() => {
          this.#nextTurn = undefined;
          this.#sliceEndMs = this.#clock.monotonicMs() + SLICE_MS;
          resolve();
        });
      });
      await this.#nextTurn;
    }
  }
}
