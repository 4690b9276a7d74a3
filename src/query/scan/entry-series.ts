import type { PipelineRun } from '../../logql/pipeline.ts';
import type { GroupSpec } from './scan-messages.ts';
import type { SeriesTable } from './series-table.ts';
import { ValueCombinations } from './value-combinations.ts';

/** Label sets of one stream remembered before the memory is dropped: `without` and rare `by` keys may be as many as lines. */
const REMEMBERED_MAX = 10_000;

/**
 * The series an entry counts for, by a key that is cheap to make: the values of the labels asked for, or what the pipeline changed.
 * Most entries have the key of the one before.
 */
export class EntrySeries {
  readonly #table: SeriesTable;
  readonly #group: GroupSpec;
  readonly #byValues = new Map<string, number>();
  /** The same by the bytes of the values in the line; undefined for a group by no label, or by one that is no plain label. */
  readonly #combinations: ValueCombinations | undefined;
  readonly #byLabels = new Map<string, number>();
  #lastValue: string | undefined;
  #lastLabels: string | undefined;
  #lastIndex = -1;
  #streamPairs: readonly string[] = [];
  #streamIndex = -1;

  constructor(table: SeriesTable, group: GroupSpec) {
    this.#table = table;
    this.#group = group;
    const { kind, names } = group;
    const isPlain = kind === 'by' && names.length > 0 && !names.some((name) => name.startsWith('__error'));
    this.#combinations = isPlain ? new ValueCombinations(names) : undefined;
  }

  /** Keys of another stream mean other labels. */
  startStream(pairs: readonly string[], run: PipelineRun): void {
    this.#combinations?.startStream(run);
    this.#streamPairs = pairs;
    this.#streamIndex = -1;
    this.#byLabels.clear();
    this.#lastLabels = undefined;
  }

  /** The series of entries whose labels are the stream's. */
  ofStream(): number {
    if (this.#streamIndex < 0) this.#streamIndex = this.#table.indexOf(groupedLabels(this.#streamPairs, this.#group));
    return this.#streamIndex;
  }

  of(run: PipelineRun): number {
    const known = this.#combinations?.find(run);
    if (known !== undefined) return known;
    const index = this.#ofRun(run);
    this.#combinations?.remember(index);
    return index;
  }

  #ofRun(run: PipelineRun): number {
    const { kind, names } = this.#group;
    if (kind === 'by' && names.length === 0) return this.ofStream();
    if (kind !== 'by') return this.#ofLabels(run);
    const value = names.length === 1 ? run.get(names[0]!) : this.#joinedValues(run, names);
    // A label that is empty and one that is missing make different series: only the labels tell.
    if (value === '' || value === undefined) return this.#ofLabels(run);
    if (value === this.#lastValue) return this.#lastIndex;
    let index = this.#byValues.get(value);
    if (index === undefined) {
      index = this.#table.indexOf(groupedLabels(run.finalLabels(), this.#group));
      this.#byValues.set(value, index);
    }
    this.#lastValue = value;
    this.#lastLabels = undefined;
    this.#lastIndex = index;
    return index;
  }

  #joinedValues(run: PipelineRun, names: readonly string[]): string | undefined {
    let joined = '';
    for (const name of names) {
      const value = run.get(name);
      if (value === '') return undefined;
      joined += `${value.length}:${value}`;
    }
    return joined;
  }

  #ofLabels(run: PipelineRun): number {
    const key = run.labelsKey();
    if (key === this.#lastLabels) return this.#lastIndex;
    let index = this.#byLabels.get(key);
    if (index === undefined) {
      index = this.#table.indexOf(groupedLabels(run.finalLabels(), this.#group));
      if (this.#byLabels.size >= REMEMBERED_MAX) this.#byLabels.clear();
      this.#byLabels.set(key, index);
    }
    this.#lastLabels = key;
    this.#lastValue = undefined;
    this.#lastIndex = index;
    return index;
  }
}

/** The part of sorted label pairs that keeps series apart. */
export const groupedLabels = (pairs: readonly string[], group: GroupSpec): readonly string[] => {
  if (group.kind === 'all') return pairs;
  const kept: string[] = [];
  for (let index = 0; index < pairs.length; index += 2) {
    if (group.names.includes(pairs[index]!) === (group.kind === 'by')) kept.push(pairs[index]!, pairs[index + 1]!);
  }
  return kept;
};
