import type { Turns } from './turns.ts';

/** Sorted at once: well under a millisecond. */
const RUN_LENGTH = 256;

/** What `[...items].sort(compare)` gives (stable), without holding the event loop: 100,000 label sets take a quarter of a second. */
export const sortInTurns = async <Item>(
  items: readonly Item[],
  compare: (a: Item, b: Item) => number,
  turns: Turns,
): Promise<Item[]> => {
  let from: Item[] = [];
  for (let first = 0; first < items.length; first += RUN_LENGTH) {
    for (const item of items.slice(first, first + RUN_LENGTH).sort(compare)) from.push(item);
    await turns.breathe();
  }
  for (let length = RUN_LENGTH; length < from.length; length *= 2) {
    const into: Item[] = [];
    for (let first = 0; first < from.length; first += 2 * length)
      await merge(from, into, first, length, compare, turns);
    from = into;
  }
  return from;
};

/** Appends the runs at `first` and `first + length` to `into`, merged; of equal ones the left comes first. */
const merge = async <Item>(
  from: readonly Item[],
  into: Item[],
  first: number,
  length: number,
  compare: (a: Item, b: Item) => number,
  turns: Turns,
): Promise<void> => {
  const middle = Math.min(first + length, from.length);
  const end = Math.min(middle + length, from.length);
  let left = first;
  let right = middle;
  while (left < middle || right < end) {
    const isLeft = right === end || (left < middle && !(compare(from[left]!, from[right]!) > 0));
    into.push(isLeft ? from[left]! : from[right]!);
    if (isLeft) left += 1;
    else right += 1;
    if (into.length % RUN_LENGTH === 0) await turns.breathe();
  }
};
