import { setImmediate as nextTurn } from 'node:timers/promises';

/** Measured: work of about 100 ns an item stays far below 1 ms a slice. */
const SLICE_ITEMS = 2_000;

/** Items in slices, each but the first in a turn of the event loop of its own: loops over 100,000 series must not stall pushes. */
export async function* inSlices<Item>(items: Iterable<Item>): AsyncIterable<readonly Item[]> {
  let slice: Item[] = [];
  for (const item of items) {
    if (slice.length === SLICE_ITEMS) {
      yield slice;
      slice = [];
      await nextTurn();
    }
    slice.push(item);
  }
  if (slice.length > 0) yield slice;
}
