import type { CountFunction, ValuesFunction } from './range-function.ts';
import { sumOf } from './sum-over-time.ts';

export const rate: CountFunction = { kind: 'count', of: (count, rangeSeconds) => count / rangeSeconds };

/** With unwrap: the sum of the values per second, not the rate of a counter. */
export const rateOfValues: ValuesFunction = { kind: 'values', of: (window) => sumOf(window) / window.rangeSeconds };
