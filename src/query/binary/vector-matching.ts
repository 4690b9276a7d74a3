import type { VectorMatching } from '../../logql/ast.ts';
import { compareBytes } from '../../protocol/label-text.ts';
import { groupedLabels } from '../scan/entry-series.ts';
import { keyOfLabels, type StepSeries, valueOfLabel } from '../step-series.ts';
import { SERIES_PER_LOOK, type Turns } from '../turns.ts';

/** The labels that decide which series of the two sides belong together. */
export const matchLabels = (labels: readonly string[], matching: VectorMatching | undefined): readonly string[] => {
  if (!matching) return labels;
  return groupedLabels(labels, { kind: matching.on ? 'by' : 'without', names: matching.names });
};

/** Numbers that are equal for series that match, over both sides. */
export class MatchKeys {
  readonly #matching: VectorMatching | undefined;
  readonly #numbers = new Map<string, number>();

  constructor(matching: VectorMatching | undefined) {
    this.#matching = matching;
  }

  get count(): number {
    return this.#numbers.size;
  }

  async of(series: readonly StepSeries[], turns: Turns): Promise<Uint32Array> {
    const numbers = new Uint32Array(series.length);
    for (const [index, { labels }] of series.entries()) {
      numbers[index] = this.#numberOf(keyOfLabels(matchLabels(labels, this.#matching)));
      if (index % SERIES_PER_LOOK === 0) await turns.breathe();
    }
    return numbers;
  }

  #numberOf(key: string): number {
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    this.#numbers.set(key, this.#numbers.size);
    return this.#numbers.size - 1;
  }
}

/** Labels of what two matched samples make: of one to one the matched ones, of many to one the many side's and those asked for. */
export const resultLabels = (
  many: readonly string[],
  one: readonly string[],
  matching: VectorMatching | undefined,
): readonly string[] => {
  if (!matching) return many;
  if (matching.group === 'none') return matchLabels(many, matching);
  if (matching.include.length === 0) return many;
  const kept: [string, string][] = [];
  for (let index = 0; index < many.length; index += 2) {
    if (!matching.include.includes(many[index]!)) kept.push([many[index]!, many[index + 1]!]);
  }
  for (const name of new Set(matching.include)) {
    const value = valueOfLabel(one, name);
    if (value !== '') kept.push([name, value]);
  }
  return kept.sort((a, b) => compareBytes(a[0], b[0])).flat();
};
