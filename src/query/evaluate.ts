import type { MetricExpr, RangeAggregation, VectorAggregation } from '../logql/ast.ts';
import { extractionGrouping, labelHints } from '../logql/hints.ts';
import { RefusedError } from '../protocol/refusal.ts';
import { combine } from './binary/binary-operation.ts';
import { evaluateLeaves } from './cached-leaves.ts';
import { replaceLabels } from './label-replace.ts';
import { type LeafPlan, sharesEntries } from './metric-leaf.ts';
import type { QueryContext } from './query-context.ts';
import { isAdditive } from './range/range-functions.ts';
import { groupOf } from './scan/group-spec.ts';
import type { GroupSpec } from './scan/scan-messages.ts';
import { constantSeries, type Evaluated, type StepSeries } from './step-series.ts';
import type { StepGrid } from './step-windows.ts';
import type { Turns } from './turns.ts';
import { aggregateSeries } from './vector/vector-aggregation.ts';

/** Leaves evaluated together: each has its partial aggregates in memory. */
const TOGETHER_MAX = 4;

/** Evaluates metric expressions at the steps of a grid: leaves by the scan workers, everything above them here. */
export class Evaluator {
  readonly #context: QueryContext;
  readonly #grid: StepGrid;
  readonly #turns: Turns;
  /** Leaves that are not evaluated yet. */
  #waiting: readonly LeafPlan[] = [];
  /** Those that were evaluated with another one, and not asked for yet. */
  readonly #evaluated = new Map<RangeAggregation, readonly StepSeries[]>();

  constructor(context: QueryContext, grid: StepGrid, turns: Turns) {
    this.#context = context;
    this.#grid = grid;
    this.#turns = turns;
  }

  /** The whole of a query. @throws RefusedError */
  evaluate(expr: MetricExpr): Promise<Evaluated> {
    this.#waiting = leavesOf(expr);
    const { seriesMax, cutsSeries = false } = this.#context.request.limits;
    // What is to be cut is cut when all of it is there.
    return this.#evaluate(expr, cutsSeries ? 0 : seriesMax);
  }

  /** `seriesMax`: the limit on series if those of `expr` are the answer's, else 0. */
  async #evaluate(expr: MetricExpr, seriesMax = 0): Promise<Evaluated> {
    const { count } = this.#grid;
    const turns = this.#turns;
    switch (expr.kind) {
      case 'literal':
        return { kind: 'scalar', value: expr.value };
      case 'vector':
        return series([constantSeries(expr.value, count)]);
      case 'rangeAggregation':
        return series(await this.#leaf(planLeaf(expr, undefined), seriesMax));
      case 'vectorAggregation': {
        const inner = await this.#inner(expr);
        return series(await aggregateSeries(expr, inner, count, turns));
      }
      case 'labelReplace': {
        const inner = await this.#evaluate(expr.inner);
        return series(await replaceLabels(expr, vectorOf(inner), turns));
      }
      case 'binary': {
        const left = await this.#evaluate(expr.left);
        const right = await this.#evaluate(expr.right);
        return await combine(expr, left, right, { stepCount: count, turns });
      }
    }
  }

  async #inner(outer: VectorAggregation): Promise<readonly StepSeries[]> {
    if (outer.inner.kind === 'rangeAggregation') return await this.#leaf(planLeaf(outer.inner, outer), 0);
    const inner = await this.#evaluate(outer.inner);
    return vectorOf(inner);
  }

  /** With those of the leaves to come that want the same entries: `sum(rate(a |= "x" [1m])) / sum(rate(a [1m]))` reads once. */
  async #leaf(plan: LeafPlan, seriesMax: number): Promise<readonly StepSeries[]> {
    const known = this.#evaluated.get(plan.expr);
    if (known) {
      this.#evaluated.delete(plan.expr);
      return known;
    }
    const isAlike = (other: LeafPlan): boolean => other.expr !== plan.expr && sharesEntries(plan, other);
    const alike = this.#waiting.filter(isAlike).slice(0, TOGETHER_MAX - 1);
    this.#waiting = this.#waiting.filter((other) => other.expr !== plan.expr && !alike.includes(other));
    const options = { grid: this.#grid, turns: this.#turns, seriesMax };
    const [own = [], ...others] = await evaluateLeaves(this.#context, [plan, ...alike], options);
    for (const [index, series] of others.entries()) this.#evaluated.set(alike[index]!.expr, series);
    return own;
  }
}

/** A literal is no vector: Loki answers its aggregation with this, as a failure of its own. */
const vectorOf = (inner: Evaluated): readonly StepSeries[] => {
  if (inner.kind === 'series') return inner.series;
  const text = 'unexpected expr type (*syntax.LiteralExpr) for Evaluator type (*logql.DefaultEvaluator)';
  throw new RefusedError({ code: 'INTERNAL', text });
};

const series = (all: readonly StepSeries[]): Evaluated => ({ kind: 'series', series: all });

/** What a scan may leave out: labels nobody asks for, and under a `sum` the series it would only add up. */
const planLeaf = (expr: RangeAggregation, outer: VectorAggregation | undefined): LeafPlan => ({
  expr,
  group: groupSpec(expr, outer),
  hints: labelHints(expr, outer),
});

const groupSpec = (expr: RangeAggregation, outer: VectorAggregation | undefined): GroupSpec => {
  if (expr.op === 'absent_over_time') return { kind: 'by', names: [] };
  const grouping = isAdditive(expr) || expr.grouping ? extractionGrouping(expr, outer) : undefined;
  const group = grouping ? groupOf(grouping) : ({ kind: 'all', names: [] } as const);
  const { unwrap } = expr.range;
  // The unwrapped label is the sample's value; only a `by` that names it keeps it.
  if (!unwrap || group.kind === 'by') return group;
  return { kind: 'without', names: [...group.names, unwrap.name] };
};

/** Every range aggregation of an expression, left to right, with the vector aggregation directly around it. */
export const leavesOf = (expr: MetricExpr, outer?: VectorAggregation): LeafPlan[] => {
  switch (expr.kind) {
    case 'literal':
    case 'vector':
      return [];
    case 'rangeAggregation':
      return [planLeaf(expr, outer)];
    case 'vectorAggregation':
      return leavesOf(expr.inner, expr);
    case 'labelReplace':
      return leavesOf(expr.inner);
    case 'binary':
      return [...leavesOf(expr.left), ...leavesOf(expr.right)];
  }
};
