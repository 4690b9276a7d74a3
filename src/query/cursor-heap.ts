import type { StreamCursor } from './stream-cursor.ts';

/** Cursors by the time of their next entry: the one that comes first in the query's direction is on top. */
export class CursorHeap {
  readonly #isForward: boolean;
  readonly #cursors: StreamCursor[] = [];

  constructor(isForward: boolean) {
    this.#isForward = isForward;
  }

  get size(): number {
    return this.#cursors.length;
  }

  get top(): StreamCursor | undefined {
    return this.#cursors[0];
  }

  push(cursor: StreamCursor): void {
    this.#cursors.push(cursor);
    let at = this.#cursors.length - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#isBefore(this.#cursors[at]!, this.#cursors[parent]!)) break;
      this.#swap(at, parent);
      at = parent;
    }
  }

  /** After the top's time changed, which only ever moves it back; or its end. */
  settleTop(): void {
    const top = this.#cursors[0];
    if (!top) return;
    if (top.isAtEnd) {
      const last = this.#cursors.pop()!;
      if (this.#cursors.length > 0) this.#cursors[0] = last;
    }
    this.#sink(0);
  }

  /** Of the first `lookedAtMax` cursors in line those that have to be read on, nearest first. */
  *waiting(lookedAtMax: number): Generator<StreamCursor> {
    /** Places whose parents were looked at, the nearest last. */
    const frontier = this.#cursors.length > 0 ? [0] : [];
    for (let looked = 0; looked < lookedAtMax; looked += 1) {
      const at = frontier.pop();
      if (at === undefined) return;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < this.#cursors.length) frontier.splice(this.#placeIn(frontier, child), 0, child);
      }
      const cursor = this.#cursors[at]!;
      if (cursor.isWaiting) yield cursor;
    }
  }

  #placeIn(frontier: readonly number[], child: number): number {
    let low = 0;
    let high = frontier.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#isBefore(this.#cursors[child]!, this.#cursors[frontier[middle]!]!)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #sink(from: number): void {
    let at = from;
    for (;;) {
      let first = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < this.#cursors.length && this.#isBefore(this.#cursors[child]!, this.#cursors[first]!)) first = child;
      }
      if (first === at) return;
      this.#swap(at, first);
      at = first;
    }
  }

  #isBefore(a: StreamCursor, b: StreamCursor): boolean {
    if (a.timeHigh !== b.timeHigh) return a.timeHigh < b.timeHigh === this.#isForward;
    if (a.timeLow !== b.timeLow) return a.timeLow < b.timeLow === this.#isForward;
    // What may still bring an entry of this time is read before one at hand is given out: ties have a fixed order.
    if (a.isReady !== b.isReady) return !a.isReady;
    return a.index < b.index === this.#isForward;
  }

  #swap(a: number, b: number): void {
    const cursor = this.#cursors[a]!;
    this.#cursors[a] = this.#cursors[b]!;
    this.#cursors[b] = cursor;
  }
}
