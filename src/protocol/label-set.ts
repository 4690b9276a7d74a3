/**
 * The labels that identify a stream. Sorted by the bytes of the names, names unique, no empty values.
 * Strings are UTF-8 text; a byte that is not part of valid UTF-8 (possible in chunks written by Loki) is kept as the lone
 * surrogate U+DC00 + byte, so that decode and encode are inverse (see `label-text.ts`).
 */
export interface LabelSet {
  /** name1, value1, name2, value2, … */
  readonly pairs: readonly string[];
  /** `{app="web", env="dev"}`: Loki's canonical text, quoted as Go's strconv.Quote does. The stream's identity. */
  readonly canonical: string;
  /** XXH64 over name 0xFF value 0xFF …, without `__name__`. */
  readonly fingerprint: bigint;
}
