import type { ValuesFunction } from './range-function.ts';

/** Of values sorted ascending, with NaN first; linear between the two around rank q·(n - 1). */
export const quantileOverTime: ValuesFunction = {
  kind: 'values',
  takesAnyOrder: true,
  of: ({ values, first, end, parameter }) => {
    if (parameter < 0) return Number.NEGATIVE_INFINITY;
    if (parameter > 1) return Number.POSITIVE_INFINITY;
    if (Number.isNaN(parameter)) return Number.NaN;
    const own = values.slice(first, end);
    const rank = parameter * (own.length - 1);
    const lower = Math.max(0, Math.floor(rank));
    const weight = rank - Math.floor(rank);
    const notNumbers = nanFirst(own);
    if (lower >= notNumbers) select(own, notNumbers, lower);
    const next = lower + 1 < notNumbers ? Number.NaN : smallest(own, lower + 1);
    return own[lower]! * (1 - weight) + next * weight;
  },
};

/** Returns how many there are. */
const nanFirst = (values: Float64Array): number => {
  let count = 0;
  for (let index = 0; index < values.length; index += 1) {
    const value = values[index]!;
    if (!Number.isNaN(value)) continue;
    values[index] = values[count]!;
    values[count] = value;
    count += 1;
  }
  return count;
};

/** Chosen: each round halves what is left, as a rule; values that keep it from doing so are sorted. */
const ROUNDS_MAX = 64;

/** Puts into `place` what a sort of the numbers from `first` on would: what is before is no larger, what is behind no smaller. Hoare's quickselect. */
const select = (values: Float64Array, first: number, place: number): void => {
  let low = first;
  let high = values.length - 1;
  for (let round = 0; low < high; round += 1) {
    if (round === ROUNDS_MAX) {
      values.subarray(low, high + 1).sort();
      return;
    }
    const pivot = middleOf(values[low]!, values[(low + high) >>> 1]!, values[high]!);
    let left = low;
    let right = high;
    while (left <= right) {
      while (values[left]! < pivot) left += 1;
      while (values[right]! > pivot) right -= 1;
      if (left > right) break;
      const value = values[left]!;
      values[left] = values[right]!;
      values[right] = value;
      left += 1;
      right -= 1;
    }
    if (place <= right) high = right;
    else if (place >= left) low = left;
    else return;
  }
};

const middleOf = (a: number, b: number, c: number): number => Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));

/** Of those from `first` on; the last one of all if there are none. */
const smallest = (values: Float64Array, first: number): number => {
  let value = values[Math.min(first, values.length - 1)]!;
  for (let index = first + 1; index < values.length; index += 1) value = Math.min(value, values[index]!);
  return value;
};
