import type { VectorMatching } from '../../logql/ast.ts';
import { newSeries, type StepSeries } from '../step-series.ts';
import { CELLS_PER_LOOK, SERIES_PER_LOOK, type Turns } from '../turns.ts';
import type { CombineOptions } from './combine-options.ts';
import { MatchKeys } from './vector-matching.ts';

/** `and`, `or`, `unless`: whole samples of the left side, for `or` also those of the right that match none on the left. */
export const combineSets = async (
  op: 'and' | 'or' | 'unless',
  left: readonly StepSeries[],
  right: readonly StepSeries[],
  matching: VectorMatching | undefined,
  options: CombineOptions,
): Promise<StepSeries[]> => {
  const keys = new MatchKeys(matching);
  const leftKeys = await keys.of(left, options.turns);
  const rightKeys = await keys.of(right, options.turns);
  if (op !== 'or') return await filtered(left, leftKeys, right, rightKeys, keys.count, options, op === 'and');
  return [...left, ...(await filtered(right, rightKeys, left, leftKeys, keys.count, options, false))];
};

/** Points of `series` at the steps where another side's series has (or has not) the same key. */
const filtered = async (
  series: readonly StepSeries[],
  keys: Uint32Array,
  others: readonly StepSeries[],
  otherKeys: Uint32Array,
  keyCount: number,
  { stepCount, turns }: CombineOptions,
  keepsMatched: boolean,
): Promise<StepSeries[]> => {
  const kept: StepSeries[] = [];
  for (const { labels } of series) {
    kept.push(newSeries(labels, stepCount));
    if (kept.length % SERIES_PER_LOOK === 0) await turns.breathe();
  }
  const matched = new Uint8Array(keyCount);
  for (let step = 0; step < stepCount; step += 1) {
    await markMatched(matched, others, otherKeys, step, turns);
    for (let index = 0; index < series.length; index += 1) {
      if (index % CELLS_PER_LOOK === 0) await turns.breathe();
      if (series[index]!.present[step] !== 1 || (matched[keys[index]!] === 1) !== keepsMatched) continue;
      kept[index]!.present[step] = 1;
      kept[index]!.values[step] = series[index]!.values[step]!;
    }
  }
  return kept.filter(({ present }) => present.includes(1));
};

/** Sets the keys of series that have a point at the step. */
const markMatched = async (
  matched: Uint8Array,
  series: readonly StepSeries[],
  keys: Uint32Array,
  step: number,
  turns: Turns,
): Promise<void> => {
  matched.fill(0);
  for (let index = 0; index < series.length; index += 1) {
    if (series[index]!.present[step] === 1) matched[keys[index]!] = 1;
    if (index % CELLS_PER_LOOK === 0) await turns.breathe();
  }
};
