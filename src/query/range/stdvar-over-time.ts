import type { ValuesFunction, ValueWindow } from './range-function.ts';

/** Population variance, Welford. */
const varianceOf = ({ values, first, end }: ValueWindow): number => {
  let mean = 0;
  let sum = 0;
  for (let index = first; index < end; index += 1) {
    const delta = values[index]! - mean;
    mean += delta / (index - first + 1);
    sum += delta * (values[index]! - mean);
  }
  return sum / (end - first);
};

export const stdvarOverTime: ValuesFunction = { kind: 'values', of: varianceOf };

export const stddevOverTime: ValuesFunction = { kind: 'values', of: (window) => Math.sqrt(varianceOf(window)) };
