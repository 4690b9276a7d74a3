/**
 * Measured (test/bench/chunk/block-cut.bench.ts): FIGURES
 */
export const DEFAULT_GZIP_LEVEL = 4;
