import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '../protocol/clock.ts';

/** Items between two looks at the clock. */
const ITEMS_PER_LOOK = 32;

/** Tells when work on the event loop has gone on for long enough: then `await turn()`. */
export class Slices {
  readonly #clock: Clock;
  readonly #sliceMs: number;
  #endMs: number;
  #count = 0;

  constructor(clock: Clock, sliceMs: number) {
    this.#clock = clock;
    this.#sliceMs = sliceMs;
    this.#endMs = clock.monotonicMs() + sliceMs;
  }

  /** Call it once an item. */
  isOver(): boolean {
    this.#count += 1;
    return this.#count % ITEMS_PER_LOOK === 0 && this.#clock.monotonicMs() >= this.#endMs;
  }

  /** The same after an item that may be large: looks at the clock at once. */
  isOverNow(): boolean {
    return this.#clock.monotonicMs() >= this.#endMs;
  }

  /** Lets everybody else have a turn and begins the next slice. */
  async turn(): Promise<void> {
    await nextTurn();
    this.#endMs = this.#clock.monotonicMs() + this.#sliceMs;
  }
}

/**
 * Goes over many things without holding up the event loop: work of at most about `sliceMs`, then a turn for everybody else. The
 * iterable may change meanwhile if its iterator stands that, as those of Map and Set do.
 */
export const forEachInSlices = async <Item>(
  clock: Clock,
  sliceMs: number,
  items: Iterable<Item>,
  visit: (item: Item) => void,
): Promise<void> => {
  const slices = new Slices(clock, sliceMs);
  for (const item of items) {
    visit(item);
    if (slices.isOver()) await slices.turn();
  }
};

/**
 * So many things a turn of the event loop, over all who ask. Each is cheap to start and costs later, in that turn: a message to an actor is
 * handled in it, and a push may have one for each of thousands of streams.
 *
 *   while (!quota.take()) await quota.nextTurn();
 */
export class TurnQuota {
  readonly #countMax: number;
  #count = 0;
  #nextTurn: Promise<void> | undefined;

  constructor(countMax: number) {
    this.#countMax = countMax;
  }

  /** `weight`: it counts as so many things. What weighs more than a whole turn gets one for itself. */
  take(weight = 1): boolean {
    if (this.#count > 0 && this.#count + weight > this.#countMax) return false;
    if (this.#count === 0) void this.nextTurn();
    this.#count += weight;
    return true;
  }

  nextTurn(): Promise<void> {
    this.#nextTurn ??= new Promise((resolve) => {
      setImmediate(() => {
        this.#nextTurn = undefined;
        this.#count = 0;
        resolve();
      });
    });
    return this.#nextTurn;
  }
}
