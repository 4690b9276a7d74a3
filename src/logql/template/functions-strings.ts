/** Functions on strings. Sprig's take the string last, Go's own (capital letter) take it first. */
import type { RE2JS } from 're2js';
import { compileGoRegex } from '../regex.ts';
import { fromByteText, onText, toByteText } from './byte-text.ts';
import { checkSize, TEXT_BYTES_MAX } from './limits.ts';
import type { TemplateFunction } from './template-function.ts';
import { TemplateError } from './values.ts';

const fromString = (change: (text: string) => string): TemplateFunction => ({
  parameters: ['string'],
  call: (text: string) => change(text),
});

const fromStrings = (change: (first: string, second: string) => string | boolean): TemplateFunction => ({
  parameters: ['string', 'string'],
  call: (first: string, second: string) => change(first, second),
});

const lower = (bytes: string): string => onText(bytes, (text) => text.toLowerCase());

/** strings.ToUpper maps rune by rune: what needs more runes (ß) stays. */
const upperRune = (rune: string): string => {
  const upper = rune.toUpperCase();
  return [...upper].length === 1 ? upper : rune;
};

const upper = (bytes: string): string => onText(bytes, (text) => text.replace(/\p{L}|\p{M}|\p{N}|\p{S}/gu, upperRune));

const title = (bytes: string): string =>
  onText(bytes, (text) => text.replace(/(?<![\p{L}\p{N}_]|[^\0-\x7f\s])\p{L}/gu, upperRune));

const trimSpace = (bytes: string): string => onText(bytes, (text) => text.trim());

const trimLeftSet = (bytes: string, set: string): string => {
  const cut = new Set(fromByteText(set));
  const runes = [...fromByteText(bytes)];
  let start = 0;
  while (start < runes.length && cut.has(runes[start]!)) start++;
  return start === 0 ? bytes : toByteText(runes.slice(start).join(''));
};

const trimRightSet = (bytes: string, set: string): string => {
  const cut = new Set(fromByteText(set));
  const runes = [...fromByteText(bytes)];
  let end = runes.length;
  while (end > 0 && cut.has(runes[end - 1]!)) end--;
  return end === runes.length ? bytes : toByteText(runes.slice(0, end).join(''));
};

const trimSet = (text: string, set: string): string => trimRightSet(trimLeftSet(text, set), set);
const trimPrefix = (text: string, prefix: string): string =>
  text.startsWith(prefix) ? text.slice(prefix.length) : text;
const trimSuffix = (text: string, suffix: string): string =>
  suffix !== '' && text.endsWith(suffix) ? text.slice(0, -suffix.length) : text;

/** strings.Replace; count −1 for all. */
const replace = (text: string, old: string, fresh: string, count: number): string => {
  if (count === 0) return text;
  const parts = old === '' ? ['', ...fromByteText(text)].map(toByteText) : text.split(old);
  const times = count < 0 ? parts.length - 1 : Math.min(count, parts.length - 1);
  checkSize(text.length + times * fresh.length);
  const head = parts.slice(0, times + 1).join(fresh);
  const rest = parts.slice(times + 1);
  const joined = rest.length === 0 ? head : [head, ...rest].join(old);
  return old === '' && (count < 0 || times < count) ? joined + fresh : joined;
};

const repeat = (count: number, text: string): string => {
  if (count < 0) throw new TemplateError('strings: negative Repeat count');
  checkSize(text.length * count);
  return text.repeat(count);
};

const indent = (spaces: number, text: string): string => {
  if (spaces < 0) throw new TemplateError('strings: negative Repeat count');
  const pad = ' '.repeat(Math.min(spaces, TEXT_BYTES_MAX));
  return pad + replace(text, '\n', `\n${pad}`, -1);
};

const trunc = (count: number, text: string): string => {
  if (count < 0 && text.length + count > 0) return text.slice(text.length + count);
  return count >= 0 && text.length > count ? text.slice(0, count) : text;
};

const substr = (start: number, end: number, text: string): string => {
  if (start < 0) return slice(text, 0, end);
  if (end < 0 || end > text.length) return slice(text, start, text.length);
  return slice(text, start, end);
};

/** Go's text[start:end] with its panics as errors. */
const slice = (text: string, start: number, end: number): string => {
  const panic = (bounds: string): TemplateError =>
    new TemplateError(`runtime error: slice bounds out of range [${bounds}]`);
  if (end < 0) throw panic(`:${end}`);
  if (end > text.length) throw panic(`:${end}] with length ${text.length}`.replace(/\]$/, ''));
  if (start > end) throw panic(`${start}:${end}`);
  return text.slice(start, end);
};

