import { releaseMemory } from '../protocol/release-memory.ts';

/** Values moved between two looks at the clock: a fraction of a millisecond. */
const VALUES_A_LOOK = 1 << 14;

/** Values and their times, in the same order. */
export interface TimedValues {
  readonly times: Float64Array;
  readonly values: Float64Array;
}

/**
 * Sorted by time; equal times stay in their order. What comes is a few lists that are sorted already, one behind another: they are merged, neighbours
 * first, which takes a pass for each doubling of their number (a comparison sort took ten times as long). What it is given is its own: given back, or let go.
 * @param breathe lets the event loop go on if it is time
 */
export const sortByTime = async (unsorted: TimedValues, breathe: () => Promise<void>): Promise<TimedValues> => {
  let from = unsorted;
  let starts = runStarts(unsorted.times);
  if (starts.length <= 1) return from;
  let to = emptyOf(from);
  while (starts.length > 1) {
    starts = await mergePairs(from, to, starts, breathe);
    [from, to] = [to, from];
  }
  releaseMemory(to.times);
  releaseMemory(to.values);
  return from;
};

const emptyOf = ({ times }: TimedValues): TimedValues => ({
  times: new Float64Array(times.length),
  values: new Float64Array(times.length),
});

/** Where a time is lower than the one before. */
const runStarts = (times: Float64Array): number[] => {
  const starts: number[] = [];
  for (let index = 0; index < times.length; index += 1) {
    if (index === 0 || times[index]! < times[index - 1]!) starts.push(index);
  }
  return starts;
};

/** @returns where the runs of `to` begin */
const mergePairs = async (
  from: TimedValues,
  to: TimedValues,
  starts: readonly number[],
  breathe: () => Promise<void>,
): Promise<number[]> => {
  const merged: number[] = [];
  const length = from.times.length;
  for (let pair = 0; pair < starts.length; pair += 2) {
    const first = starts[pair]!;
    merged.push(first);
    const middle = starts[pair + 1] ?? length;
    await mergeRuns(from, to, { first, middle, end: starts[pair + 2] ?? length }, breathe);
  }
  return merged;
};

/** [first, middle) and [middle, end). */
interface Runs {
  readonly first: number;
  readonly middle: number;
  readonly end: number;
}

const mergeRuns = async (
  from: TimedValues,
  to: TimedValues,
  { first, middle, end }: Runs,
  breathe: () => Promise<void>,
): Promise<void> => {
  let left = first;
  let right = middle;
  for (let at = first; at < end; at += 1) {
    if (at % VALUES_A_LOOK === VALUES_A_LOOK - 1) await breathe();
    const isLeft = left < middle && (right >= end || from.times[left]! <= from.times[right]!);
    const place = isLeft ? left : right;
    to.times[at] = from.times[place]!;
    to.values[at] = from.values[place]!;
    if (isLeft) left += 1;
    else right += 1;
  }
};
