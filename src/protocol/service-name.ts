/** `discover_service_name`: the label `service_name` that a stream gets when it is pushed (the API specification, 1.10). */

const SERVICE_NAME = 'service_name';
const NOT_KNOWN = 'unknown_service';
/** Streams that Loki writes for itself. */
const INTERNAL = ['__aggregated_metric__', '__pattern__'];

/**
 * @param pairs name1, value1, … in any order
 * @param names labels that may hold it, the first that the stream has counts; none = nothing is added
 */
export const withServiceName = (pairs: readonly string[], names: readonly string[]): readonly string[] => {
  if (names.length === 0 || [SERVICE_NAME, ...INTERNAL].some((name) => labelValue(pairs, name) !== undefined))
    return pairs;
  const source = names.find((name) => labelValue(pairs, name) !== undefined);
  return [...pairs, SERVICE_NAME, (source && labelValue(pairs, source)) ?? NOT_KNOWN];
};

/** undefined for a label without a value: the stream has none by that name. */
const labelValue = (pairs: readonly string[], name: string): string | undefined => {
  for (let index = 0; index < pairs.length; index += 2) {
    if (pairs[index] === name && pairs[index + 1] !== '') return pairs[index + 1];
  }
  return undefined;
};
