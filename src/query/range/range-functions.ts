import type { RangeAggregation, RangeOp } from '../../logql/ast.ts';
import { absentOverTime } from './absent-over-time.ts';
import { avgOverTime } from './avg-over-time.ts';
import { bytesOverTime } from './bytes-over-time.ts';
import { bytesRate } from './bytes-rate.ts';
import { countOverTime } from './count-over-time.ts';
import { firstOverTime, lastOverTime } from './first-last-over-time.ts';
import { maxOverTime, minOverTime } from './min-max-over-time.ts';
import { quantileOverTime } from './quantile-over-time.ts';
import type { RangeFunction } from './range-function.ts';
import { rate, rateOfValues } from './rate.ts';
import { rateCounter } from './rate-counter.ts';
import { stddevOverTime, stdvarOverTime } from './stdvar-over-time.ts';
import { sumOverTime } from './sum-over-time.ts';

const FUNCTIONS: Record<RangeOp, RangeFunction> = {
  count_over_time: countOverTime,
  rate,
  rate_counter: rateCounter,
  bytes_over_time: bytesOverTime,
  bytes_rate: bytesRate,
  avg_over_time: avgOverTime,
  sum_over_time: sumOverTime,
  min_over_time: minOverTime,
  max_over_time: maxOverTime,
  stdvar_over_time: stdvarOverTime,
  stddev_over_time: stddevOverTime,
  quantile_over_time: quantileOverTime,
  first_over_time: firstOverTime,
  last_over_time: lastOverTime,
  absent_over_time: absentOverTime,
};

export const rangeFunctionOf = ({ op, range }: RangeAggregation): RangeFunction =>
  op === 'rate' && range.unwrap ? rateOfValues : FUNCTIONS[op];

/** Additive ones: under `sum` entries may be counted by the outer grouping straight away. */
export const isAdditive = ({ op, range }: RangeAggregation): boolean =>
  op === 'count_over_time' ||
  op === 'bytes_over_time' ||
  op === 'bytes_rate' ||
  op === 'sum_over_time' ||
  (op === 'rate' && !range.unwrap);
