import { keyOfLabels, newSeries, type StepSeries } from '../step-series.ts';
import type { StepReducer } from './step-reducers.ts';

export interface SeriesGroup {
  readonly labels: readonly string[];
  readonly members: StepSeries[];
}

/** Series with the same labels after grouping, in order of first appearance. */
export const groupSeries = (
  series: readonly StepSeries[],
  labelsOf: (labels: readonly string[]) => readonly string[],
): SeriesGroup[] => {
  const groups = new Map<string, SeriesGroup>();
  for (const one of series) {
    const labels = labelsOf(one.labels);
    const key = keyOfLabels(labels);
    const group = groups.get(key);
    if (group) group.members.push(one);
    else groups.set(key, { labels, members: [one] });
  }
  return [...groups.values()];
};

/** One value per step from those that have a point; no point where none has. */
export const reduceGroup = ({ labels, members }: SeriesGroup, stepCount: number, reduce: StepReducer): StepSeries => {
  const result = newSeries(labels, stepCount);
  const values = new Float64Array(members.length);
  for (let step = 0; step < stepCount; step += 1) {
    let count = 0;
    for (const { values: own, present } of members) {
      if (present[step] !== 1) continue;
      values[count] = own[step]!;
      count += 1;
    }
    if (count === 0) continue;
    result.present[step] = 1;
    result.values[step] = reduce(values, count);
  }
  return result;
};
