/** How the index decides a matcher. Regular expressions are Go's, run in linear time. */
import { RE2JS } from 're2js';
import type { LabelMatcher } from '../protocol/matcher.ts';
import { anyPlain, plainAlternatives } from '../protocol/plain-pattern.ts';
import { RefusedError } from '../protocol/refusal.ts';

/** Chosen: beyond this many, reading a label's whole rows is no dearer than looking the values up one by one. */
const LITERALS_MAX = 64;

/**
 * A label's cells name the series that have the label. So a matcher that refuses the empty value is decided by the cells it passes
 * (`include`: a series is in only if one of its cells is wanted), and one that passes the empty value by the cells it refuses
 * (`exclude`: a series without a cell stays).
 */
export interface MatcherPlan {
  readonly name: string;
  readonly effect: 'include' | 'exclude';
  /** The only values that can be wanted; undefined: any. */
  readonly values: readonly string[] | undefined;
  readonly isWanted: (value: string) => boolean;
}

/** @throws RefusedError INVALID_QUERY for a regex that Go refuses */
export const planOf = (matcher: LabelMatcher): MatcherPlan => {
  const isNegated = matcher.op === '!=' || matcher.op === '!~';
  const literals = matcher.op === '=' || matcher.op === '!=' ? [matcher.value] : literalAlternatives(matcher.value);
  const isMatch = literals ? oneOf(literals) : fullMatch(matcher.value);
  const passesEmpty = isMatch('') !== isNegated;
  // Cells that decide are those that match: for = =~ in `include`, for != !~ in `exclude`. Otherwise those that do not.
  const wantsMatches = passesEmpty === isNegated;
  const isShort = literals !== undefined && literals.length <= LITERALS_MAX;
  return {
    name: matcher.name,
    effect: passesEmpty ? 'exclude' : 'include',
    values: wantsMatches && isShort ? literals : undefined,
    isWanted: wantsMatches ? isMatch : (value) => !isMatch(value),
  };
};

/** Plans in the order of what they cost, so that the cheap ones narrow what the others read. */
export const plansOf = (matchers: readonly LabelMatcher[]): readonly MatcherPlan[] =>
  matchers
    .filter(({ op, value }) => !(op === '=~' && value === '.*'))
    .map(planOf)
    .sort((left, right) => cost(left) - cost(right));

const cost = ({ effect, values }: MatcherPlan): number => (values ? 0 : 1) + (effect === 'include' ? 0 : 2);

const oneOf = (values: readonly string[]): ((value: string) => boolean) => {
  const [only = ''] = values;
  if (values.length <= 1) return (value) => value === only;
  const set = new Set(values);
  return (value) => set.has(value);
};

const GROUP_NAME = /(?<!\\)((?:\\\\)*)\(\?P?<[A-Za-z0-9_]+>/g;

const fullMatch = (pattern: string): ((value: string) => boolean) => {
  if (pattern === '.+') return (value) => value !== '';
  const plain = plainAlternatives(pattern);
  if (plain) return anyPlain(plain);
  try {
    // Values are tested, groups are not asked for; Go lets several share a name, re2js does not.
    const regex = RE2JS.compile(pattern.replaceAll(GROUP_NAME, '$1('), RE2JS.DOTALL);
    return (value) => regex.testExact(value);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new RefusedError({ code: 'INVALID_QUERY', text: `error parsing regexp: ${reason}` }, { cause: error });
  }
};

/** The values of `a|b\.c`, also in one pair of parentheses; undefined if the pattern is anything but an alternation of literals. */
export const literalAlternatives = (pattern: string): readonly string[] | undefined => {
  const inner = /^\((?:\?:)?(.*)\)$/s.exec(pattern)?.[1] ?? pattern;
  const values: string[] = [''];
  for (let index = 0; index < inner.length; index++) {
    const character = inner.charAt(index);
    if (character === '|') {
      values.push('');
      continue;
    }
    let literal = character;
    if (character === '\\') {
      index++;
      literal = inner.charAt(index);
      if (!/^[!-/:-@[-`{-~]$/.test(literal)) return undefined;
    } else if ('.+*?()[]{}^$'.includes(character)) return undefined;
    values[values.length - 1] += literal;
  }
  return [...new Set(values)];
};
