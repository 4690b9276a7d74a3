/** `|= != |~ !~ |> !>` with `or` chains and `ip(…)`. */
import type { LineFilterStage, LineFilterValue } from '../ast.ts';
import { compileLineRegex, type LineTest, literalTest } from '../regex.ts';
import { needAny, type TextNeed } from '../text-need.ts';
import { IpMatcher } from './ip-matcher.ts';
import { compileLinePattern } from './line-pattern.ts';
import type { CompiledStage } from './stage.ts';

export interface LineFilter extends CompiledStage {
  /** What a kept line must contain one of; undefined for negative filters and where nothing can be said. */
  readonly required: readonly Buffer[] | undefined;
  /** True if containing one of `required` is the whole filter. */
  readonly isExact: boolean;
  /** What every kept line holds; undefined if nothing can be said. */
  readonly needs: TextNeed | undefined;
  /** True if every line passes. */
  readonly keepsAll: boolean;
}

type Test = LineTest['test'];

const POSITIVE: Readonly<Record<LineFilterStage['op'], '|=' | '|~' | '|>'>> = {
  '|=': '|=',
  '!=': '|=',
  '|~': '|~',
  '!~': '|~',
  '|>': '|>',
  '!>': '|>',
};

const compileAlternative = (op: '|=' | '|~' | '|>', { ip, value }: LineFilterValue): LineTest => {
  if (ip) {
    if (op !== '|=') throw new Error('ip: invalid operation');
    const matcher = new IpMatcher(value);
    const test: Test = (bytes, start, end) => matcher.isIn(bytes, start, end);
    return { test, required: undefined, isExact: false, needs: undefined };
  }
  if (op === '|=') return literalTest([value]);
  return op === '|~' ? compileLineRegex(value) : compileLinePattern(value);
};

const anyOf = (tests: readonly LineTest[]): LineTest => {
  if (tests.length === 1) return tests[0]!;
  const required: Buffer[] = [];
  let isKnown = true;
  for (const test of tests) {
    if (test.required === undefined) isKnown = false;
    else required.push(...test.required);
  }
  return {
    test: (bytes, start, end) => tests.some(({ test }) => test(bytes, start, end)),
    required: isKnown ? required : undefined,
    isExact: isKnown && tests.every(({ isExact }) => isExact),
    needs: needAny(tests.map(({ needs }) => needs)),
  };
};

/** In a chain of several, Loki leaves out empty literals. */
const withoutEmpty = (op: '|=' | '|~' | '|>', values: readonly LineFilterValue[]): readonly LineFilterValue[] => {
  const kept = op === '|>' || values.length === 1 ? values : values.filter(({ ip, value }) => ip || value !== '');
  return kept.length === 0 ? values.slice(0, 1) : kept;
};

const keepsEveryLine = (op: LineFilterStage['op'], values: readonly LineFilterValue[]): boolean =>
  (op === '|=' || op === '|~') && values.every(({ ip, value }) => !ip && value === '');

/** @throws Error with Loki's text for a bad regex, pattern or address */
export const compileLineFilter = ({ op, alternatives }: LineFilterStage): LineFilter => {
  const positive = POSITIVE[op];
  const isNegative = positive !== op;
  const values = withoutEmpty(positive, alternatives);
  const chosen = anyOf(values.map((value) => compileAlternative(positive, value)));
  const { test } = chosen;
  const keep: Test = isNegative ? (bytes, start, end) => !test(bytes, start, end) : test;
  return {
    required: isNegative ? undefined : chosen.required,
    isExact: !isNegative && chosen.isExact,
    needs: isNegative ? undefined : chosen.needs,
    keepsAll: keepsEveryLine(op, values),
    start: () => (entry) => keep(entry.lineBytes, entry.lineStart, entry.lineEnd),
  };
};
