import type { Clock } from './clock.ts';

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
  readonly #sliceMs: number;
  #sliceEndMs = Number.NEGATIVE_INFINITY;
  #nextTurn: Promise<void> | undefined;

  /** `sliceMs`: of each turn, for all who take part together. */
  constructor(clock: Pick<Clock, 'monotonicMs'>, sliceMs: number) {
    this.#clock = clock;
    this.#sliceMs = sliceMs;
  }

  hasTime(): boolean {
    return this.#clock.monotonicMs() < this.#sliceEndMs;
  }

  nextTurn(): Promise<void> {
    this.#nextTurn ??= new Promise((resolve) => {
      setImmediate(() => {
        this.#nextTurn = undefined;
        this.#sliceEndMs = this.#clock.monotonicMs() + this.#sliceMs;
        resolve();
      });
    });
    return this.#nextTurn;
  }
}
