/** Label-set text: `{app="web", env="dev"}` ↔ LabelSet. */
import { bytesOfText, textOfBytes } from './byte-text.ts';
import { fingerprintOf } from './fingerprint.ts';
import { quoteGo } from './go-quote.ts';
import { LabelLexer, type Token } from './label-lexer.ts';
import type { LabelSet } from './label-set.ts';
import { RefusedError } from './refusal.ts';

/** Longer text is refused before it is looked at: the label limits allow a small part of this (chosen; Loki stops at 16 MiB). */
const LABEL_TEXT_BYTES_MAX = 1024 * 1024;

/** Names come again in every stream, and so do most values of those that are pushed: what runs, where. One copy of each is kept. */
const names = new Map<string, string>();
const values = new Map<string, string>();
const INTERNED_MAX = 4096;
/** Longer texts are not kept. */
const INTERNED_LENGTH_MAX = 64;

/**
 * Reads label-set text as it was pushed. A name twice is not refused here: validation does, with its own text.
 * @throws RefusedError BAD_REQUEST with Loki's text, TOO_LARGE
 */
export const parseLabelText = (bytes: Uint8Array): LabelSet => labelSetOf(parseLabelPairs(bytes));

/** … as name1, value1, … in the order of the text. @throws RefusedError as parseLabelText */
export const parseLabelPairs = (bytes: Uint8Array): readonly string[] => {
  if (bytes.length > LABEL_TEXT_BYTES_MAX) {
    const text = `stream labels size ${bytes.length} exceeds limit of ${LABEL_TEXT_BYTES_MAX}`;
    throw new RefusedError({ code: 'TOO_LARGE', text });
  }
  return new LabelParser(bytes).parse();
};

/** The label set whose canonical text it is. */
export const labelsOfCanonical = (text: string): LabelSet => labelSetOf(new LabelParser(bytesOfText(text)).parse());

/** @param pairs name1, value1, … in any order; those with an empty value are dropped */
export const labelSetOf = (pairs: readonly string[]): LabelSet => {
  const sorted = sortedPairs(pairs);
  return { pairs: sorted, canonical: canonicalText(sorted), fingerprint: fingerprintOf(sorted) };
};

/** `{name1="value1", name2="value2"}` of pairs in the order given. The text is flat: it shares nothing with its parts. */
export const canonicalText = (pairs: readonly string[]): string => {
  const parts: string[] = [];
  for (let index = 0; index < pairs.length; index += 2) {
    parts.push(index === 0 ? '{' : ', ', pairs[index]!, '=', quoteGo(pairs[index + 1]!));
  }
  parts.push(pairs.length === 0 ? '{}' : '}');
  return parts.join('');
};

const sortedPairs = (pairs: readonly string[]): readonly string[] => {
  // Of just the size: there may be a million, and what is pushed to has room to grow.
  const order = isSorted(pairs) ? undefined : sortedOrder(pairs);
  const sorted = new Array<string>(order ? 2 * order.length : pairs.length);
  for (let at = 0; at < sorted.length; at += 2) {
    const from = order ? order[at / 2]! : at;
    sorted[at] = interned(names, pairs[from]!);
    sorted[at + 1] = pairs[from + 1]!;
  }
  return sorted;
};

/** … and without empty values: the usual case, since label sets are written in this order. */
const isSorted = (pairs: readonly string[]): boolean => {
  for (let index = 0; index < pairs.length; index += 2) {
    if (pairs[index + 1] === '' || (index > 0 && compareBytes(pairs[index - 2]!, pairs[index]!) > 0)) return false;
  }
  return true;
};

/** Where the pairs begin that have a value. */
const sortedOrder = (pairs: readonly string[]): readonly number[] => {
  const order: number[] = [];
  for (let index = 0; index < pairs.length; index += 2) if (pairs[index + 1] !== '') order.push(index);
  return order.sort((left, right) => compareBytes(pairs[left]!, pairs[right]!));
};

/** Order of the UTF-8 bytes. */
export const compareBytes = (left: string, right: string): number => {
  if (left === right) return 0;
  const shared = Math.min(left.length, right.length);
  let index = 0;
  while (index < shared && left.charCodeAt(index) === right.charCodeAt(index)) index += 1;
  if (index === shared) return left.length - right.length;
  const leftUnit = left.charCodeAt(index);
  const rightUnit = right.charCodeAt(index);
  // UTF-16 has another order than UTF-8 only where surrogates stand against what lies beyond them.
  if (leftUnit < 0xd800 && rightUnit < 0xd800) return leftUnit - rightUnit;
  return Buffer.compare(bytesOfText(left), bytesOfText(right));
};

/** Forgotten all at once when there are too many: those of pods come and go. */
const interned = (known: Map<string, string>, text: string): string => {
  const same = known.get(text);
  if (same !== undefined || text.length > INTERNED_LENGTH_MAX) return same ?? text;
  if (known.size >= INTERNED_MAX) known.clear();
  known.set(text, text);
  return text;
};

const IN_LABEL_SET = ' in label set';

