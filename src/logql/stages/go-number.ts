/** Numbers, durations and sizes as Go reads them: label values are compared only if Go's parsers accept them. */
import { quoteGo } from '../../protocol/go-quote.ts';

/** A value or the text of Go's error. */
export type Parsed = { readonly value: number } | { readonly error: string };

const DECIMAL =
  /^[+-]?(?:[0-9](?:_?[0-9])*(?:\.(?:[0-9](?:_?[0-9])*)?)?|\.[0-9](?:_?[0-9])*)(?:[eE][+-]?[0-9](?:_?[0-9])*)?$/;
const HEX = /^([+-]?)0[xX]_?((?:[0-9a-fA-F]_?)*)(?:\.((?:[0-9a-fA-F]_?)*))?[pP]([+-]?[0-9]+)$/;
const SPECIAL = /^(?:([+-]?)inf(?:inity)?|nan)$/i;

const invalidFloat = (text: string, why: string): Parsed => ({
  error: `strconv.ParseFloat: parsing ${quoteGo(text)}: ${why}`,
});

const parseHex = (text: string): number | undefined => {
  const match = HEX.exec(text);
  if (match === null) return undefined;
  const whole = match[2]!.replaceAll('_', '');
  const fraction = (match[3] ?? '').replaceAll('_', '');
  if (whole.length + fraction.length === 0 || text.includes('__')) return undefined;
  const digits = Number(BigInt(`0x0${whole}${fraction}`));
  const value = digits * 2 ** (Number(match[4]) - 4 * fraction.length);
  return match[1] === '-' ? -value : value;
};

/** strconv.ParseFloat(text, 64). */
export const parseGoFloat = (text: string): Parsed => {
  if (DECIMAL.test(text)) {
    const value = Number(text.includes('_') ? text.replaceAll('_', '') : text);
    return Number.isFinite(value) ? { value } : invalidFloat(text, 'value out of range');
  }
  const special = SPECIAL.exec(text);
  if (special !== null) {
    if (special[1] === undefined) return { value: Number.NaN };
    return { value: special[1] === '-' ? -Infinity : Infinity };
  }
  const value = parseHex(text);
  if (value === undefined) return invalidFloat(text, 'invalid syntax');
  return Number.isFinite(value) ? { value } : invalidFloat(text, 'value out of range');
};

const UNIT_NS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

const DURATION_NS_MAX = 2 ** 63;
const DURATION_PART = /([0-9]*)(?:(\.)([0-9]*))?([^0-9.]*)/y;

/** time.ParseDuration: nanoseconds. Units ns to h; there is no day. */
export const parseGoDuration = (text: string): Parsed => {
  const invalid: Parsed = { error: `time: invalid duration ${quoteGo(text)}` };
  const isNegative = text.startsWith('-');
  const rest = isNegative || text.startsWith('+') ? text.slice(1) : text;
  if (rest === '0') return { value: 0 };
  if (rest === '') return invalid;
  let total = 0;
  DURATION_PART.lastIndex = 0;
  while (DURATION_PART.lastIndex < rest.length) {
    const match = DURATION_PART.exec(rest)!;
    const [, whole = '', , fraction = '', unit = ''] = match;
    if (whole === '' && fraction === '') return invalid;
    if (unit === '') return { error: `time: missing unit in duration ${quoteGo(text)}` };
    const scale = UNIT_NS[unit];
    if (scale === undefined) return { error: `time: unknown unit ${quoteGo(unit)} in duration ${quoteGo(text)}` };
    total += Number(whole) * scale;
    if (fraction !== '') total += Math.trunc(Number(`0.${fraction}`) * scale);
    if (total > DURATION_NS_MAX) return invalid;
  }
  return { value: isNegative ? -total : total };
};

const SIZE_UNITS = new Map<string, number>([
  ['', 1],
  ['b', 1],
]);
for (const [index, prefix] of ['k', 'm', 'g', 't', 'p', 'e'].entries()) {
  const decimal = 1000 ** (index + 1);
  const binary = 1024 ** (index + 1);
  SIZE_UNITS.set(`${prefix}b`, decimal).set(prefix, decimal).set(`${prefix}ib`, binary).set(`${prefix}i`, binary);
}

const SIZE_DIGITS = /^[\p{Nd}.,]*/u;

/** A size in bytes as go-humanize reads it: commas allowed, blanks before the unit, unit in any case, no sign. */
export const parseGoBytes = (text: string): Parsed => {
  const digits = SIZE_DIGITS.exec(text)![0];
  const number = parseGoFloat(digits.replaceAll(',', ''));
  if ('error' in number) return number;
  const unit = text.slice(digits.length).trim().toLowerCase();
  const scale = SIZE_UNITS.get(unit);
  if (scale === undefined) return { error: `unhandled size name: ${unit}` };
  const value = number.value * scale;
  return value >= 2 ** 64 ? { error: `too large: ${text}` } : { value: Math.trunc(value) };
};

const POWERS_OF_TEN = Array.from({ length: 16 }, (_, exponent) => 10 ** exponent);

/**
 * The common case without a string: `-?digits(.digits)?` of at most 15 digits, exact. NaN for everything else, which then goes through
 * parseGoFloat.
 */
export const parsePlainDecimal = (bytes: Uint8Array, start: number, end: number): number => {
  let position = start;
  const isNegative = bytes[position] === 0x2d;
  if (isNegative) position++;
  if (end - position > 16 || position >= end) return Number.NaN;
  let digits = 0;
  let value = 0;
  let point = -1;
  for (; position < end; position++) {
    const byte = bytes[position]!;
    if (byte >= 0x30 && byte <= 0x39) {
      value = value * 10 + (byte - 0x30);
      digits++;
    } else if (byte === 0x2e && point < 0) {
      point = position;
    } else {
      return Number.NaN;
    }
  }
  if (digits === 0 || digits > 15) return Number.NaN;
  if (point >= 0) value /= POWERS_OF_TEN[end - point - 1]!;
  return isNegative ? -value : value;
};
