/** `discover_service_name`: the label `service_name` that a stream gets when it is pushed (the API specification, 1.10). */
import type { LabelSet } from './label-set.ts';
import { labelSetOf } from './label-text.ts';

const SERVICE_NAME = 'service_name';
const NOT_KNOWN = 'unknown_service';
/** Streams that Loki writes for itself. */
const INTERNAL = ['__aggregated_metric__', '__pattern__'];

/** @param names labels that may hold it, the first that the stream has counts; none = nothing is added */
export const withServiceName = (labels: LabelSet, names: readonly string[]): LabelSet => {
  const { pairs } = labels;
  if (names.length === 0 || [SERVICE_NAME, ...INTERNAL].some((name) => labelValue(pairs, name) !== undefined))
    return labels;
  const source = names.find((name) => labelValue(pairs, name) !== undefined);
  return labelSetOf([...pairs, SERVICE_NAME, (source && labelValue(pairs, source)) ?? NOT_KNOWN]);
};

const labelValue = (pairs: readonly string[], name: string): string | undefined => {
  for (let index = 0; index < pairs.length; index += 2) if (pairs[index] === name) return pairs[index + 1];
  return undefined;
};
