import type { CountFunction } from './range-function.ts';

export const bytesOverTime: CountFunction = { kind: 'bytes', of: (bytes) => bytes };
