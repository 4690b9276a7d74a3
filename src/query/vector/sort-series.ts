import type { StepSeries } from '../step-series.ts';

/** By value at the first step, NaN last: of an instant query only. */
export const sortByValue = (series: readonly StepSeries[], isDescending: boolean): StepSeries[] =>
  [...series].sort((a, b) => {
    const left = a.values[0]!;
    const right = b.values[0]!;
    if (Number.isNaN(left) || Number.isNaN(right)) return Number(Number.isNaN(left)) - Number(Number.isNaN(right));
    return isDescending ? right - left : left - right;
  });
