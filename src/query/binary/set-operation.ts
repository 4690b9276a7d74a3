import type { VectorMatching } from '../../logql/ast.ts';
import { newSeries, type StepSeries } from '../step-series.ts';
import { MatchKeys } from './vector-matching.ts';

/** `and`, `or`, `unless`: whole samples of the left side, for `or` also those of the right that match none on the left. */
export const combineSets = (
  op: 'and' | 'or' | 'unless',
  left: readonly StepSeries[],
  right: readonly StepSeries[],
  matching: VectorMatching | undefined,
  stepCount: number,
): StepSeries[] => {
  const keys = new MatchKeys(matching);
  const leftKeys = keys.of(left);
  const rightKeys = keys.of(right);
  if (op !== 'or') return filtered(left, leftKeys, right, rightKeys, keys.count, stepCount, op === 'and');
  return [...left, ...filtered(right, rightKeys, left, leftKeys, keys.count, stepCount, false)];
};

/** Points of `series` at the steps where another side's series has (or has not) the same key. */
const filtered = (
  series: readonly StepSeries[],
  keys: Uint32Array,
  others: readonly StepSeries[],
  otherKeys: Uint32Array,
  keyCount: number,
  stepCount: number,
  keepsMatched: boolean,
): StepSeries[] => {
  const kept = series.map(({ labels }) => newSeries(labels, stepCount));
  const matched = new Uint8Array(keyCount);
  for (let step = 0; step < stepCount; step += 1) {
    matched.fill(0);
    for (let index = 0; index < others.length; index += 1) {
      if (others[index]!.present[step] === 1) matched[otherKeys[index]!] = 1;
    }
    for (let index = 0; index < series.length; index += 1) {
      if (series[index]!.present[step] !== 1 || (matched[keys[index]!] === 1) !== keepsMatched) continue;
      kept[index]!.present[step] = 1;
      kept[index]!.values[step] = series[index]!.values[step]!;
    }
  }
  return kept.filter(({ present }) => present.includes(1));
};
