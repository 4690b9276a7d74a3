import type { LabelMatcher } from '../../protocol/matcher.ts';
import { newSeries, type StepSeries } from '../step-series.ts';
import type { AbsentFunction } from './range-function.ts';

export const absentOverTime: AbsentFunction = { kind: 'absent' };

/** 1 at the steps where none of `series` has a point. */
export const absenceOf = (
  series: readonly StepSeries[],
  matchers: readonly LabelMatcher[],
  stepCount: number,
): readonly StepSeries[] => {
  const absent = newSeries(labelsOfAbsent(matchers), stepCount);
  let isEmpty = true;
  for (let step = 0; step < stepCount; step += 1) {
    if (series.some(({ present }) => present[step] === 1)) continue;
    absent.present[step] = 1;
    absent.values[step] = 1;
    isEmpty = false;
  }
  return isEmpty ? [] : [absent];
};

/** `name=value` of each equality matcher whose name occurs in no other matcher. */
const labelsOfAbsent = (matchers: readonly LabelMatcher[]): readonly string[] =>
  matchers
    .filter(
      ({ name, op, value }) => op === '=' && value !== '' && matchers.filter((one) => one.name === name).length === 1,
    )
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap(({ name, value }) => [name, value]);
