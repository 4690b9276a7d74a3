export interface DetectedLabel {
  readonly label: string;
  readonly cardinality: number;
}

/** Shown whatever their values are. */
const ALWAYS: ReadonlySet<string> = new Set(['cluster', 'namespace', 'instance', 'pod']);
const UUID = /^[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}$/;

/** Labels that are worth to choose by, by name: not those whose values are all numbers or UUIDs. */
export const detectedLabelsOf = (values: ReadonlyMap<string, ReadonlySet<string>>): readonly DetectedLabel[] =>
  [...values]
    .filter(([name, all]) => ALWAYS.has(name) || [...all].some((value) => !isId(value)) || isFlag(all))
    .map(([label, all]) => ({ label, cardinality: all.size }))
    .sort((a, b) => (a.label < b.label ? -1 : 1));

const isId = (value: string): boolean => UUID.test(value) || (value.trim() !== '' && Number.isFinite(Number(value)));

const isFlag = (values: ReadonlySet<string>): boolean => [...values].every((value) => value === '0' || value === '1');
