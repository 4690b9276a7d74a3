import type { ValuesFunction } from './range-function.ts';

/** Running mean m += v/n - m/n, as Loki computes it: an infinite mean stays unless NaN or the opposite infinity comes. */
export const avgOverTime: ValuesFunction = {
  kind: 'values',
  of: ({ values, first, end }) => {
    let mean = 0;
    for (let index = first; index < end; index += 1) {
      const value = values[index]!;
      const count = index - first + 1;
      if (Math.abs(mean) === Number.POSITIVE_INFINITY && (value === mean || Number.isFinite(value))) continue;
      mean += value / count - mean / count;
    }
    return mean;
  },
};
