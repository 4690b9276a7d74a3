import type { VectorOp } from '../../logql/ast.ts';

/** Values of one group at one step → one number. `values[0, count)`; count is at least 1. */
export type StepReducer = (values: Float64Array, count: number) => number;

const sum: StepReducer = (values, count) => {
  let total = 0;
  for (let index = 0; index < count; index += 1) total += values[index]!;
  return total;
};

/** Running mean, as Loki computes it. */
const avg: StepReducer = (values, count) => {
  let mean = 0;
  for (let index = 0; index < count; index += 1) mean += (values[index]! - mean) / (index + 1);
  return mean;
};

/** NaN loses against any number, here and in max. */
const min: StepReducer = (values, count) => {
  let least = values[0]!;
  for (let index = 1; index < count; index += 1) {
    if (values[index]! < least || Number.isNaN(least)) least = values[index]!;
  }
  return least;
};

const max: StepReducer = (values, count) => {
  let most = values[0]!;
  for (let index = 1; index < count; index += 1) {
    if (values[index]! > most || Number.isNaN(most)) most = values[index]!;
  }
  return most;
};

/** Population variance, Welford. */
const stdvar: StepReducer = (values, count) => {
  let mean = 0;
  let total = 0;
  for (let index = 0; index < count; index += 1) {
    const delta = values[index]! - mean;
    mean += delta / (index + 1);
    total += delta * (values[index]! - mean);
  }
  return total / count;
};

const stddev: StepReducer = (values, count) => Math.sqrt(stdvar(values, count));

export type ReducingOp = Exclude<VectorOp, 'topk' | 'bottomk' | 'approx_topk' | 'sort' | 'sort_desc'>;

export const STEP_REDUCERS: Record<ReducingOp, StepReducer> = {
  sum,
  avg,
  min,
  max,
  count: (_values, count) => count,
  stddev,
  stdvar,
};
