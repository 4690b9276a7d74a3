/** fmt.Sprint and friends over template values; texts are bytes. */
import { fromByteText, toByteText } from './byte-text.ts';
import { formatExponent, formatFixed, formatGeneral } from './go-float.ts';
import { quoteBytes } from './parser.ts';
import { GoMap, type GoValue, intOf, isList, NamedInt, typeName } from './values.ts';

/** `%v` */
export const printValue = (value: GoValue): string => {
  switch (typeof value) {
    case 'string':
      return value;
    case 'number':
      return formatGeneral(value);
    case 'boolean':
    case 'bigint':
      return String(value);
    case 'undefined':
      return '<nil>';
    default:
      break;
  }
  if (value === null) return '<nil>';
  if (isList(value)) return `[${value.map(printValue).join(' ')}]`;
  if (value instanceof GoMap) {
    return `map[${[...value.entries].map(([key, item]) => `${key}:${printValue(item)}`).join(' ')}]`;
  }
  if (value instanceof NamedInt) return value.text;
  const int = intOf(value);
  return int === undefined ? String(value) : String(int);
};

/** fmt.Sprint: a blank between two operands if neither is a string. */
export const sprint = (values: readonly GoValue[]): string => {
  let text = '';
  for (const [index, value] of values.entries()) {
    const needsBlank = index > 0 && typeof value !== 'string' && typeof values[index - 1] !== 'string';
    text += (needsBlank ? ' ' : '') + printValue(value);
  }
  return text;
};

/** fmt.Sprintln */
export const sprintln = (values: readonly GoValue[]): string => `${values.map(printValue).join(' ')}\n`;

interface Flags {
  readonly minus: boolean;
  readonly plus: boolean;
  readonly sharp: boolean;
  readonly blank: boolean;
  readonly zero: boolean;
  readonly width: number | undefined;
  readonly precision: number | undefined;
}

