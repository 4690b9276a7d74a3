import type { MetricExpr } from '../logql/ast.ts';
import { RefusedError } from '../protocol/refusal.ts';
import { compareLabels } from './label-order.ts';
import type { MetricSeries } from './query-messages.ts';
import { keyOfLabels, type StepSeries } from './step-series.ts';

/** One point each, at the only step; by labels, unless the query sorts by value. */
export const vectorOf = (series: readonly StepSeries[], timeMs: number, isSorted: boolean): MetricSeries[] => {
  const samples = series
    .filter(({ present }) => present[0] === 1)
    .map(({ labels, values }) => ({ labels, timesMs: [timeMs], values: [values[0]!] }));
  return isSorted ? samples : samples.sort((a, b) => compareLabels(a.labels, b.labels));
};

/** By labels. Series made equal by label_replace become one with several points at a time, as Loki answers. */
export const matrixOf = (series: readonly StepSeries[], timesMs: readonly number[]): MetricSeries[] => {
  const alike = new Map<string, { readonly labels: readonly string[]; readonly members: StepSeries[] }>();
  for (const one of series) {
    if (!one.present.includes(1)) continue;
    const key = keyOfLabels(one.labels);
    const known = alike.get(key);
    if (known) known.members.push(one);
    else alike.set(key, { labels: one.labels, members: [one] });
  }
  return [...alike.values()]
    .map(({ labels, members }) => pointsOf(labels, members, timesMs))
    .sort((a, b) => compareLabels(a.labels, b.labels));
};

const pointsOf = (
  labels: readonly string[],
  members: readonly StepSeries[],
  timesMs: readonly number[],
): MetricSeries => {
  const times: number[] = [];
  const points: number[] = [];
  for (let step = 0; step < timesMs.length; step += 1) {
    for (const { values, present } of members) {
      if (present[step] !== 1) continue;
      times.push(timesMs[step]!);
      points.push(values[step]!);
    }
  }
  return { labels, timesMs: times, values: points };
};

/** @throws RefusedError INVALID_QUERY; `seriesMax` 0: no limit */
export const checkSeriesCount = (count: number, seriesMax: number): void => {
  if (seriesMax <= 0 || count <= seriesMax) return;
  throw new RefusedError({
    code: 'INVALID_QUERY',
    text:
      `maximum number of series (${seriesMax}) reached for a single query; consider reducing query cardinality by adding more ` +
      'specific stream selectors, reducing the time range, or aggregating results with functions like sum(), count() or topk()',
  });
};

/** True if the query sorts by value anywhere: an instant answer then keeps that order. */
export const sortsByValue = (expr: MetricExpr): boolean => {
  switch (expr.kind) {
    case 'literal':
    case 'vector':
    case 'rangeAggregation':
      return false;
    case 'vectorAggregation':
      return expr.op === 'sort' || expr.op === 'sort_desc' || sortsByValue(expr.inner);
    case 'labelReplace':
      return sortsByValue(expr.inner);
    case 'binary':
      return sortsByValue(expr.left) || sortsByValue(expr.right);
  }
};
