import { sortInTurns } from '../sort-in-turns.ts';
import type { StepSeries } from '../step-series.ts';
import type { Turns } from '../turns.ts';

/** By value at the first step, NaN last: of an instant query only. */
export const sortByValue = (
  series: readonly StepSeries[],
  isDescending: boolean,
  turns: Turns,
): Promise<StepSeries[]> =>
  sortInTurns(
    series,
    (a, b) => {
      const left = a.values[0]!;
      const right = b.values[0]!;
      if (Number.isNaN(left) || Number.isNaN(right)) return Number(Number.isNaN(left)) - Number(Number.isNaN(right));
      return isDescending ? right - left : left - right;
    },
    turns,
  );