const SIZE_MAX = 1_000_000;
const VERB = /%([-+# 0]*)(\*|[0-9]+)?(?:\.(\*|[0-9]*))?([\s\S])?/g;

const runeCount = (bytes: string): number => [...fromByteText(bytes)].length;

const pad = (text: string, flags: Flags, zeros: boolean): string => {
  const missing = (flags.width ?? 0) - runeCount(text);
  if (missing <= 0) return text;
  if (flags.minus) return text + ' '.repeat(missing);
  if (!(zeros && flags.zero)) return ' '.repeat(missing) + text;
  const sign = /^[+-]/.test(text) ? text[0]! : '';
  return sign + '0'.repeat(missing) + text.slice(sign.length);
};

const signed = (text: string, flags: Flags): string => {
  if (text.startsWith('-') || text.startsWith('+')) return text.startsWith('+') && !flags.plus ? text.slice(1) : text;
  return flags.plus ? `+${text}` : flags.blank ? ` ${text}` : text;
};

const INT_BASES: Readonly<Record<string, number>> = { d: 10, v: 10, b: 2, o: 8, O: 8, x: 16, X: 16 };
const INT_PREFIXES: Readonly<Record<string, string>> = { b: '0b', o: '0', O: '0o', x: '0x', X: '0X' };

const formatInt = (value: bigint, verb: string, flags: Flags): string | undefined => {
  if (verb === 'c') return pad(toByteText(runeText(value)), flags, false);
  if (verb === 'q') return pad(`'${toByteText(runeText(value))}'`, flags, false);
  if (verb === 'U') return pad(`U+${value.toString(16).toUpperCase().padStart(4, '0')}`, flags, false);
  const base = INT_BASES[verb];
  if (base === undefined) return undefined;
  let digits = (value < 0n ? -value : value).toString(base);
  if (verb === 'X') digits = digits.toUpperCase();
  if (flags.precision !== undefined) digits = digits.padStart(flags.precision, '0');
  if (flags.sharp || verb === 'O') digits = (INT_PREFIXES[verb] ?? '') + digits;
  return pad(signed((value < 0n ? '-' : '') + digits, flags), flags, flags.precision === undefined);
};

const runeText = (value: bigint): string =>
  value >= 0n && value <= 0x10ffffn ? String.fromCodePoint(Number(value)) : '\uFFFD';

const formatFloat = (value: number, verb: string, flags: Flags): string | undefined => {
  const letter = verb === 'E' || verb === 'G' ? 'E' : 'e';
  const { precision } = flags;
  switch (verb) {
    case 'v':
    case 'g':
    case 'G':
      return pad(signed(formatGeneral(value, precision ?? -1, letter), flags), flags, true);
    case 'e':
    case 'E':
      return pad(signed(formatExponent(value, precision ?? 6, letter), flags), flags, true);
    case 'f':
    case 'F':
      return pad(signed(formatFixed(value, precision ?? 6), flags), flags, true);
    default:
      return undefined;
  }
};

const hexBytes = (bytes: string, flags: Flags): string =>
  [...bytes].map((char) => char.charCodeAt(0).toString(16).padStart(2, '0')).join(flags.blank ? ' ' : '');

const formatString = (value: string, verb: string, flags: Flags): string | undefined => {
  const shown =
    flags.precision === undefined ? value : toByteText([...fromByteText(value)].slice(0, flags.precision).join(''));
  switch (verb) {
    case 'v':
      return pad(flags.sharp ? quoteBytes(shown) : shown, flags, true);
    case 's':
      return pad(shown, flags, true);
    case 'q':
      return pad(quoteBytes(shown), flags, true);
    case 'x':
      return pad(hexBytes(shown, flags), flags, true);
    case 'X':
      return pad(hexBytes(shown, flags).toUpperCase(), flags, true);
    default:
      return undefined;
  }
};

const badVerb = (value: GoValue, verb: string): string =>
  value === null || value === undefined ? `%!${verb}(<nil>)` : `%!${verb}(${typeName(value)}=${printValue(value)})`;

const formatList = (value: readonly GoValue[], verb: string, flags: Flags): string =>
  `[${value.map((item) => formatVerb(item, verb, flags)).join(' ')}]`;

const formatVerb = (value: GoValue, verb: string, flags: Flags): string => {
  if (verb === 'T') return pad(typeName(value), flags, false);
  if (typeof value === 'string') return formatString(value, verb, flags) ?? badVerb(value, verb);
  if (typeof value === 'number') return formatFloat(value, verb, flags) ?? badVerb(value, verb);
  if (typeof value === 'boolean') return 'tv'.includes(verb) ? pad(String(value), flags, false) : badVerb(value, verb);
  if (isList(value) && verb !== 'v') return formatList(value, verb, flags);
  const isText =
    value instanceof NamedInt || (typeof value === 'object' && value !== null && intOf(value) === undefined);
  if (isText && 'svq'.includes(verb)) {
    return formatString(printValue(value), verb === 'v' ? 's' : verb, flags) ?? badVerb(value, verb);
  }
  const int = intOf(value);
  if (int !== undefined) return formatInt(int, verb, flags) ?? badVerb(value, verb);
  return verb === 'v' ? pad(printValue(value), flags, false) : badVerb(value, verb);
};

/** fmt.Sprintf. Widths and precisions past a million are refused as Go does. */
export const sprintf = (format: string, values: readonly GoValue[]): string => {
  let used = 0;
  const size = (text: string | undefined): number | undefined => {
    if (text === undefined) return undefined;
    const number = text === '*' ? Number(intOf(values[used++]) ?? 0n) : Number(text);
    return Math.abs(number) > SIZE_MAX ? undefined : number;
  };
  const text = format.replace(VERB, (_, marks: string, width?: string, precision?: string, verb?: string) => {
    if (verb === undefined) return '%!(NOVERB)';
    const wide = size(width);
    const flags: Flags = {
      minus: marks.includes('-') || (wide ?? 0) < 0,
      plus: marks.includes('+'),
      sharp: marks.includes('#'),
      blank: marks.includes(' '),
      zero: marks.includes('0') && !marks.includes('-'),
      width: wide === undefined ? undefined : Math.abs(wide),
      precision: size(precision),
    };
    if (verb === '%') return '%';
    return used < values.length ? formatVerb(values[used++], verb, flags) : `%!${verb}(MISSING)`;
  });
  const extra = values.slice(used).map((value) => `${typeName(value)}=${printValue(value)}`);
  return extra.length === 0 ? text : `${text}%!(EXTRA ${extra.join(', ')})`;
};
