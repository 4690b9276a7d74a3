import type { ValuesFunction } from './range-function.ts';

/** Sorted ascending with NaN first; linear between the two values around rank q·(n - 1). */
export const quantileOverTime: ValuesFunction = {
  kind: 'values',
  of: ({ values, first, end, parameter }) => {
    if (parameter < 0) return Number.NEGATIVE_INFINITY;
    if (parameter > 1) return Number.POSITIVE_INFINITY;
    if (Number.isNaN(parameter)) return Number.NaN;
    const sorted = values.slice(first, end).sort(byValueNanFirst);
    const rank = parameter * (sorted.length - 1);
    const lower = Math.max(0, Math.floor(rank));
    const upper = Math.min(sorted.length - 1, lower + 1);
    const weight = rank - Math.floor(rank);
    return sorted[lower]! * (1 - weight) + sorted[upper]! * weight;
  },
};

const byValueNanFirst = (a: number, b: number): number => {
  if (Number.isNaN(a)) return Number.isNaN(b) ? 0 : -1;
  if (Number.isNaN(b)) return 1;
  return a < b ? -1 : a > b ? 1 : 0;
};
