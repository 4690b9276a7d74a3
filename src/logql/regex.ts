/**
 * Go's regular expressions over lines and label values. re2js matches in linear time and refuses what Go refuses; around it, patterns that
 * are only literals are searched as bytes, and literals that a match must contain are looked for first.
 */
import { RE2JS } from 're2js';
import { anyPlain, plainAlternatives } from '../protocol/plain-pattern.ts';
import { REGEX_COST_MAX, regexCost } from './regex-cost.ts';
import { dfaOf, OUTCOME, type Outcome } from './regex-dfa.ts';
import {
  type LiteralChoice,
  literalShapes,
  matchesAllButEmpty,
  matchesEverything,
  prefixBeforeAny,
  pureLiterals,
  requiredLiterals,
} from './regex-literals.ts';
import { parseRegex, type RegexNode } from './regex-syntax.ts';
import { ByteFinder } from './stages/byte-finder.ts';
import { isAscii } from './stages/text-cache.ts';
import { parseError } from './syntax-error.ts';
import { needAny, needsOfRegex, needText, type TextNeed } from './text-need.ts';

const ASCII_ONLY = /^[\0-\x7f]*$/;

/** Named groups of a valid pattern, in order; `(?:` before the bracket is an escaped one's business, so backslashes are counted. */
const GROUP_NAME = /(?<!\\)((?:\\\\)*)\(\?P?<([A-Za-z0-9_]+)>/g;

/** A query's patterns are compiled several times on its way: the last ones are kept, up to this many characters together. */
const KEPT_CHARS_MAX = 64 * 1024;
const kept = new Map<string, RE2JS>();
let keptChars = 0;

const keep = (key: string, regex: RE2JS): RE2JS => {
  if (keptChars + key.length > KEPT_CHARS_MAX) {
    kept.clear();
    keptChars = 0;
  }
  kept.set(key, regex);
  keptChars += key.length;
  return regex;
};

/**
 * @returns the compiled regex; of groups that share a name (Go allows it, re2js does not) the names are dropped
 * @throws Error whose message is Go's: `error parsing regexp: missing closing ]: …`
 */
export const compileGoRegex = (pattern: string, { dotMatchesNewline = false } = {}): RE2JS => {
  const flags = dotMatchesNewline ? RE2JS.DOTALL : 0;
  const key = `${flags} ${pattern}`;
  const known = kept.get(key);
  if (known) return known;
  if (regexCost(pattern) > REGEX_COST_MAX) throw new Error('error parsing regexp: expression too large');
  const names = groupNames(pattern);
  const isAmbiguous = new Set(names).size < names.length;
  return keep(key, RE2JS.compile(isAmbiguous ? pattern.replaceAll(GROUP_NAME, '$1(') : pattern, flags));
};

/** Names of the groups of a pattern, in order, with repetitions. */
export const groupNames = (pattern: string): readonly string[] =>
  [...pattern.matchAll(GROUP_NAME)].map((match) => match[2]!);

/** The compiled regex, or the text of Go's error. */
export const tryCompileRegex = (pattern: string): { readonly regex: RE2JS } | { readonly error: string } => {
  try {
    return { regex: compileGoRegex(pattern) };
  } catch (error) {
    return { error: (error as Error).message };
  }
};

/** @throws RefusedError `INVALID_QUERY` with Go's text if the pattern does not parse */
export const compileRegex = (pattern: string): RE2JS => {
  const compiled = tryCompileRegex(pattern);
  if ('error' in compiled) throw parseError(compiled.error);
  return compiled.regex;
};

/** Line text for re2js: latin1 is right and cheap for ASCII lines, others are decoded. */
export const regexText = (bytes: Buffer, start: number, end: number): string =>
  bytes.toString(isAscii(bytes, start, end) ? 'latin1' : 'utf8', start, end);

/** A search in lines, unanchored. */
export interface LineTest {
  test(bytes: Buffer, start: number, end: number): boolean;
  /** Every line that passes contains one of these; undefined if nothing can be said. */
  readonly required: readonly Buffer[] | undefined;
  /** True if containing one of `required` is all there is to it. */
  readonly isExact: boolean;
  /** What every line that passes holds; undefined if nothing can be said. */
  readonly needs: TextNeed | undefined;
}

const EVERYTHING: LineTest = { test: () => true, required: undefined, isExact: false, needs: undefined };
const NOT_EMPTY: LineTest = {
  test: (_, start, end) => end > start,
  required: undefined,
  isExact: false,
  needs: undefined,
};

/** Lines that contain one of the texts. */
export const literalTest = (texts: readonly string[]): LineTest => {
  if (texts.includes('')) return EVERYTHING;
  const needles = texts.map((text) => Buffer.from(text, 'utf8'));
  const finders = needles.map((needle) => new ByteFinder(needle));
  const only = finders.length === 1 ? finders[0]! : undefined;
  return {
    test:
      only === undefined
        ? (bytes, start, end) => finders.some((finder) => finder.isIn(bytes, start, end))
        : (bytes, start, end) => only.indexIn(bytes, start, end) >= 0,
    required: needles,
    isExact: true,
    needs: needAny(texts.map(needText)),
  };
};

const foldedTest = ({ texts }: LiteralChoice): LineTest => {
  if (texts.includes('')) return EVERYTHING;
  if (texts.every((text) => ASCII_ONLY.test(text))) {
    const finders = texts.map((text) => new ByteFinder(Buffer.from(text), true));
    return {
      test: (bytes, start, end) => finders.some((finder) => finder.isIn(bytes, start, end)),
      required: undefined,
      isExact: false,
      needs: needAny(texts.map(needText)),
    };
  }
  const needles = texts.map((text) => text.toLowerCase());
  const test = (bytes: Buffer, start: number, end: number): boolean => {
    const line = bytes.toString('utf8', start, end).toLowerCase();
    return needles.some((needle) => line.includes(needle));
  };
  // Letters outside ASCII may have their lower case inside: nothing is said of them.
  return { test, required: undefined, isExact: false, needs: undefined };
};

const engineTest = (pattern: string, node: RegexNode | undefined): LineTest => {
  const regex = compileGoRegex(pattern);
  const texts = node === undefined ? undefined : requiredLiterals(node);
  const required = texts?.map((text) => Buffer.from(text, 'utf8'));
  const finders = required?.map((needle) => new ByteFinder(needle));
  const dfa = dfaOf(regex);
  const test = (bytes: Buffer, start: number, end: number): boolean => {
    if (finders !== undefined && !finders.some((finder) => finder.isIn(bytes, start, end))) return false;
    const outcome = dfa?.test(bytes, start, end) ?? OUTCOME.unknown;
    return outcome === OUTCOME.unknown ? regex.test(regexText(bytes, start, end)) : outcome === OUTCOME.match;
  };
  return { test, required, isExact: false, needs: node && needsOfRegex(node) };
};

/**
 * `|~ "pattern"`. Loki's rewriting into literal searches shows in two places, both kept: `.+` keeps every line that is not empty, and a
 * case-insensitive literal folds letters one to one (no ſ for s).
 * @throws Error with Go's text
 */
export const compileLineRegex = (pattern: string): LineTest => {
  compileGoRegex(pattern);
  const node = parseRegex(pattern);
  if (node === undefined) return engineTest(pattern, node);
  if (matchesEverything(node)) return EVERYTHING;
  if (matchesAllButEmpty(node)) return NOT_EMPTY;
  const literals = pureLiterals(node);
  if (literals === undefined) return engineTest(pattern, node);
  return literals.ignoresCase ? foldedTest(literals) : literalTest(literals.texts);
};

/**
 * Checks an anchored pattern without compiling it where that can be seen from its text, and charges its cost to `charge`.
 * @throws RefusedError `INVALID_QUERY` with Go's text
 */
export const checkValueRegex = (pattern: string, charge: (cost: number) => void): void => {
  if (plainAlternatives(pattern) !== undefined) return;
  charge(regexCost(pattern));
  compileRegex(pattern);
};

/** Whether the anchored pattern, which is valid, matches "". */
export const regexMatchesEmpty = (pattern: string): boolean => {
  const plain = plainAlternatives(pattern);
  return plain === undefined ? compileRegex(pattern).matches('') : plain.some(({ text }) => text === '');
};

const REMEMBERED_VALUES_MAX = 1000;

/** Label values repeat: the answer for a value is kept. */
const remembering = (test: (value: string) => boolean): ((value: string) => boolean) => {
  const answers = new Map<string, boolean>();
  return (value) => {
    const known = answers.get(value);
    if (known !== undefined) return known;
    if (answers.size >= REMEMBERED_VALUES_MAX) answers.clear();
    const answer = test(value);
    answers.set(value, answer);
    return answer;
  };
};

/** What needs no engine; undefined for other patterns. */
const simpleValueTest = (pattern: string): ((value: string) => boolean) | undefined => {
  const plain = plainAlternatives(pattern);
  if (plain !== undefined) return anyPlain(plain);
  const node = parseRegex(pattern);
  if (node === undefined) return undefined;
  const shapes = literalShapes(node);
  if (shapes !== undefined) return anyPlain(shapes);
  if (matchesEverything(node)) return () => true;
  return matchesAllButEmpty(node) ? (value) => value !== '' : undefined;
};

/**
 * `=~ "pattern"` on a value: fully anchored. Selectors let `.` match a newline, filters in a pipeline do not, but for `.*` beside a
 * literal and `.*` and `.+` alone.
 * @throws Error with Go's text
 */
export const compileValueRegex = (
  pattern: string,
  { dotMatchesNewline }: { readonly dotMatchesNewline: boolean },
): ((value: string) => boolean) => {
  if (plainAlternatives(pattern) === undefined) compileGoRegex(pattern);
  const simple = simpleValueTest(pattern);
  if (simple !== undefined) return simple;
  const regex = compileGoRegex(pattern, { dotMatchesNewline });
  return remembering((value) => regex.testExact(value));
};

/** A test of a value's bytes. */
export type ValueBytesTest = (bytes: Uint8Array, start: number, end: number) => Outcome;

const NEWLINE = 0x0a;

/** A text of ASCII and `.+`. */
const prefixTest = (prefix: Uint8Array): ValueBytesTest => {
  const { length } = prefix;
  return (bytes, start, end) => {
    const rest = start + length;
    if (end <= rest) return OUTCOME.noMatch;
    for (let index = 0; index < length; index++) if (bytes[start + index] !== prefix[index]) return OUTCOME.noMatch;
    for (let at = rest; at < end; at++) if (bytes[at] === NEWLINE) return OUTCOME.noMatch;
    return OUTCOME.match;
  };
};

/**
 * What `compileValueRegex` tells for a filter in a pipeline, from the value's bytes (in which bad runes may stand for blanks); undefined where a
 * test of text does better, or must do.
 */
export const compileValueBytesRegex = (pattern: string): ValueBytesTest | undefined => {
  if (simpleValueTest(pattern) !== undefined) return undefined;
  const node = parseRegex(pattern);
  const prefix = node && prefixBeforeAny(node);
  if (prefix !== undefined && ASCII_ONLY.test(prefix)) return prefixTest(Buffer.from(prefix));
  const anchored = tryCompileRegex(`\\A(?:${pattern})\\z`);
  const dfa = 'regex' in anchored ? dfaOf(anchored.regex) : undefined;
  return dfa && ((bytes, start, end) => dfa.test(bytes, start, end));
};
