import { setImmediate as nextTurn } from 'node:timers/promises';

/** Orders of a hand-over between two turns of the event loop: some milliseconds. */
const SLICE = 250;

export const inSlices = async <Item>(items: readonly Item[], take: (slice: readonly Item[]) => void): Promise<void> => {
  for (let at = 0; at < items.length; at += SLICE) {
    if (at > 0) await nextTurn();
    take(items.slice(at, at + SLICE));
  }
};
