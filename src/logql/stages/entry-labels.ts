/** The labels of an entry after the pipeline. */
import { type Entry, ERROR_DETAILS_LABEL, ERROR_LABEL, ORIGIN } from './entry.ts';

type Pair = readonly [name: string, value: string];

const byName = (left: Pair, right: Pair): number => (left[0] < right[0] ? -1 : left[0] > right[0] ? 1 : 0);

const flat = (pairs: Pair[]): readonly string[] => pairs.sort(byName).flat();

/** True if the labels are no longer those of the stream. A leftover detail of a dropped error alone does not count. */
const isChanged = (entry: Entry): boolean => entry.touchedCount > 0 || entry.error !== '';

const errorPairs = (entry: Entry): Pair[] => {
  const pairs: Pair[] = [];
  if (entry.error !== '') pairs.push([ERROR_LABEL, entry.error]);
  if (entry.errorDetails !== '') pairs.push([ERROR_DETAILS_LABEL, entry.errorDetails]);
  return pairs;
};

const hidesName = (entry: Entry, name: string): boolean =>
  (name === ERROR_LABEL && entry.error !== '') || (name === ERROR_DETAILS_LABEL && entry.errorDetails !== '');

const streamPairs = (entry: Entry): Pair[] => {
  const { pairs } = entry.labels;
  const kept: Pair[] = [];
  for (let index = 0; index < pairs.length; index += 2) {
    const name = pairs[index]!;
    if (entry.origin(entry.id(name)) === ORIGIN.stream && !hidesName(entry, name)) kept.push([name, pairs[index + 1]!]);
  }
  return kept;
};

const touchedPairs = (entry: Entry, origin: number): Pair[] => {
  const pairs: Pair[] = [];
  for (let index = 0; index < entry.touchedCount; index++) {
    const id = entry.touchedAt(index);
    const name = entry.names.names[id]!;
    if (entry.origin(id) === origin && !hidesName(entry, name)) pairs.push([name, entry.text(id)]);
  }
  return pairs;
};

/** Sorted flat pairs. */
export const finalLabels = (entry: Entry): readonly string[] => {
  if (!isChanged(entry)) return entry.labels.pairs;
  return flat([
    ...streamPairs(entry),
    ...touchedPairs(entry, ORIGIN.metadata),
    ...touchedPairs(entry, ORIGIN.parsed),
    ...errorPairs(entry),
  ]);
};

/** The same by origin; errors count as parsed. */
export const categorizedLabels = (
  entry: Entry,
): { readonly stream: readonly string[]; readonly metadata: readonly string[]; readonly parsed: readonly string[] } => {
  if (!isChanged(entry)) return { stream: entry.labels.pairs, metadata: [], parsed: [] };
  return {
    stream: flat(streamPairs(entry)),
    metadata: flat(touchedPairs(entry, ORIGIN.metadata)),
    parsed: flat([...touchedPairs(entry, ORIGIN.parsed), ...errorPairs(entry)]),
  };
};

const keyPart = (name: string, value: string): string => `${name}=${value.length}:${value},`;

/** The part of the key for a touched name; "" if it is as in the stream. */
const touchedPart = (entry: Entry, id: number): string => {
  const name = entry.names.names[id]!;
  if (hidesName(entry, name)) return '';
  if (entry.has(id)) {
    const value = entry.text(id);
    return value === entry.baseText(id) ? '' : keyPart(name, value);
  }
  return entry.baseText(id) === undefined ? '' : `${name}-,`;
};

/** Keys of one entry after another. Most entries touch the same names in the same order, so the sorted order is kept. */
export class LabelsKeys {
  #touched: readonly number[] = [];
  #ordered: readonly number[] = [];
  #generation = 0;

  /** Equal for two entries of a stream exactly if their final labels are; "" for the stream's own. */
  keyOf(entry: Entry): string {
    if (!isChanged(entry)) return '';
    let key = '';
    if (entry.touchedCount === 1) key = touchedPart(entry, entry.touchedAt(0));
    else for (const id of this.#orderOf(entry)) key += touchedPart(entry, id);
    for (const [name, value] of errorPairs(entry)) key += keyPart(name, value);
    return key;
  }

  /** Ids of the touched names, by name. */
  #orderOf(entry: Entry): readonly number[] {
    if (this.#isAsBefore(entry)) return this.#ordered;
    const { names } = entry.names;
    this.#generation = entry.generation;
    this.#touched = entry.touched();
    this.#ordered = [...this.#touched].sort((left, right) => (names[left]! < names[right]! ? -1 : 1));
    return this.#ordered;
  }

  #isAsBefore(entry: Entry): boolean {
    const touched = this.#touched;
    if (touched.length !== entry.touchedCount || this.#generation !== entry.generation) return false;
    for (let index = 0; index < touched.length; index++) if (touched[index] !== entry.touchedAt(index)) return false;
    return true;
  }
}
