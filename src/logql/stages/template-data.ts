/** An entry as the data of its templates. */
import { toByteText } from '../template/byte-text.ts';
import type { TemplateData } from '../template/exec.ts';
import { GoMap } from '../template/values.ts';
import type { Entry } from './entry.ts';
import { finalLabels } from './entry-labels.ts';

const labelsMap = (entry: Entry): GoMap => {
  const pairs = finalLabels(entry);
  const map = new Map<string, string>();
  for (let index = 0; index < pairs.length; index += 2) {
    map.set(toByteText(pairs[index]!), toByteText(pairs[index + 1]!));
  }
  return new GoMap(map, true);
};

const NO_LABELS = new GoMap(new Map(), true);

/** The labels are read now: later changes do not show. */
export const templateData = (entry: Entry, readsLabels: boolean): TemplateData => ({
  labels: readsLabels ? labelsMap(entry) : NO_LABELS,
  line: () => entry.lineBytes.toString('latin1', entry.lineStart, entry.lineEnd),
  timeNs: entry.timeNs,
});
