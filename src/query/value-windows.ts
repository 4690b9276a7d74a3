/** Which values of a series each evaluation time looks at. */
import type { TimedValues } from './sort-by-time.ts';
import type { StepWindows } from './step-windows.ts';

/** For each step the values [first, end) of its window. */
export interface ValueWindows {
  readonly values: Float64Array;
  readonly firsts: Uint32Array;
  readonly ends: Uint32Array;
}

/** Of values sorted by time: both ends of the windows only move forward. */
export const slidingWindows = ({ times, values }: TimedValues, windows: StepWindows): ValueWindows => {
  const firsts = new Uint32Array(windows.count).fill(times.length);
  const ends = new Uint32Array(windows.count);
  let opened = -1;
  let closed = -1;
  for (let index = 0; index < times.length; index += 1) {
    windows.locate(times[index]!);
    // Steps up to `last` that no earlier value belongs to begin here…
    for (let step = Math.max(opened + 1, windows.first); step <= windows.last; step += 1) firsts[step] = index;
    opened = Math.max(opened, windows.last);
    // …and those before `first` have ended.
    for (let step = closed + 1; step < windows.first; step += 1) ends[step] = index;
    closed = Math.max(closed, windows.first - 1);
  }
  for (let step = closed + 1; step < windows.count; step += 1) ends[step] = times.length;
  return { values, firsts, ends };
};

/** Values at the places [start, end) of `order`. */
export interface PlacedValues {
  readonly from: TimedValues;
  readonly order: Uint32Array;
  readonly start: number;
  readonly end: number;
}

/**
 * Of values in any order, where no two windows share one: put together by step, which takes two passes, where sorting by time takes one for each
 * doubling of the lists that there are. Each pass finds a value's step anew: neighbours have the same one as a rule, and to keep it takes memory
 * that is touched for the first time.
 * @param breathe lets the event loop go on if it is time
 */
export const valuesByStep = async (
  parts: readonly PlacedValues[],
  windows: StepWindows,
  breathe: () => Promise<void>,
): Promise<ValueWindows> => {
  const ends = new Uint32Array(windows.count);
  for (const part of parts) {
    countByStep(part, windows, ends);
    await breathe();
  }
  const firsts = new Uint32Array(windows.count);
  let count = 0;
  for (let step = 0; step < windows.count; step += 1) {
    firsts[step] = count;
    count += ends[step]!;
    ends[step] = firsts[step]!;
  }
  const values = new Float64Array(count);
  for (const part of parts) {
    placeByStep(part, windows, values, ends);
    await breathe();
  }
  return { values, firsts, ends };
};

const countByStep = ({ from, order, start, end }: PlacedValues, windows: StepWindows, counts: Uint32Array): void => {
  const { times } = from;
  for (let place = start; place < end; place += 1) {
    windows.locate(times[order[place]!]!);
    if (windows.first <= windows.last) counts[windows.first]! += 1;
  }
};

/** @param next for each step the place of its next value */
const placeByStep = (
  { from, order, start, end }: PlacedValues,
  windows: StepWindows,
  into: Float64Array,
  next: Uint32Array,
): void => {
  const { times, values } = from;
  for (let place = start; place < end; place += 1) {
    const index = order[place]!;
    windows.locate(times[index]!);
    const step = windows.first;
    if (step > windows.last) continue;
    into[next[step]!] = values[index]!;
    next[step]! += 1;
  }
};
