/** What is wrong with one node, although its text parses: the texts of Loki, without their `parse error : `. */
import type { BinaryOp, Expr, RangeAggregation, RangeOp, VectorAggregation, VectorOp } from './ast.ts';
import { parseGoFloat } from './literals.ts';

const GROUPED: ReadonlySet<RangeOp> = new Set([
  'avg_over_time',
  'min_over_time',
  'max_over_time',
  'stddev_over_time',
  'stdvar_over_time',
  'quantile_over_time',
  'first_over_time',
  'last_over_time',
]);

/** With unwrap only; `rate` and `absent_over_time` work with and without. */
const UNWRAPPED: ReadonlySet<RangeOp> = new Set([...GROUPED, 'sum_over_time', 'rate_counter'] as const);
const WITH_AND_WITHOUT: ReadonlySet<RangeOp> = new Set(['rate', 'absent_over_time'] as const);

export const rangeAggregationError = (node: RangeAggregation, parameter: string | undefined): string | undefined => {
  const { op, grouping } = node;
  if (op === 'quantile_over_time' && parameter === undefined) return `parameter required for operation ${op}`;
  if (parameter !== undefined) {
    if (op !== 'quantile_over_time') return `parameter ${parameter} not supported for operation ${op}`;
    const parsed = parseGoFloat(parameter);
    if ('error' in parsed) return `invalid parameter for operation ${op}: ${parsed.error}`;
  }
  if (grouping !== undefined && !GROUPED.has(op)) return `grouping not allowed for ${op} aggregation`;
  if (WITH_AND_WITHOUT.has(op)) return undefined;
  const isUnwrapped = node.range.unwrap !== undefined;
  if (isUnwrapped === UNWRAPPED.has(op)) return undefined;
  return `invalid aggregation ${op} ${isUnwrapped ? 'with' : 'without'} unwrap`;
};

const PARAMETERISED: ReadonlySet<VectorOp> = new Set(['topk', 'bottomk', 'approx_topk'] as const);

export const vectorAggregationError = (node: VectorAggregation, parameter: string | undefined): string | undefined => {
  const { op } = node;
  const isGrouped = node.grouping !== undefined && node.grouping.names.length > 0;
  if (PARAMETERISED.has(op)) {
    if (parameter === undefined) return `parameter required for operation ${op}`;
    if (!isGoInteger(parameter)) return `invalid parameter ${op}(${parameter},`;
    if (Number(parameter) <= 0) return `invalid parameter (must be greater than 0) ${op}(${parameter}`;
  } else if (parameter !== undefined) return `unsupported parameter for operation ${op}(${parameter},`;
  // the blank at the end is Loki's
  if ((op === 'sort' || op === 'sort_desc') && isGrouped) return "sort and sort_desc doesn't allow grouping by ";
  return op === 'approx_topk' && isGrouped ? `grouping not allowed for ${op} aggregation` : undefined;
};

const isGoInteger = (text: string): boolean => /^[0-9]+$/.test(text) && BigInt(text) < 1n << 63n;

export const binaryError = (op: BinaryOp, left: Expr, right: Expr): string | undefined => {
  if (left.kind === 'log') return `unexpected type for left leg of binary operation (${op}): ${goTypeOf(left)}`;
  if (right.kind === 'log') return `unexpected type for right leg of binary operation (${op}): ${goTypeOf(right)}`;
  if (op !== 'or' && op !== 'and' && op !== 'unless') return undefined;
  const literal = left.kind === 'literal' ? left : right.kind === 'literal' ? right : undefined;
  if (literal === undefined) return undefined;
  const leg = literal === left ? 'left' : 'right';
  const value = Number.isFinite(literal.value) ? literal.value.toFixed(6) : String(literal.value);
  return `unexpected literal for ${leg} leg of logical/set binary operation (${op}): ${value}`;
};

const goTypeOf = (expr: Extract<Expr, { kind: 'log' }>): string =>
  expr.stages.length === 0 ? '*syntax.MatchersExpr' : '*syntax.PipelineExpr';
