/** OTLP's AnyValue, and its text as Loki stores it (the API specification, 2.3). */
import { compareBytes } from '../label-text.ts';

/**
 * One value, read. A number is an integer or a double: where both write the same, so does their text; integers past 2⁵³ are a bigint.
 * null: no value.
 */
export type AnyValue =
  | string
  | number
  | bigint
  | boolean
  | null
  | Uint8Array
  | readonly AnyValue[]
  | ReadonlyMap<string, AnyValue>;

/** Lists and maps in one another (chosen: no logger comes near; what is deeper is refused before the stack ends). */
export const DEPTH_MAX = 64;

/** Values, pairs and fields of one resource, scope or record, which is read in one go (chosen, far above real ones; some 5 ms). */
export const VALUES_MAX = 16_384;

/** Bytes of an attribute's name: each character is looked at before any limit of the tenant is (chosen). */
export const NAME_BYTES_MAX = 16_384;

/** Bytes on the wire of one list or map: its text is made in one go (chosen: some 9 ms at worst, where each character is escaped;
 * twice Loki's default for a line). */
export const LIST_BYTES_MAX = 512 * 1024;

/** A value as a line or as the value of an attribute: text as it is, bytes in base64, lists and maps as compact JSON. */
export const textOf = (value: AnyValue): string => {
  if (value === null) return '';
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return numberText(value);
  if (value instanceof Uint8Array) return base64Text(value);
  return typeof value === 'object' ? jsonText(value) : String(value);
};

/** Go's text of a double, which is JavaScript's but for what JSON has no words for. */
const numberText = (value: number): string => {
  if (Number.isFinite(value)) return Object.is(value, -0) ? '-0' : String(value);
  if (Number.isNaN(value)) return 'NaN';
  return value > 0 ? '+Inf' : '-Inf';
};

const base64Text = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64');

/** As Go writes JSON: keys in the order of their bytes; U+2028 and U+2029 escaped, `<`, `>` and `&` not. */
const jsonText = (value: AnyValue): string => {
  if (value === null) return 'null';
  if (typeof value === 'string') return quoted(value);
  if (typeof value === 'number') return Number.isFinite(value) ? numberText(value) : quoted(numberText(value));
  if (value instanceof Uint8Array) return `"${base64Text(value)}"`;
  if (typeof value !== 'object') return String(value);
  if (isList(value)) return `[${value.map(jsonText).join(',')}]`;
  const keys = [...value.keys()].sort(compareBytes);
  return `{${keys.map((key) => `${quoted(key)}:${jsonText(value.get(key) ?? null)}`).join(',')}}`;
};

const quoted = (text: string): string =>
  JSON.stringify(text).replace(/[\u2028\u2029]/g, (mark) => (mark === '\u2028' ? '\\u2028' : '\\u2029'));

const isList = (value: readonly AnyValue[] | ReadonlyMap<string, AnyValue>): value is readonly AnyValue[] =>
  Array.isArray(value);

export const isMap = (value: AnyValue): value is ReadonlyMap<string, AnyValue> => value instanceof Map;

/** A list or a map. */
export const isComposite = (value: AnyValue): boolean =>
  typeof value === 'object' && value !== null && !(value instanceof Uint8Array);
