/** URL, base64 and JSON. */
import { toByteText } from './byte-text.ts';
import { quoteBytes } from './parser.ts';
import type { TemplateFunction } from './template-function.ts';
import { GoMap, type GoValue, TemplateError } from './values.ts';

const UNRESERVED = /[A-Za-z0-9\-_.~]/;

/** url.QueryEscape of bytes. */
export const queryEscape = (bytes: string): string => {
  let escaped = '';
  for (const char of bytes) {
    if (UNRESERVED.test(char)) escaped += char;
    else if (char === ' ') escaped += '+';
    else escaped += `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return escaped;
};

const BAD_ESCAPE = /%(?![0-9a-fA-F]{2}).{0,2}/s;

const queryUnescape = (bytes: string): string => {
  const bad = BAD_ESCAPE.exec(bytes);
  if (bad !== null) throw new TemplateError(`invalid URL escape ${quoteBytes(bad[0])}`);
  return bytes
    .replaceAll('+', ' ')
    .replace(/%([0-9a-fA-F]{2})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)));
};

const BASE64_CHAR = /[A-Za-z0-9+/]/;

/** Offset of the first byte that base64 (with padding) does not allow, −1 if all is well. */
const badBase64At = (text: string): number => {
  const body = text.replace(/={1,2}$/, '');
  for (let index = 0; index < body.length; index++) if (!BASE64_CHAR.test(body[index]!)) return index;
  if (text.length % 4 === 0) return body.length % 4 === 1 ? body.length : -1;
  return text.length - (text.length % 4);
};

/** sprig gives the text of the error as the result. */
const base64Decode = (bytes: string): string => {
  const text = bytes.replace(/[\r\n]/g, '');
  const bad = badBase64At(text);
  if (bad >= 0) return `illegal base64 data at input byte ${bad}`;
  return Buffer.from(text, 'base64').toString('latin1');
};

const byKey = ([left]: readonly [string, unknown], [right]: readonly [string, unknown]): number =>
  left < right ? -1 : left > right ? 1 : 0;

const fromJsonValue = (value: unknown): GoValue => {
  if (typeof value === 'string') return toByteText(value);
  if (Array.isArray(value)) return value.map(fromJsonValue);
  if (typeof value !== 'object' || value === null) return value as GoValue;
  const entries = Object.entries(value).map(([key, item]) => [toByteText(key), fromJsonValue(item)] as const);
  const map = new Map(entries.sort(byKey));
  return new GoMap(() => map, false);
};

/** nil for what is no JSON. */
const fromJson = (bytes: string): GoValue => {
  try {
    return fromJsonValue(JSON.parse(Buffer.from(bytes, 'latin1').toString('utf8')));
  } catch {
    return null;
  }
};

const fromString = (change: (text: string) => GoValue): TemplateFunction => ({
  parameters: ['string'],
  call: (text: string) => change(text),
});

export const ENCODING_FUNCTIONS: Readonly<Record<string, TemplateFunction>> = {
  urlencode: fromString(queryEscape),
  urldecode: fromString(queryUnescape),
  b64enc: fromString((bytes) => Buffer.from(bytes, 'latin1').toString('base64')),
  b64dec: fromString(base64Decode),
  fromJson: fromString(fromJson),
};
