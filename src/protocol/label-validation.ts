/** What a tenant's limits allow of a label set, in Loki's order and with the texts of 3.7 (the API specification, 1.7). */
import { bytesOfText } from './byte-text.ts';
import type { DiscardReason } from './discards.ts';
import type { LabelSet } from './label-set.ts';
import type { Limits } from './limits.ts';

export const labelRefusal = (labels: LabelSet, limits: Limits): { reason: DiscardReason; text: string } | undefined => {
  const { pairs, canonical } = labels;
  if (pairs.length === 0) {
    return { reason: 'missing_labels', text: 'error at least one label pair is required per stream' };
  }
  const count = pairs.length / 2 - (hasName(pairs, 'service_name') ? 1 : 0);
  const countMax = limits.maxLabelNamesPerSeries;
  if (count > countMax) {
    const text = `entry for stream '${canonical}' has ${count} label names; limit ${countMax}`;
    return { reason: 'max_label_names_per_series', text };
  }
  for (let index = 0; index < pairs.length; index += 2) {
    const name = pairs[index]!;
    if (isLonger(name, limits.maxLabelNameBytes)) {
      return { reason: 'label_name_too_long', text: `stream '${canonical}' has label name too long: '${name}'` };
    }
    const value = pairs[index + 1]!;
    if (isLonger(value, limits.maxLabelValueBytes)) {
      return { reason: 'label_value_too_long', text: `stream '${canonical}' has label value too long: '${value}'` };
    }
    if (index > 0 && pairs[index - 2] === name) {
      return { reason: 'duplicate_label_names', text: `stream '${canonical}' has duplicate label name: '${name}'` };
    }
  }
  return undefined;
};

const hasName = (pairs: readonly string[], name: string): boolean =>
  pairs.some((text, index) => index % 2 === 0 && text === name);

const isLonger = (text: string, bytesMax: number): boolean =>
  text.length * 3 > bytesMax && bytesOfText(text).length > bytesMax;
