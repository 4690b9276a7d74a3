import type { ValuesFunction } from './range-function.ts';

export const firstOverTime: ValuesFunction = { kind: 'values', of: ({ values, first }) => values[first]! };

export const lastOverTime: ValuesFunction = { kind: 'values', of: ({ values, end }) => values[end - 1]! };
