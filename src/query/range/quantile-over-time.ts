import type { ValuesFunction } from './range-function.ts';

/** Sorted ascending with NaN first; linear between the two values around rank q·(n - 1). */
export const quantileOverTime: ValuesFunction = {
  kind: 'values',
  of: ({ values, first, end, parameter }) => {
    if (parameter < 0) return Number.NEGATIVE_INFINITY;
    if (parameter > 1) return Number.POSITIVE_INFINITY;
    if (Number.isNaN(parameter)) return Number.NaN;
    // Without a comparison of our own: a tenth of the time, and NaN comes last.
    const sorted = values.slice(first, end).sort();
    const { length } = sorted;
    const notNumbers = length - numbersIn(sorted);
    const at = (place: number): number => (place < notNumbers ? Number.NaN : sorted[place - notNumbers]!);
    const rank = parameter * (length - 1);
    const lower = Math.max(0, Math.floor(rank));
    const upper = Math.min(length - 1, lower + 1);
    const weight = rank - Math.floor(rank);
    return at(lower) * (1 - weight) + at(upper) * weight;
  },
};

const numbersIn = (sorted: Float64Array): number => {
  let count = sorted.length;
  while (count > 0 && Number.isNaN(sorted[count - 1])) count -= 1;
  return count;
};
