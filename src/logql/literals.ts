/** The values of string and number tokens, after Go's rules. */
import { textOfBytes } from '../protocol/byte-text.ts';
import { quoteGo } from '../protocol/go-quote.ts';

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['a', '\u0007'],
  ['b', '\b'],
  ['f', '\f'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
  ['v', '\v'],
  ['\\', '\\'],
  ['"', '"'],
]);

/**
 * The text between double quotes with its escapes resolved. The lexer has checked their form; undefined if one names no character
 * (`\400`, `\ud800`). `\xHH` and `\ooo` are bytes: those that do not form UTF-8 become lone surrogates (see byte-text.ts).
 */
export const unescapeString = (body: string): string | undefined => {
  if (!body.includes('\\')) return body;
  let text = '';
  let bytes: number[] = [];
  const flush = () => {
    if (bytes.length > 0) text += textOfBytes(Uint8Array.from(bytes));
    bytes = [];
  };
  for (let at = 0; at < body.length; ) {
    const byte = byteEscape(body, at);
    if (byte !== undefined) {
      if (byte > 0xff) return undefined;
      bytes.push(byte);
      at += 4;
      continue;
    }
    flush();
    const { character, length } = characterAt(body, at);
    if (character === undefined) return undefined;
    text += character;
    at += length;
  }
  flush();
  return text;
};

const byteEscape = (body: string, at: number): number | undefined => {
  if (body[at] !== '\\') return undefined;
  const kind = body.charAt(at + 1);
  if (kind === 'x') return Number.parseInt(body.slice(at + 2, at + 4), 16);
  return kind >= '0' && kind <= '7' ? Number.parseInt(body.slice(at + 1, at + 4), 8) : undefined;
};

const characterAt = (body: string, at: number): { character: string | undefined; length: number } => {
  if (body[at] !== '\\') return { character: body.charAt(at), length: 1 };
  const kind = body.charAt(at + 1);
  const digits = kind === 'u' ? 4 : kind === 'U' ? 8 : 0;
  if (digits === 0) return { character: ESCAPES.get(kind), length: 2 };
  const code = Number.parseInt(body.slice(at + 2, at + 2 + digits), 16);
  const isCharacter = code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
  return { character: isCharacter ? String.fromCodePoint(code) : undefined, length: 2 + digits };
};

export type ParsedFloat = { readonly value: number } | { readonly value: number; readonly error: string };

/** Go's ParseFloat on the text of a NUMBER token. With an error the value is what Go returns beside it (0 or Infinity). */
export const parseGoFloat = (text: string): ParsedFloat => {
  const digits = text.replaceAll('_', '');
  const value = /^0[xX]/.test(digits)
    ? hexFloat(digits)
    : /^[0-9.]+(?:[eE][+-]?[0-9]+)?$/.test(digits)
      ? Number(digits)
      : Number.NaN;
  if (Number.isNaN(value)) return { value: 0, error: floatError(text, 'invalid syntax') };
  return Number.isFinite(value) ? { value } : { value, error: floatError(text, 'value out of range') };
};

const floatError = (text: string, reason: string): string => `strconv.ParseFloat: parsing ${quoteGo(text)}: ${reason}`;

const hexFloat = (text: string): number => {
  const parts = /^0[xX]([0-9a-fA-F]*)(?:\.([0-9a-fA-F]*))?[pP]([+-]?[0-9]+)$/.exec(text);
  const [, whole = '', fraction = '', exponent = ''] = parts ?? [];
  if (whole + fraction === '') return Number.NaN;
  return Number(BigInt(`0x${whole}${fraction}`)) * 2 ** (Number(exponent) - 4 * fraction.length);
};

/** Shortest decimal without an exponent: Go's FormatFloat(v, 'f', -1). */
export const formatPlainFloat = (value: number): string => {
  const text = Object.is(value, -0) ? '-0' : String(value);
  const parts = /^(-?)([0-9])(?:\.([0-9]+))?e([+-][0-9]+)$/.exec(text);
  if (parts === null) return text;
  const [, sign = '', first = '', rest = '', exponentText = ''] = parts;
  const exponent = Number(exponentText);
  const digits = first + rest;
  return exponent < 0 ? `${sign}0.${'0'.repeat(-exponent - 1)}${digits}` : sign + digits.padEnd(exponent + 1, '0');
};

/** Shortest decimal, with an exponent below 1e-4 and from 1e21 on: Go's `%v`. */
export const formatFloat = (value: number): string => {
  const size = Math.abs(value);
  if (size === 0 || (size >= 1e-4 && size < 1e21)) return formatPlainFloat(value);
  const [mantissa = '', exponent = ''] = value.toExponential().split('e');
  return `${mantissa}e${exponent.charAt(0)}${exponent.slice(1).padStart(2, '0')}`;
};
