/** `| name op value`, typed by the literal on the right, with `and` and `or`. */

import type { LabelMatcher } from '../../protocol/matcher.ts';
import type { CompareOp, LabelFilter } from '../ast.ts';
import { compileFilterMatcher } from '../matcher.ts';
import { compileValueBytesRegex } from '../regex.ts';
import { OUTCOME } from '../regex-dfa.ts';
import { type Entry, ERROR_LABEL } from './entry.ts';
import { type Parsed, parseGoBytes, parseGoDuration, parseGoFloat, parsePlainDecimal } from './go-number.ts';
import { IpMatcher } from './ip-matcher.ts';
import type { CompiledStage, RunStage } from './stage.ts';

const FILTER_ERROR = 'LabelFilterErr';

type Compare = (value: number) => boolean;

const comparison = (op: CompareOp, wanted: number): Compare => {
  switch (op) {
    case '=':
    case '==':
      return (value) => value === wanted;
    case '!=':
      return (value) => value !== wanted;
    case '>':
      return (value) => value > wanted;
    case '>=':
      return (value) => value >= wanted;
    case '<':
      return (value) => value < wanted;
    case '<=':
      return (value) => value <= wanted;
  }
};

/** Keeps the last conversion: values often repeat from line to line. */
const remembersLast = (parse: (text: string) => Parsed): ((text: string) => Parsed) => {
  let lastText: string | undefined;
  let last: Parsed = { value: 0 };
  return (text) => {
    if (text !== lastText) {
      last = parse(text);
      lastText = text;
    }
    return last;
  };
};

/** A missing label drops the line; one that cannot be converted keeps it and marks the error. */
const typedFilter = (
  name: string,
  parse: (text: string) => Parsed,
  compare: Compare,
  readsPlainNumbers: boolean,
): CompiledStage => ({
  start: (fresh) => {
    const id = fresh.id(name);
    const convert = remembersLast(parse);
    return (entry) => {
      if (readsPlainNumbers && entry.isPlainBytes(id)) {
        const value = parsePlainDecimal(entry.valueBytes(id), entry.valueStart(id), entry.valueEnd(id));
        if (!Number.isNaN(value)) return compare(value);
      }
      if (!entry.has(id)) return false;
      const converted = convert(entry.text(id));
      if ('value' in converted) return compare(converted.value);
      entry.setFilterError(FILTER_ERROR, converted.error);
      return true;
    };
  },
});

const equalBytes = (entry: Entry, id: number, wanted: Buffer): boolean => {
  const bytes = entry.valueBytes(id);
  const start = entry.valueStart(id);
  if (entry.valueEnd(id) - start !== wanted.length) return false;
  for (let index = 0; index < wanted.length; index++) if (bytes[start + index] !== wanted[index]) return false;
  return true;
};

const ASCII_ONLY = /^[\0-\x7f]*$/;

type ValueTest = (entry: Entry, id: number) => boolean;

/** `=` and `!=` on a value that is still bytes, where comparing bytes is right: broken runes only ever become blanks. */
const equality = (wanted: string, keepsEqual: boolean): ValueTest => {
  const bytes = Buffer.from(wanted, 'utf8');
  const comparesBytes = ASCII_ONLY.test(wanted) && !wanted.includes(' ');
  return (entry, id) => {
    const isEqual = comparesBytes && entry.isPlainBytes(id) ? equalBytes(entry, id, bytes) : entry.text(id) === wanted;
    return isEqual === keepsEqual;
  };
};

const regexTest = ({ op, value: pattern }: LabelMatcher, matches: (value: string) => boolean): ValueTest => {
  const test = compileValueBytesRegex(pattern);
  if (test === undefined) return (entry, id) => matches(entry.text(id));
  const keepsMatch = op === '=~';
  return (entry, id) => {
    if (!entry.isPlainBytes(id)) return matches(entry.text(id));
    const outcome = test(entry.valueBytes(id), entry.valueStart(id), entry.valueEnd(id));
    return outcome === OUTCOME.unknown ? matches(entry.text(id)) : (outcome === OUTCOME.match) === keepsMatch;
  };
};

