import type { BinaryExpr } from '../../logql/ast.ts';
import { foldLiterals } from '../../logql/fold.ts';
import { constantSeries, type Evaluated, newSeries, type StepSeries } from '../step-series.ts';
import { type BinaryNumbers, isComparison, isSetOperator, operate } from './operate.ts';
import { combineSets } from './set-operation.ts';
import { combineVectors } from './vector-operation.ts';

/** @throws RefusedError INTERNAL where series of the two sides match ambiguously */
export const combine = (expr: BinaryExpr, left: Evaluated, right: Evaluated, stepCount: number): Evaluated => {
  const { op } = expr;
  if (isSetOperator(op)) {
    return asSeries(combineSets(op, seriesOf(left, stepCount), seriesOf(right, stepCount), expr.matching, stepCount));
  }
  if (left.kind === 'scalar' && right.kind === 'scalar') {
    return { kind: 'scalar', value: foldLiterals(op, left.value, right.value) };
  }
  if (left.kind === 'scalar') return asSeries(withLiteral(expr, op, seriesOf(right, stepCount), left.value, true));
  if (right.kind === 'scalar') return asSeries(withLiteral(expr, op, left.series, right.value, false));
  return asSeries(combineVectors({ ...expr, op }, left.series, right.series, stepCount));
};

const asSeries = (series: readonly StepSeries[]): Evaluated => ({ kind: 'series', series });

const seriesOf = (evaluated: Evaluated, stepCount: number): readonly StepSeries[] =>
  evaluated.kind === 'series' ? evaluated.series : [constantSeries(evaluated.value, stepCount)];

/** A comparison without `bool` filters and keeps the vector's value, whichever side the literal is on. */
const withLiteral = (
  { returnBool }: BinaryExpr,
  op: BinaryNumbers,
  series: readonly StepSeries[],
  literal: number,
  isLeft: boolean,
): StepSeries[] => {
  const filters = isComparison(op) && !returnBool;
  const results = series.map(({ labels, values, present }) => {
    const result = newSeries(labels, values.length);
    for (let step = 0; step < values.length; step += 1) {
      if (present[step] !== 1) continue;
      const own = values[step]!;
      const value = isLeft ? operate(op, literal, own) : operate(op, own, literal);
      if (filters && value !== 1) continue;
      result.present[step] = 1;
      result.values[step] = filters ? own : value;
    }
    return result;
  });
  return results.filter(({ present }) => present.includes(1));
};
