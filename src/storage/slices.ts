import { setImmediate as nextTurn } from 'node:timers/promises';

/** Chosen: work of up to 1 µs an item stays below 1 ms a slice. */
const SLICE_ITEMS = 1_000;

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
