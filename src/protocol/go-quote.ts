import { isPrintable } from './unicode-printable.ts';

const PLAIN = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;

const SHORT_ESCAPES = new Map<number, string>([
  [0x07, '\\a'],
  [0x08, '\\b'],
  [0x0c, '\\f'],
  [0x0a, '\\n'],
  [0x0d, '\\r'],
  [0x09, '\\t'],
  [0x0b, '\\v'],
  [0x5c, '\\\\'],
]);

/** Go's strconv.Quote with the tables of Unicode 13. Escaped bytes (`byte-text.ts`) are written as `\xff`. */
export const quoteGo = (text: string): string => (PLAIN.test(text) ? `"${text}"` : quoteWith(text, '"'));

/** Go's `%q` of one character: `'ö'`, `'\n'`. */
export const quoteGoRune = (character: string): string => quoteWith(character, "'");

const quoteWith = (text: string, quote: string): string => {
  let quoted = quote;
  for (const character of text) quoted += character === quote ? `\\${quote}` : escaped(character);
  return quoted + quote;
};

const escaped = (character: string): string => {
  const codePoint = character.codePointAt(0)!;
  const short = SHORT_ESCAPES.get(codePoint);
  if (short !== undefined) return short;
  if (codePoint >= 0xdc80 && codePoint <= 0xdcff) return `\\x${hex(codePoint - 0xdc00, 2)}`;
  if (isPrintable(codePoint)) return character;
  if (codePoint < 0x20 || codePoint === 0x7f) return `\\x${hex(codePoint, 2)}`;
  // A surrogate that stands for nothing: it would be written as U+FFFD.
  if (codePoint >= 0xd800 && codePoint <= 0xdfff) return '\ufffd';
  return codePoint < 0x10000 ? `\\u${hex(codePoint, 4)}` : `\\U${hex(codePoint, 8)}`;
};

const hex = (value: number, width: number): string => value.toString(16).padStart(width, '0');
