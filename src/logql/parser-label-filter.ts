/** `name="x"`, `size > 5KiB and (…)`: the conditions behind `|`. */
import type { CompareOp, LabelFilter } from './ast.ts';
import { formatGoDuration } from './durations.ts';
import { parseGoFloat } from './literals.ts';
import { finishMatcher, makeMatcher } from './parser-selector.ts';
import type { TokenReader } from './token-reader.ts';

/** What may start a filter, as Loki lists it where nothing else may stand. */
export const CONDITION = 'IDENTIFIER or (';

/**
 * `and` binds tighter than `or`. A comma, or nothing at all, means *and* too, but takes in everything that stands to its right, however
 * tightly the operator before it binds: `a or b, c or d` is `a or (b and (c or d))`.
 */
export const parseLabelFilter = (reader: TokenReader, expected: string | undefined): LabelFilter =>
  parseOperators(reader, 0, expected);

const OR = 1;
const AND = 2;

const parseOperators = (reader: TokenReader, binding: number, expected: string | undefined): LabelFilter => {
  let left = parsePrimary(reader, expected);
  for (;;) {
    const type = reader.peek();
    const { height } = reader;
    if (type === 'or' || type === 'and') {
      const own = type === 'or' ? OR : AND;
      if (own <= binding) return left;
      reader.take();
      left = { kind: type, left, right: reader.nested(() => parseOperators(reader, own, CONDITION)) };
    } else if (type === ',' || type === 'IDENTIFIER' || type === '(') {
      reader.accept(',');
      left = { kind: 'and', left, right: reader.nested(() => parseOperators(reader, 0, CONDITION)) };
    } else return left;
    reader.grow(height, reader.height);
  }
};

const parsePrimary = (reader: TokenReader, expected: string | undefined): LabelFilter => {
  reader.height = 0;
  if (reader.peek() === 'IDENTIFIER') return parseComparison(reader, reader.take());
  if (!reader.accept('(')) throw reader.unexpected(expected);
  const filter = reader.nested(() => parseOperators(reader, 0, CONDITION));
  if (!reader.accept(')')) throw reader.unexpected();
  return filter;
};

const parseComparison = (reader: TokenReader, name: string): LabelFilter => {
  const op = reader.peek();
  switch (op) {
    case '=~':
    case '!~':
      return { kind: 'string', matcher: finishMatcher(reader, name, op) };
    case '=':
    case '!=':
      reader.take();
      if (reader.peek() === 'STRING') return { kind: 'string', matcher: makeMatcher(reader, name, op, reader.take()) };
      return reader.peek() === 'ip'
        ? parseIpFilter(reader, name, op)
        : parseTyped(reader, name, op === '=' ? '==' : op);
    case '==':
    case '>':
    case '>=':
    case '<':
    case '<=':
      reader.take();
      return parseTyped(reader, name, op);
    default:
      throw reader.unexpected();
  }
};

const parseIpFilter = (reader: TokenReader, name: string, op: '=' | '!='): LabelFilter => {
  reader.expect('ip');
  reader.expect('(');
  const value = reader.expect('STRING');
  reader.expect(')');
  return { kind: 'ip', name, op, value };
};

const parseTyped = (reader: TokenReader, name: string, op: CompareOp): LabelFilter => {
  switch (reader.peek()) {
    case 'DURATION': {
      const ns = reader.durationNs;
      reader.take();
      return { kind: 'duration', name, op, value: Number(ns), text: formatGoDuration(ns) };
    }
    case 'BYTES': {
      const value = reader.sizeBytes;
      return { kind: 'bytes', name, op, value, text: reader.take() };
    }
    case '+':
    case '-': {
      const isNegative = reader.take() === '-';
      return numberFilter(name, op, reader.expect('NUMBER'), isNegative);
    }
    case 'NUMBER':
      return numberFilter(name, op, reader.take(), false);
    default:
      throw reader.unexpected();
  }
};

/** Loki ignores what ParseFloat complains about here: `n = 0x10` compares with 0. */
const numberFilter = (name: string, op: CompareOp, text: string, isNegative: boolean): LabelFilter => {
  const { value } = parseGoFloat(text);
  return { kind: 'number', name, op, value: isNegative ? -value : value };
};
