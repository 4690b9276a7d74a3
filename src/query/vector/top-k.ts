import { newSeries, type StepSeries } from '../step-series.ts';
import type { SeriesGroup } from './reduce-groups.ts';

/** The k largest (or smallest) series of a group at each step, with their own labels. NaN loses; ties go to the lower label set. */
export const topOfGroup = ({ members }: SeriesGroup, stepCount: number, k: number, isBottom: boolean): StepSeries[] => {
  if (members.length <= k) return [...members];
  const kept = members.map(({ labels }) => newSeries(labels, stepCount));
  for (let step = 0; step < stepCount; step += 1) {
    const candidates: number[] = [];
    for (let index = 0; index < members.length; index += 1)
      if (members[index]!.present[step] === 1) candidates.push(index);
    if (candidates.length > k) candidates.sort((a, b) => compareAt(members, step, isBottom, a, b));
    for (const index of candidates.slice(0, k)) {
      kept[index]!.present[step] = 1;
      kept[index]!.values[step] = members[index]!.values[step]!;
    }
  }
  return kept.filter(({ present }) => present.includes(1));
};

const compareAt = (members: readonly StepSeries[], step: number, isBottom: boolean, a: number, b: number): number => {
  const left = members[a]!.values[step]!;
  const right = members[b]!.values[step]!;
  if (Number.isNaN(left) || Number.isNaN(right))
    return Number(Number.isNaN(left)) - Number(Number.isNaN(right)) || a - b;
  if (left === right) return a - b;
  return left > right === isBottom ? 1 : -1;
};
