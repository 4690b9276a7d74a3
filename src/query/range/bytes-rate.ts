import type { CountFunction } from './range-function.ts';

export const bytesRate: CountFunction = { kind: 'bytes', of: (bytes, rangeSeconds) => bytes / rangeSeconds };
