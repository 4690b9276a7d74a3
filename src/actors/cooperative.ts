import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '../protocol/clock.ts';

/** Items between two looks at the clock. */
const ITEMS_PER_LOOK = 32;

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
  let sliceEndMs = clock.monotonicMs() + sliceMs;
  let count = 0;
  for (const item of items) {
    visit(item);
    count += 1;
    if (count % ITEMS_PER_LOOK !== 0 || clock.monotonicMs() < sliceEndMs) continue;
    await nextTurn();
    sliceEndMs = clock.monotonicMs() + sliceMs;
  }
};
