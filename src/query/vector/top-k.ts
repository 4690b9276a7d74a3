import { sortInTurns } from '../sort-in-turns.ts';
import { newSeries, type StepSeries } from '../step-series.ts';
import { CELLS_PER_LOOK, type Turns } from '../turns.ts';
import type { SeriesGroup } from './reduce-groups.ts';

/** The k largest (or smallest) series of a group at each step, with their own labels. NaN loses; ties go to the lower label set. */
export const topOfGroup = async (
  { members }: SeriesGroup,
  stepCount: number,
  k: number,
  isBottom: boolean,
  turns: Turns,
): Promise<StepSeries[]> => {
  if (members.length <= k) return [...members];
  const kept: (StepSeries | undefined)[] = new Array(members.length);
  for (let step = 0; step < stepCount; step += 1) {
    let candidates: number[] = [];
    for (let index = 0; index < members.length; index += 1) {
      if (members[index]!.present[step] === 1) candidates.push(index);
      if (index % CELLS_PER_LOOK === 0) await turns.breathe();
    }
    const isBefore = (a: number, b: number): number => compareAt(members, step, isBottom, a, b);
    if (candidates.length > k) candidates = await sortInTurns(candidates, isBefore, turns);
    for (const index of candidates.slice(0, k)) {
      const { labels, values } = members[index]!;
      const result = kept[index] ?? newSeries(labels, stepCount);
      kept[index] = result;
      result.present[step] = 1;
      result.values[step] = values[step]!;
    }
  }
  return kept.filter((one) => one !== undefined);
};

const compareAt = (members: readonly StepSeries[], step: number, isBottom: boolean, a: number, b: number): number => {
  const left = members[a]!.values[step]!;
  const right = members[b]!.values[step]!;
  if (Number.isNaN(left) || Number.isNaN(right))
    return Number(Number.isNaN(left)) - Number(Number.isNaN(right)) || a - b;
  if (left === right) return a - b;
  return left > right === isBottom ? 1 : -1;
};
