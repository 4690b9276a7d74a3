/** Constants of Go's syntax, as they stand in templates. */
import { toByteText } from './byte-text.ts';

const INT = /^[+-]?(?:0[xX](?:_?[0-9a-fA-F])+|0[oO]?(?:_?[0-7])+|0[bB](?:_?[01])+|0|[1-9](?:_?[0-9])*)$/;
const FLOAT =
  /^[+-]?(?:[0-9](?:_?[0-9])*\.?(?:[0-9](?:_?[0-9])*)?|\.[0-9](?:_?[0-9])*)(?:[eE][+-]?[0-9](?:_?[0-9])*)?$/;
const INT_MAX = 2n ** 63n - 1n;

const isInt64 = (value: bigint): boolean => value <= INT_MAX && value >= -INT_MAX - 1n;

/** An integer as strconv.ParseInt(text, 0, 64) reads it: with 0x, 0b, 0o or a plain 0 for octal. */
export const parseIntLiteral = (text: string): bigint | undefined => {
  if (!INT.test(text)) return undefined;
  const isNegative = text.startsWith('-');
  const digits = text
    .replace(/^[+-]/, '')
    .replaceAll('_', '')
    .replace(/^0[oO]?(?=[0-7])/, '0o');
  const value = isNegative ? -BigInt(digits) : BigInt(digits);
  return isInt64(value) ? value : undefined;
};

/** A number constant as the kinds it can be: `1e3` is also an int, `5` also a float. undefined if it is none. */
export const parseNumberLiteral = (
  text: string,
): { readonly int: bigint | undefined; readonly float: number | undefined } | undefined => {
  const int = parseIntLiteral(text);
  if (int !== undefined) return { int, float: Number(int) };
  if (!FLOAT.test(text)) return undefined;
  const float = Number(text.replaceAll('_', ''));
  if (!Number.isFinite(float)) return undefined;
  const asInt = Number.isInteger(float) && Math.abs(float) < 2 ** 63 ? BigInt(float) : undefined;
  return { int: asInt, float };
};

const ESCAPES: Readonly<Record<string, string>> = {
  a: '\u0007',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
  "'": "'",
  '"': '"',
};
const ESCAPE = /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|([\s\S]))/g;

class BadEscape extends Error {}

const expand =
  (quote: string) =>
  (match: string, ...groups: (string | undefined)[]): string => {
    const [byte, short, long, octal, char] = groups;
    if (byte !== undefined) return String.fromCharCode(Number.parseInt(byte, 16));
    if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8) & 0xff);
    const code = short ?? long;
    if (code !== undefined) {
      const point = Number.parseInt(code, 16);
      if (point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) throw new BadEscape(match);
      return toByteText(String.fromCodePoint(point));
    }
    const plain = ESCAPES[char!];
    if (plain === undefined || ((char === '"' || char === "'") && char !== quote)) throw new BadEscape(match);
    return plain;
  };

/** The bytes of a quoted constant, quotes included; undefined if an escape is not Go's. */
export const unquote = (quoted: string): string | undefined => {
  const quote = quoted[0]!;
  const body = quoted.slice(1, -1);
  if (quote === '`') return body.replaceAll('\r', '');
  try {
    return body.replace(ESCAPE, expand(quote));
  } catch (error) {
    if (error instanceof BadEscape) return undefined;
    throw error;
  }
};
