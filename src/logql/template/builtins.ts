/** Functions of Go's text/template itself. `and` and `or` are the executor's. */
import { fromByteText, toByteText } from './byte-text.ts';
import { queryEscape } from './functions-encoding.ts';
import { sprint, sprintf, sprintln } from './go-print.ts';
import { GoTime } from './go-time.ts';
import type { TemplateFunction } from './template-function.ts';
import { GoMap, type GoValue, intOf, isList, isTrue, TemplateError, TypedInt, typeName } from './values.ts';

const length = (value: GoValue): bigint => {
  if (typeof value === 'string') return BigInt(value.length);
  if (isList(value)) return BigInt(value.length);
  if (value instanceof GoMap) return BigInt(value.entries.size);
  if (value === null || value === undefined) throw new TemplateError('len of nil pointer');
  throw new TemplateError(`len of type ${typeName(value)}`);
};

const position = (index: GoValue, size: number): number => {
  if (index === null || index === undefined) throw new TemplateError('cannot index slice/array with nil');
  const at = intOf(index);
  if (at === undefined) throw new TemplateError(`cannot index slice/array with type ${typeName(index)}`);
  if (at < 0n || at > BigInt(size)) throw new TemplateError(`index out of range: ${at}`);
  return Number(at);
};

const element = (value: GoValue, index: GoValue): GoValue => {
  if (value === null || value === undefined) throw new TemplateError('index of nil pointer');
  if (value instanceof GoMap) {
    if (typeof index === 'string') return value.get(index);
    throw new TemplateError(`value has type ${typeName(index)}; should be string`);
  }
  if (typeof value !== 'string' && !isList(value))
    throw new TemplateError(`can't index item of type ${typeName(value)}`);
  const at = position(index, value.length);
  if (at === value.length) throw new TemplateError(`index out of range: ${at}`);
  return typeof value === 'string' ? new TypedInt(BigInt(value.charCodeAt(at)), 'uint8') : value[at];
};

const index = (value: GoValue, ...indexes: readonly GoValue[]): GoValue => {
  if (value === null || value === undefined) throw new TemplateError('index of untyped nil');
  return indexes.reduce<GoValue>(element, value);
};

const slice = (value: GoValue, ...indexes: readonly GoValue[]): GoValue => {
  if (value === null || value === undefined) throw new TemplateError('slice of untyped nil');
  if (indexes.length > 3) throw new TemplateError(`too many slice indexes: ${indexes.length}`);
  if (typeof value === 'string' && indexes.length === 3) throw new TemplateError('cannot 3-index slice a string');
  if (typeof value !== 'string' && !isList(value))
    throw new TemplateError(`can't slice item of type ${typeName(value)}`);
  const [start = 0, end = value.length] = indexes.map((at) => position(at, value.length));
  if (start > end) throw new TemplateError(`invalid slice index: ${start} > ${end}`);
  return value.slice(start, end);
};

type Kind = 'bool' | 'int' | 'float' | 'string' | 'nil' | 'other';

const kindOf = (value: GoValue): Kind => {
  if (value === null || value === undefined) return 'nil';
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'number') return 'float';
  if (typeof value === 'string') return 'string';
  return intOf(value) === undefined ? 'other' : 'int';
};

const mismatch = (left: GoValue, right: GoValue): TemplateError =>
  new TemplateError(`incompatible types for comparison: ${typeName(left)} and ${typeName(right)}`);

const isEqual = (left: GoValue, right: GoValue): boolean => {
  const kind = kindOf(left);
  if (kind === 'nil' || kindOf(right) === 'nil') return kind === kindOf(right);
  if (kind === 'other') {
    if (left instanceof GoTime && right instanceof GoTime) return left.ns === right.ns;
    throw new TemplateError(`non-comparable type ${sprint([left])}: ${typeName(left)}`);
  }
  if (kind !== kindOf(right)) throw mismatch(left, right);
  return kind === 'int' ? intOf(left) === intOf(right) : left === right;
};

const equals = (left: GoValue, ...others: readonly GoValue[]): boolean => {
  if (others.length === 0) throw new TemplateError('missing argument for comparison');
  return others.some((other) => isEqual(left, other));
};

const isLess = (left: GoValue, right: GoValue): boolean => {
  const kind = kindOf(left);
  if (kind !== kindOf(right)) throw mismatch(left, right);
  if (kind === 'bool' || kind === 'nil' || kind === 'other') throw new TemplateError('invalid type for comparison');
  if (kind === 'int') return intOf(left)! < intOf(right)!;
  return (left as string | number) < (right as string | number);
};

const comparing = (compare: (left: GoValue, right: GoValue) => boolean): TemplateFunction => ({
  parameters: ['value', 'value'],
  call: compare,
});

const HTML: Readonly<Record<string, string>> = {
  '\0': '\uFFFD',
  '"': '&#34;',
  "'": '&#39;',
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
};

const JS: Readonly<Record<string, string>> = {
  '\\': '\\\\',
  "'": "\\'",
  '"': '\\"',
  '<': '\\u003C',
  '>': '\\u003E',
  '&': '\\u0026',
  '=': '\\u003D',
};

const jsRune = (rune: string): string =>
  JS[rune] ?? `\\u${rune.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}`;

const textOf = (values: readonly GoValue[]): string => fromByteText(sprint(values));

const onTexts = (change: (values: readonly GoValue[]) => string): TemplateFunction => ({
  parameters: [],
  rest: 'any',
  call: (...values: readonly GoValue[]) => change(values),
});

export const BUILTINS: Readonly<Record<string, TemplateFunction>> = {
  not: { parameters: ['value'], call: (value: GoValue) => !isTrue(value) },
  len: { parameters: ['value'], call: length },
  index: { parameters: ['value'], rest: 'value', call: index },
  slice: { parameters: ['value'], rest: 'value', call: slice },
  print: onTexts(sprint),
  println: onTexts(sprintln),
  printf: {
    parameters: ['string'],
    rest: 'any',
    call: (format: string, ...values: readonly GoValue[]) => sprintf(format, values),
  },
  html: onTexts((values) => toByteText(textOf(values).replace(/[\0"'&<>]/g, (char) => HTML[char]!))),
  js: onTexts((values) =>
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are escaped
    toByteText(textOf(values).replace(/[\\'"<>&=\0-\x1f\x7f]|[^\0-\x7f\p{L}\p{M}\p{N}\p{P}\p{S}]/gu, jsRune)),
  ),
  urlquery: onTexts((values) => queryEscape(sprint(values))),
  call: {
    parameters: ['value'],
    rest: 'value',
    call: (value: GoValue) => {
      const isNil = value === null || value === undefined;
      throw new TemplateError(isNil ? 'call of nil' : `non-function of type ${typeName(value)}`);
    },
  },
  eq: { parameters: ['value'], rest: 'value', call: equals },
  ne: comparing((left, right) => !isEqual(left, right)),
  lt: comparing(isLess),
  le: comparing((left, right) => isLess(left, right) || isEqual(left, right)),
  gt: comparing((left, right) => !(isLess(left, right) || isEqual(left, right))),
  ge: comparing((left, right) => !isLess(left, right)),
  default: {
    parameters: ['any'],
    rest: 'any',
    call: (fallback: GoValue, given?: GoValue) => (isTrue(given) ? given : fallback),
  },
};
