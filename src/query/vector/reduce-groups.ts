import { keyOfLabels, newSeries, type StepSeries } from '../step-series.ts';
import { CELLS_PER_LOOK, SERIES_PER_LOOK, type Turns } from '../turns.ts';
import type { StepReducer } from './step-reducers.ts';

export interface SeriesGroup {
  readonly labels: readonly string[];
  readonly members: StepSeries[];
}

/** Series with the same labels after grouping, in order of first appearance. */
export const groupSeries = async (
  series: readonly StepSeries[],
  labelsOf: (labels: readonly string[]) => readonly string[],
  turns: Turns,
): Promise<SeriesGroup[]> => {
  let looked = 0;
  const groups = new Map<string, SeriesGroup>();
  for (const one of series) {
    const labels = labelsOf(one.labels);
    const key = keyOfLabels(labels);
    const group = groups.get(key);
    if (group) group.members.push(one);
    else groups.set(key, { labels, members: [one] });
    looked += 1;
    if (looked % SERIES_PER_LOOK === 0) await turns.breathe();
  }
  return [...groups.values()];
};

/** One value per step from those that have a point; no point where none has. */
export const reduceGroup = async (
  { labels, members }: SeriesGroup,
  stepCount: number,
  reduce: StepReducer,
  turns: Turns,
): Promise<StepSeries> => {
  let looked = 0;
  const result = newSeries(labels, stepCount);
  const values = new Float64Array(members.length);
  for (let step = 0; step < stepCount; step += 1) {
    let count = 0;
    for (const { values: own, present } of members) {
      looked += 1;
      if (looked % CELLS_PER_LOOK === 0) await turns.breathe();
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
