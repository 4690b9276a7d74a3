/** Expressions: aggregations, operators, literals. */
import type {
  BinaryExpr,
  BinaryOp,
  Expr,
  Grouping,
  LabelReplaceExpr,
  LiteralExpr,
  LogExpr,
  MetricExpr,
  RangeAggregation,
  RangeOp,
  VectorAggregation,
  VectorMatching,
  VectorOp,
} from './ast.ts';
import { RANGE_OPS, VECTOR_OPS } from './ast.ts';
import { binaryError, rangeAggregationError, vectorAggregationError } from './checks-nodes.ts';
import { foldLiterals } from './fold.ts';
import { parseGoFloat } from './literals.ts';
import { parseStages } from './parser-pipeline.ts';
import { parseLogRange } from './parser-range.ts';
import { parseSelector } from './parser-selector.ts';
import { tryCompileRegex } from './regex.ts';
import { regexCost } from './regex-cost.ts';
import { unsupported } from './syntax-error.ts';
import type { TokenReader } from './token-reader.ts';

const PRECEDENCE: Readonly<Record<BinaryOp, number>> = {
  or: 1,
  and: 2,
  unless: 2,
  '==': 3,
  '!=': 3,
  '>': 3,
  '>=': 3,
  '<': 3,
  '<=': 3,
  '+': 4,
  '-': 4,
  '*': 5,
  '/': 5,
  '%': 5,
  '^': 6,
};
const operators: ReadonlySet<string> = new Set(Object.keys(PRECEDENCE));
const isBinaryOp = (type: string): type is BinaryOp => operators.has(type);

/** An operand and all operators behind it that bind tighter than `binding`. `^` is the only one that groups to the right. */
export const parseOperators = (reader: TokenReader, binding = 0, first?: MetricExpr): Expr => {
  let left = first ?? parseOperand(reader);
  for (;;) {
    const op = reader.peek();
    if (!isBinaryOp(op) || PRECEDENCE[op] <= binding) return left;
    const { height } = reader;
    reader.take();
    const returnBool = reader.accept('bool');
    const matching = parseMatching(reader);
    const rightBinding = op === '^' ? PRECEDENCE[op] - 1 : PRECEDENCE[op];
    const right = reader.nested(() => parseOperators(reader, rightBinding));
    reader.grow(height, reader.height);
    left = makeBinary(reader, { op, left, right, returnBool, matching });
  }
};

interface Operands extends Omit<BinaryExpr, 'kind' | 'left' | 'right'> {
  readonly left: Expr;
  readonly right: Expr;
}

const makeBinary = (reader: TokenReader, { op, left, right, returnBool, matching }: Operands): MetricExpr => {
  const error = binaryError(op, left, right);
  if (error !== undefined || left.kind === 'log' || right.kind === 'log') return broken(reader, error ?? '');
  if (left.kind !== 'literal' || right.kind !== 'literal') {
    return { kind: 'binary', op, left, right, returnBool, matching };
  }
  const literalError = reader.deferred.get(left) ?? reader.deferred.get(right);
  if (literalError !== undefined) return broken(reader, literalError);
  reader.height = 0;
  return { kind: 'literal', value: foldLiterals(op, left.value, right.value) };
};

/** Stands where Loki keeps a node with an error. */
const broken = (reader: TokenReader, error: string): MetricExpr => {
  const node: MetricExpr = { kind: 'vector', value: 0 };
  reader.deferred.set(node, error);
  return node;
};

const parseMatching = (reader: TokenReader): VectorMatching | undefined => {
  const type = reader.peek();
  if (type !== 'on' && type !== 'ignoring') return undefined;
  reader.take();
  const names = parseNames(reader);
  const side = reader.peek();
  if (side !== 'group_left' && side !== 'group_right') return { on: type === 'on', names, group: 'none', include: [] };
  reader.take();
  const include = reader.peek() === '(' ? parseNames(reader) : [];
  return { on: type === 'on', names, group: side === 'group_left' ? 'left' : 'right', include };
};

/** `(a, b)` or `()`. */
const parseNames = (reader: TokenReader): readonly string[] => {
  reader.expect('(');
  if (reader.accept(')')) return [];
  const names = [reader.expect('IDENTIFIER', 'IDENTIFIER or )')];
  while (!reader.accept(')')) {
    if (!reader.accept(',')) throw reader.unexpected(', or )');
    names.push(reader.expect('IDENTIFIER'));
  }
  return names;
};

const parseOperand = (reader: TokenReader): Expr => {
  reader.height = 0;
  const type = reader.peek();
  switch (type) {
    case '{':
      return parseLog(reader);
    case '(': {
      reader.take();
      const inner = reader.nested(() => parseOperators(reader));
      if (!reader.accept(')')) throw reader.unexpected();
      return inner;
    }
    case 'NUMBER':
      return literal(reader, reader.take(), false);
    case '+':
    case '-':
      reader.take();
      return literal(reader, reader.expect('NUMBER'), type === '-');
    case 'VECTOR':
      return parseVector(reader);
    case 'LABEL_REPLACE':
      return parseLabelReplace(reader);
    case 'variants':
      reader.take();
      reader.expect('(');
      throw unsupported('variants are not supported');
    default:
      return parseAggregation(reader, type.toLowerCase());
  }
};

