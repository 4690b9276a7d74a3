import type { Clock } from '../protocol/clock.ts';

/** Chosen: all reads of a store together take less of one turn of the event loop than a push may notice. */
const SLICE_MS = 1;

/**
 * Shares the event loop between synchronous pieces of work. Before each piece:
 *
 *   while (!budget.hasTime()) await budget.nextTurn();
 *
 * and then the piece at once: with an await between them all who wait would find time and only then begin. So a turn is exceeded by one
 * piece at most, however many take part.
 */
export class TurnBudget {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  #sliceEndMs = Number.NEGATIVE_INFINITY;
  #nextTurn: Promise<void> | undefined;

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#clock = clock;
  }

  hasTime(): boolean {
    return this.#clock.monotonicMs() < this.#sliceEndMs;
  }

  nextTurn(): Promise<void> {
    this.#nextTurn ??= new Promise((resolve) => {
      setImmediate(() => {
        this.#nextTurn = undefined;
        this.#sliceEndMs = this.#clock.monotonicMs() + SLICE_MS;
        resolve();
      });
    });
    return this.#nextTurn;
  }
}
