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

const NO_STEP = -1;

/**
 * Of values in any order, where no two windows share one: put together by step, which takes two passes, where sorting by time takes one for each
 * doubling of the lists that there are.
 */
export const valuesByStep = ({ times, values }: TimedValues, windows: StepWindows): ValueWindows => {
  const steps = new Int32Array(times.length);
  const ends = new Uint32Array(windows.count);
  for (let index = 0; index < times.length; index += 1) {
    windows.locate(times[index]!);
    const step = windows.first <= windows.last ? windows.first : NO_STEP;
    steps[index] = step;
    if (step !== NO_STEP) ends[step]! += 1;
  }
  const firsts = new Uint32Array(windows.count);
  let count = 0;
  for (let step = 0; step < windows.count; step += 1) {
    firsts[step] = count;
    count += ends[step]!;
    ends[step] = firsts[step]!;
  }
  const placed = new Float64Array(count);
  for (let index = 0; index < values.length; index += 1) {
    const step = steps[index]!;
    if (step === NO_STEP) continue;
    placed[ends[step]!] = values[index]!;
    ends[step]! += 1;
  }
  return { values: placed, firsts, ends };
};