const stringFilter = (matcher: LabelMatcher): CompiledStage => {
  const matches = compileFilterMatcher(matcher);
  if (matcher.name === ERROR_LABEL) return { start: () => (entry) => matches(entry.error) };
  const isEquality = matcher.op === '=' || matcher.op === '!=';
  const test = isEquality ? equality(matcher.value, matcher.op === '=') : regexTest(matcher, matches);
  return {
    start: (fresh) => {
      const id = fresh.id(matcher.name);
      return (entry) => test(entry, id);
    },
  };
};

const ipFilter = (name: string, keepsMatch: boolean, pattern: string): CompiledStage => {
  const ip = new IpMatcher(pattern);
  return {
    start: (fresh) => {
      const id = fresh.id(name);
      return (entry) => {
        if (!entry.has(id)) return false;
        const bytes = Buffer.from(entry.text(id), 'utf8');
        return ip.isIn(bytes, 0, bytes.length) === keepsMatch;
      };
    },
  };
};

const allOf =
  (tests: readonly RunStage[]): RunStage =>
  (entry) => {
    for (let index = 0; index < tests.length; index++) if (!tests[index]!(entry)) return false;
    return true;
  };

const anyOf =
  (tests: readonly RunStage[]): RunStage =>
  (entry) => {
    for (let index = 0; index < tests.length; index++) if (tests[index]!(entry)) return true;
    return false;
  };

const DEPTH_MAX = 500;

/** The operands of a chain of one word, in written order; without recursion, for chains can be thousands long. */
const operandsOf = (chain: LabelFilter & { readonly kind: 'and' | 'or' }): readonly LabelFilter[] => {
  const operands: LabelFilter[] = [];
  const waiting: LabelFilter[] = [chain];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (next.kind === chain.kind) waiting.push(next.right, next.left);
    else operands.push(next);
  }
  return operands;
};

/**
 * @throws Error with Loki's text for a bad address
 * @throws RefusedError for a regex that does not parse
 */
export const compileLabelFilter = (filter: LabelFilter, depth = 0): CompiledStage => {
  if (depth > DEPTH_MAX) throw new Error('label filters are nested too deeply');
  switch (filter.kind) {
    case 'string':
      return stringFilter(filter.matcher);
    case 'number':
      return typedFilter(filter.name, parseGoFloat, comparison(filter.op, filter.value), true);
    case 'duration':
      return typedFilter(filter.name, parseGoDuration, comparison(filter.op, filter.value), false);
    case 'bytes':
      return typedFilter(filter.name, parseGoBytes, comparison(filter.op, filter.value), false);
    case 'ip':
      return ipFilter(filter.name, filter.op === '=', filter.value);
    case 'and':
    case 'or': {
      const join = filter.kind === 'and' ? allOf : anyOf;
      const operands = operandsOf(filter).map((operand) => compileLabelFilter(operand, depth + 1));
      return { start: (entry) => join(operands.map((operand) => operand.start(entry))) };
    }
  }
};

/** Filters that must all pass, with the one name each looks at. */
export interface SimpleFilter {
  readonly name: string;
  readonly filter: LabelFilter;
}

/** The parts of a filter that must all pass and look at one name: a parser may try them as soon as it has set that name. */
export const simpleParts = (filter: LabelFilter): readonly SimpleFilter[] => {
  if (filter.kind === 'or') return [];
  const parts = filter.kind === 'and' ? operandsOf(filter) : [filter];
  return parts.flatMap((part) => {
    if (part.kind === 'and' || part.kind === 'or') return [];
    const name = part.kind === 'string' ? part.matcher.name : part.name;
    return name === ERROR_LABEL ? [] : [{ name, filter: part }];
  });
};

/** Names a filter looks at, with repetitions. */
export const filterNames = (filter: LabelFilter): readonly string[] => {
  if (filter.kind === 'and' || filter.kind === 'or') return operandsOf(filter).flatMap(filterNames);
  return [filter.kind === 'string' ? filter.matcher.name : filter.name];
};