const align = (count: number, bytes: string, keepsRight: boolean): string => {
  if (count < 0) return bytes;
  checkSize(count);
  const runes = [...fromByteText(bytes)];
  if (runes.length >= count) {
    return toByteText((keepsRight ? runes.slice(runes.length - count) : runes.slice(0, count)).join(''));
  }
  const pad = ' '.repeat(count - runes.length);
  return keepsRight ? pad + bytes : bytes + pad;
};

const counted = (change: (count: number, text: string) => string): TemplateFunction => ({
  parameters: ['int', 'string'],
  call: (count: bigint, text: string) => change(Number(count), text),
});

const REGEXES_MAX = 100;
const regexes = new Map<string, RE2JS>();

/** Compiled once: templates run for every line. */
const regexOf = (pattern: string): RE2JS => {
  const known = regexes.get(pattern);
  if (known !== undefined) return known;
  if (regexes.size >= REGEXES_MAX) regexes.clear();
  try {
    const regex = compileGoRegex(fromByteText(pattern));
    regexes.set(pattern, regex);
    return regex;
  } catch (error) {
    throw new TemplateError((error as Error).message, { cause: error });
  }
};

const replaceMatches = (
  pattern: string,
  bytes: string,
  expand: (groups: (index: string) => string) => string,
): string => {
  const text = fromByteText(bytes);
  const regex = regexOf(pattern);
  const matcher = regex.matcher(text);
  const names = regex.namedGroups();
  let result = '';
  let position = 0;
  while (matcher.find()) {
    const group = (name: string): string => {
      const index = /^[0-9]+$/.test(name) ? Number(name) : (names[name] ?? -1);
      return index < 0 || index > regex.groupCount() ? '' : (matcher.group(index) ?? '');
    };
    result += text.slice(position, matcher.start()) + expand(group);
    position = matcher.end();
    checkSize(result.length);
  }
  return toByteText(result + text.slice(position));
};

const REFERENCE = /\$(?:\$|([A-Za-z0-9_]+)|\{([A-Za-z0-9_]+)\})/g;

const expandTemplate = (template: string, group: (name: string) => string): string =>
  template.replace(REFERENCE, (match, bare?: string, braced?: string) =>
    match === '$$' ? '$' : group(bare ?? braced!),
  );

const countMatches = (pattern: string, bytes: string): bigint => {
  const matcher = regexOf(pattern).matcher(fromByteText(bytes));
  let count = 0n;
  while (matcher.find()) count++;
  return count;
};

export const STRING_FUNCTIONS: Readonly<Record<string, TemplateFunction>> = {
  lower: fromString(lower),
  upper: fromString(upper),
  title: fromString(title),
  trim: fromString(trimSpace),
  trimAll: fromStrings((set, text) => trimSet(text, set)),
  trimPrefix: fromStrings((prefix, text) => trimPrefix(text, prefix)),
  trimSuffix: fromStrings((suffix, text) => trimSuffix(text, suffix)),
  replace: {
    parameters: ['string', 'string', 'string'],
    call: (old: string, fresh: string, text: string) => replace(text, old, fresh, -1),
  },
  repeat: counted(repeat),
  contains: fromStrings((part, text) => text.includes(part)),
  hasPrefix: fromStrings((part, text) => text.startsWith(part)),
  hasSuffix: fromStrings((part, text) => text.endsWith(part)),
  indent: counted(indent),
  nindent: counted((count, text) => `\n${indent(count, text)}`),
  ToLower: fromString(lower),
  ToUpper: fromString(upper),
  TrimSpace: fromString(trimSpace),
  Trim: fromStrings(trimSet),
  TrimLeft: fromStrings(trimLeftSet),
  TrimRight: fromStrings(trimRightSet),
  TrimPrefix: fromStrings(trimPrefix),
  TrimSuffix: fromStrings(trimSuffix),
  Replace: {
    parameters: ['string', 'string', 'string', 'int'],
    call: (text: string, old: string, fresh: string, count: bigint) => replace(text, old, fresh, Number(count)),
  },
  trunc: counted(trunc),
  substr: {
    parameters: ['int', 'int', 'string'],
    call: (start: bigint, end: bigint, text: string) => substr(Number(start), Number(end), text),
  },
  alignLeft: counted((count, text) => align(count, text, false)),
  alignRight: counted((count, text) => align(count, text, true)),
  regexReplaceAll: {
    parameters: ['string', 'string', 'string'],
    call: (pattern: string, text: string, template: string) => {
      const wanted = fromByteText(template);
      return replaceMatches(pattern, text, (group) => expandTemplate(wanted, group));
    },
  },
  regexReplaceAllLiteral: {
    parameters: ['string', 'string', 'string'],
    call: (pattern: string, text: string, fresh: string) => replaceMatches(pattern, text, () => fromByteText(fresh)),
  },
  count: { parameters: ['string', 'string'], call: countMatches },
};
