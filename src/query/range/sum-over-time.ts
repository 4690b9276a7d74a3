import type { ValuesFunction, ValueWindow } from './range-function.ts';

export const sumOf = ({ values, first, end }: ValueWindow): number => {
  let sum = 0;
  for (let index = first; index < end; index += 1) sum += values[index]!;
  return sum;
};

export const sumOverTime: ValuesFunction = { kind: 'values', of: sumOf };
