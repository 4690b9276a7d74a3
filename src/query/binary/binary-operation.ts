import type { BinaryExpr } from '../../logql/ast.ts';
import { foldLiterals } from '../../logql/fold.ts';
import { constantSeries, type Evaluated, newSeries, type StepSeries } from '../step-series.ts';
import { SERIES_PER_LOOK, type Turns } from '../turns.ts';
import type { CombineOptions } from './combine-options.ts';
import { type BinaryNumbers, isComparison, isSetOperator, operate } from './operate.ts';
import { combineSets } from './set-operation.ts';
import { combineVectors } from './vector-operation.ts';

/** @throws RefusedError INTERNAL where series of the two sides match ambiguously */
export const combine = async (
  expr: BinaryExpr,
  left: Evaluated,
  right: Evaluated,
  options: CombineOptions,
): Promise<Evaluated> => {
  const { op } = expr;
  const { stepCount, turns } = options;
  if (isSetOperator(op)) {
    const [all, others] = [seriesOf(left, stepCount), seriesOf(right, stepCount)];
    return asSeries(await combineSets(op, all, others, expr.matching, options));
  }
  if (left.kind === 'scalar' && right.kind === 'scalar') {
    return { kind: 'scalar', value: foldLiterals(op, left.value, right.value) };
  }
  if (left.kind === 'scalar')
    return asSeries(await withLiteral(expr, op, seriesOf(right, stepCount), left.value, true, turns));
  if (right.kind === 'scalar') return asSeries(await withLiteral(expr, op, left.series, right.value, false, turns));
  return asSeries(await combineVectors({ ...expr, op }, left.series, right.series, options));
};

const asSeries = (series: readonly StepSeries[]): Evaluated => ({ kind: 'series', series });

const seriesOf = (evaluated: Evaluated, stepCount: number): readonly StepSeries[] =>
  evaluated.kind === 'series' ? evaluated.series : [constantSeries(evaluated.value, stepCount)];

/** A comparison without `bool` filters and keeps the vector's value, whichever side the literal is on. */
const withLiteral = async (
  { returnBool }: BinaryExpr,
  op: BinaryNumbers,
  series: readonly StepSeries[],
  literal: number,
  isLeft: boolean,
  turns: Turns,
): Promise<StepSeries[]> => {
  const filters = isComparison(op) && !returnBool;
  const results: StepSeries[] = [];
  const combined = ({ labels, values, present }: StepSeries): StepSeries => {
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
  };
  for (const [index, one] of series.entries()) {
    const result = combined(one);
    if (result.present.includes(1)) results.push(result);
    if (index % SERIES_PER_LOOK === 0) await turns.breathe();
  }
  return results;
};
