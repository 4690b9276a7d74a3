/** A sample of an instant query, or of what a rule makes of one; its time is that of the evaluation. */
export interface Sample {
  /** Flat pairs, sorted by name. */
  readonly labels: readonly string[];
  readonly value: number;
}

/** A text for each set of labels. */
export const labelKey = (labels: readonly string[]): string => JSON.stringify(labels);

/** Labels with others in place of theirs; an empty value takes one away. Sorted by name, as the series of Prometheus are. */
export const withLabels = (
  labels: readonly string[],
  changes: readonly (readonly [name: string, value: string])[],
): readonly string[] => {
  const byName = new Map<string, string>();
  for (let index = 0; index < labels.length; index += 2) byName.set(labels[index] ?? '', labels[index + 1] ?? '');
  for (const [name, value] of changes) byName.set(name, value);
  return [...byName]
    .filter(([, value]) => value !== '')
    .sort(([a], [b]) => (a < b ? -1 : Number(a > b)))
    .flat();
};
