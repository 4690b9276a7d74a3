import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '../protocol/clock.ts';

/** Work in one go on the event loop, ms. */
const SLICE_MS = 4;

/** Between two looks at the clock, each under half a millisecond: series that are made or copied, and points that are looked at. */
export const SERIES_PER_LOOK = 16;
export const CELLS_PER_LOOK = 1024;

/** Gives everybody else a turn every few milliseconds of a long calculation. */
export class Turns {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  #sliceEndMs: number;

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#clock = clock;
    this.#sliceEndMs = clock.monotonicMs() + SLICE_MS;
  }

  /** Call it between pieces of well under a millisecond. */
  async breathe(): Promise<void> {
    if (this.#clock.monotonicMs() < this.#sliceEndMs) return;
    await nextTurn();
    this.#sliceEndMs = this.#clock.monotonicMs() + SLICE_MS;
  }
}