/** `[metric name] [ "{" [ name = string { "," name = string } [ "," ] ] "}" ]`, with PromQL's errors. */
class LabelParser {
  readonly #bytes: Uint8Array;
  readonly #lexer: LabelLexer;
  readonly #pairs: string[] = [];
  #token: Token;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#lexer = new LabelLexer(bytes);
    this.#token = this.#lexer.next();
  }

  parse(): readonly string[] {
    if (this.#isType('identifier')) {
      this.#pairs.push('__name__', textOfBytes(this.#bytes, this.#token.start, this.#token.end));
      this.#advance();
    }
    if (this.#is('{')) this.#labels();
    if (!this.#isType('end')) this.#refuse();
    return this.#pairs;
  }

  #labels(): void {
    this.#advance();
    while (!this.#is('}')) {
      this.#label();
      if (this.#is(',')) this.#advance();
      else if (!this.#is('}')) this.#refuse(`${IN_LABEL_SET}, expected "," or "}"`);
    }
    this.#advance();
  }

  #label(): void {
    if (!this.#isType('identifier')) this.#refuse(`${IN_LABEL_SET}, expected identifier or "}"`);
    this.#pairs.push(textOfBytes(this.#bytes, this.#token.start, this.#token.end));
    this.#advance();
    if (!this.#is('=')) this.#refuse(`${IN_LABEL_SET}, expected "="`);
    this.#advance();
    if (!this.#isType('string')) this.#refuse(`${IN_LABEL_SET}, expected string`);
    this.#pairs.push(interned(values, unquoted(this.#bytes, this.#token.start, this.#token.end)));
    this.#advance();
  }

  #advance(): void {
    this.#token = this.#lexer.next();
  }

  #isType(type: Token['type']): boolean {
    return this.#token.type === type;
  }

  #is(punctuation: string): boolean {
    return this.#token.type === 'punctuation' && this.#bytes[this.#token.start] === punctuation.charCodeAt(0);
  }

  #refuse(context = ''): never {
    const { type, start, text } = this.#token;
    const reason = type === 'error' ? text : `unexpected ${this.#described()}${context}`;
    throw new RefusedError({
      code: 'BAD_REQUEST',
      text: `couldn't parse labels: ${positionOf(this.#bytes, start)}: parse error: ${reason}`,
    });
  }

  /** The token as PromQL's errors name it. */
  #described(): string {
    const { type, start, end } = this.#token;
    if (type === 'end') return 'end of input';
    const text = textOfBytes(this.#bytes, start, end);
    if (type === 'operator') return `<op:${text}>`;
    if (type === 'punctuation') return quoteGo(text);
    if (type === 'identifier') return `identifier ${quoteGo(text)}`;
    const runes = [...text];
    return runes.length > 10 ? `${type} ${quoteGo(runes.slice(0, 10).join(''))}...` : `${type} ${quoteGo(text)}`;
  }
}

/** `line:column`, both from 1; columns are bytes. */
const positionOf = (bytes: Uint8Array, at: number): string => {
  let line = 1;
  let lineStart = 0;
  for (let index = 0; index < at; index += 1) {
    if (bytes[index] !== 0x0a) continue;
    line += 1;
    lineStart = index + 1;
  }
  return `${line}:${at - lineStart + 1}`;
};

const ESCAPE_BYTES = new Map([...'abfnrtv'].map((letter, index) => [letter, [7, 8, 12, 10, 13, 9, 11][index]!]));

/** The value of a string token. `\x` and octal escapes are bytes, as in Go, so the value need not be UTF-8. */
const unquoted = (bytes: Uint8Array, start: number, end: number): string => {
  const isRaw = bytes[start] === 0x60;
  if (isRaw || !bytes.subarray(start, end).includes(0x5c)) return textOfBytes(bytes, start + 1, end - 1);
  const value = Buffer.allocUnsafe(end - start);
  let used = 0;
  let at = start + 1;
  while (at < end - 1) {
    if (bytes[at] === 0x5c) {
      const escaped = escapedBytes(bytes, at);
      value.set(escaped.value, used);
      used += escaped.value.length;
      at += escaped.size;
    } else {
      value[used] = bytes[at]!;
      used += 1;
      at += 1;
    }
  }
  return textOfBytes(value, 0, used);
};

/** The escape sequence at `at`, which the lexer has checked: its size and what it stands for. */
const escapedBytes = (bytes: Uint8Array, at: number): { size: number; value: Uint8Array } => {
  const kind = String.fromCharCode(bytes[at + 1]!);
  const digits = (start: number, count: number, base: number): number =>
    Number.parseInt(textOfBytes(bytes, start, start + count), base);
  if (kind >= '0' && kind <= '7') return { size: 4, value: Buffer.of(digits(at + 1, 3, 8)) };
  if (kind === 'x') return { size: 4, value: Buffer.of(digits(at + 2, 2, 16)) };
  if (kind !== 'u' && kind !== 'U') return { size: 2, value: Buffer.of(ESCAPE_BYTES.get(kind) ?? bytes[at + 1]!) };
  const count = kind === 'u' ? 4 : 8;
  return { size: 2 + count, value: Buffer.from(String.fromCodePoint(digits(at + 2, count, 16))) };
};
