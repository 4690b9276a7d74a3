import type { LabelSet } from '../protocol/label-set.ts';
import type { Turns } from './turns.ts';

/** All values of each label that the streams have. */
export const labelValuesOf = async (
  series: readonly LabelSet[],
  turns: Turns,
): Promise<ReadonlyMap<string, ReadonlySet<string>>> => {
  const values = new Map<string, Set<string>>();
  for (const { pairs } of series) {
    for (let index = 0; index < pairs.length; index += 2) {
      const name = pairs[index]!;
      const known = values.get(name) ?? new Set();
      values.set(name, known.add(pairs[index + 1]!));
    }
    await turns.breathe();
  }
  return values;
};
