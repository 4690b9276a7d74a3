/** An entry as the data of its templates. */
import { fromByteText, toByteText } from '../template/byte-text.ts';
import type { TemplateData } from '../template/exec.ts';
import { GoMap } from '../template/values.ts';
import { type Entry, ERROR_DETAILS_LABEL, ERROR_LABEL } from './entry.ts';
import { finalLabels } from './entry-labels.ts';

const labelsMap = (entry: Entry): ReadonlyMap<string, string> => {
  const pairs = finalLabels(entry);
  const map = new Map<string, string>();
  for (let index = 0; index < pairs.length; index += 2) {
    map.set(toByteText(pairs[index]!), toByteText(pairs[index + 1]!));
  }
  return map;
};

const oneLabel = (entry: Entry, name: string): string => {
  if (name === ERROR_LABEL && entry.error !== '') return entry.error;
  if (name === ERROR_DETAILS_LABEL && entry.errorDetails !== '') return toByteText(entry.errorDetails);
  return toByteText(entry.text(entry.id(fromByteText(name))));
};

const dataOf = (entry: Entry, labels: GoMap): TemplateData => ({
  labels,
  line: () => entry.lineBytes.toString('latin1', entry.lineStart, entry.lineEnd),
  timeNs: entry.timeNs,
});

/** Labels are read when the template asks: for one template, run at once. */
export const liveData = (entry: Entry): TemplateData =>
  dataOf(
    entry,
    new GoMap(
      () => labelsMap(entry),
      true,
      (name) => oneLabel(entry, name),
    ),
  );

/** The labels as they are now: later changes do not show. */
export const snapshotData = (entry: Entry): TemplateData => {
  const map = labelsMap(entry);
  return dataOf(entry, new GoMap(() => map, true));
};
