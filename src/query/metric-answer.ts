import type { MetricExpr } from '../logql/ast.ts';
import { compareLabels } from './label-order.ts';
import type { MetricSeries } from './query-messages.ts';
import { checkSeriesCount } from './series-limit.ts';
import { sortInTurns } from './sort-in-turns.ts';
import type { StepSeries } from './step-series.ts';
import { SERIES_PER_LOOK, type Turns } from './turns.ts';
import { groupSeries } from './vector/reduce-groups.ts';

/** How an answer is put together. */
export interface AnswerOptions {
  readonly turns: Turns;
  /** 0: no limit. */
  readonly seriesMax: number;
}

/**
 * One point each, at the only step; by labels, unless the query sorts by value.
 * @throws RefusedError INVALID_QUERY above `seriesMax`
 */
export const vectorOf = async (
  series: readonly StepSeries[],
  timeMs: number,
  isSorted: boolean,
  { turns, seriesMax }: AnswerOptions,
): Promise<MetricSeries[]> => {
  const found = series.filter(({ present }) => present[0] === 1);
  checkSeriesCount(found.length, seriesMax);
  const samples: MetricSeries[] = [];
  for (const { labels, values } of found) {
    samples.push({ labels, timesMs: [timeMs], values: [values[0]!] });
    if (samples.length % SERIES_PER_LOOK === 0) await turns.breathe();
  }
  return isSorted ? samples : await sortInTurns(samples, byLabels, turns);
};

/**
 * By labels. Series made equal by label_replace become one with several points at a time, as Loki answers.
 * @throws RefusedError INVALID_QUERY above `seriesMax`
 */
export const matrixOf = async (
  series: readonly StepSeries[],
  timesMs: readonly number[],
  { turns, seriesMax }: AnswerOptions,
): Promise<MetricSeries[]> => {
  const filled = series.filter(({ present }) => present.includes(1));
  const alike = await groupSeries(filled, (labels) => labels, turns);
  checkSeriesCount(alike.length, seriesMax);
  const answer: MetricSeries[] = [];
  for (const { labels, members } of alike) {
    answer.push(pointsOf(labels, members, timesMs));
    if (answer.length % SERIES_PER_LOOK === 0) await turns.breathe();
  }
  return await sortInTurns(answer, byLabels, turns);
};

const byLabels = (a: MetricSeries, b: MetricSeries): number => compareLabels(a.labels, b.labels);

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
