import type { ValuesFunction } from './range-function.ts';

/**
 * Prometheus' extrapolated rate as Loki computes it: sample times are in ns where the formula means ms, so the extrapolation is all but
 * gone (`logql.md` 12: the result is Loki's, slip included).
 */
export const rateCounter: ValuesFunction = {
  kind: 'values',
  of: ({ values, times, first, end, rangeSeconds }) => {
    const count = end - first;
    if (count < 2) return 0;
    let increase = values[end - 1]! - values[first]!;
    for (let index = first + 1; index < end; index += 1) {
      if (values[index]! < values[index - 1]!) increase += values[index - 1]!;
    }
    const sampled = (times[end - 1]! - times[first]!) / 1000;
    const between = sampled / (count - 1);
    let toStart = rangeSeconds;
    if (increase > 0 && values[first]! >= 0) toStart = Math.min(toStart, sampled * (values[first]! / increase));
    const extrapolated = sampled + (toStart < between * 1.1 ? toStart : between / 2);
    return (increase * (extrapolated / sampled)) / rangeSeconds;
  },
};
