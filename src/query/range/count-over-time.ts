import type { CountFunction } from './range-function.ts';

export const countOverTime: CountFunction = { kind: 'count', of: (count) => count };