export const parseLog = (reader: TokenReader): LogExpr => {
  const matchers = parseSelector(reader);
  const stages = parseStages(reader, false);
  reader.height = 0;
  return { kind: 'log', matchers, stages };
};

const rangeOps: ReadonlySet<string> = new Set(RANGE_OPS);
const isRangeOp = (name: string): name is RangeOp => rangeOps.has(name);
const vectorOps: ReadonlySet<string> = new Set(VECTOR_OPS);
const isVectorOp = (name: string): name is VectorOp => vectorOps.has(name);

const parseAggregation = (reader: TokenReader, name: string): MetricExpr => {
  // A function is a function by its token: an identifier `RATE` never gets here as one, for its type is IDENTIFIER.
  if (isRangeOp(name)) return parseRangeAggregation(reader, name);
  if (isVectorOp(name)) return parseVectorAggregation(reader, name);
  throw reader.unexpected();
};

const parseRangeAggregation = (reader: TokenReader, op: RangeOp): RangeAggregation => {
  reader.take();
  reader.expect('(');
  let parameter: string | undefined;
  if (reader.peek() === 'NUMBER') {
    parameter = reader.take();
    reader.expect(',');
  }
  const range = reader.nested(() => parseLogRange(reader, parameter === undefined ? 'NUMBER or { or (' : '{ or ('));
  reader.expect(')');
  const node: RangeAggregation = {
    kind: 'rangeAggregation',
    op,
    parameter: parameter === undefined ? undefined : parseGoFloat(parameter).value,
    range,
    grouping: parseGrouping(reader),
  };
  defer(reader, node, rangeAggregationError(node, parameter));
  reader.height = 1;
  return node;
};

const parseVectorAggregation = (reader: TokenReader, op: VectorOp): VectorAggregation => {
  reader.take();
  const leading = parseGrouping(reader);
  reader.expect('(');
  const { parameter, inner } = reader.nested(() => parseVectorArguments(reader));
  if (!reader.accept(')')) throw reader.unexpected();
  const { height } = reader;
  const node: VectorAggregation = {
    kind: 'vectorAggregation',
    op,
    parameter: parameter === undefined ? undefined : Number(parameter),
    inner,
    grouping: leading ?? parseGrouping(reader),
  };
  defer(reader, node, vectorAggregationError(node, parameter));
  reader.grow(height, 0);
  return node;
};

/** A leading number is the parameter if a comma follows, else an operand. */
const parseVectorArguments = (reader: TokenReader): { parameter: string | undefined; inner: MetricExpr } => {
  if (reader.peek() !== 'NUMBER') return { parameter: undefined, inner: parseMetric(reader) };
  const number = reader.take();
  if (reader.accept(',')) return { parameter: number, inner: parseMetric(reader) };
  reader.height = 0;
  return { parameter: undefined, inner: parseMetric(reader, literal(reader, number, false)) };
};

/** A log query reads on as an operand of an operator; without one it is refused at the token behind it. */
const parseMetric = (reader: TokenReader, first?: MetricExpr): MetricExpr => {
  const expr = parseOperators(reader, 0, first);
  if (expr.kind === 'log') throw reader.unexpected();
  return expr;
};

const parseGrouping = (reader: TokenReader): Grouping | undefined => {
  const type = reader.peek();
  if (type !== 'by' && type !== 'without') return undefined;
  reader.take();
  return { without: type === 'without', names: parseNames(reader) };
};

const literal = (reader: TokenReader, text: string, isNegative: boolean): LiteralExpr => {
  const parsed = parseGoFloat(text);
  const node: LiteralExpr = { kind: 'literal', value: isNegative ? -parsed.value : parsed.value };
  if ('error' in parsed) defer(reader, node, `unable to parse literal as a float: ${parsed.error}`);
  return node;
};

const parseVector = (reader: TokenReader): MetricExpr => {
  reader.take();
  reader.expect('(');
  const parsed = parseGoFloat(reader.expect('NUMBER'));
  reader.expect(')');
  const node: MetricExpr = { kind: 'vector', value: parsed.value };
  if ('error' in parsed) defer(reader, node, `unable to parse vectorExpr as a float: ${parsed.error}`);
  return node;
};

const parseLabelReplace = (reader: TokenReader): LabelReplaceExpr => {
  reader.take();
  reader.expect('(');
  const inner = reader.nested(() => parseMetric(reader));
  const { height } = reader;
  if (!reader.accept(',')) throw reader.unexpected();
  const target = reader.expect('STRING');
  reader.expect(',');
  const replacement = reader.expect('STRING');
  reader.expect(',');
  const source = reader.expect('STRING');
  reader.expect(',');
  const pattern = reader.expect('STRING');
  reader.expect(')');
  const node: LabelReplaceExpr = { kind: 'labelReplace', inner, target, replacement, source, pattern };
  reader.chargeRegex(regexCost(pattern));
  const compiled = tryCompileRegex(`^(?:${pattern})$`);
  if ('error' in compiled) defer(reader, node, `invalid regex in label_replace: ${compiled.error}`);
  reader.grow(height, 0);
  return node;
};

const defer = (reader: TokenReader, node: object, error: string | undefined): void => {
  if (error !== undefined) reader.deferred.set(node, error);
};
