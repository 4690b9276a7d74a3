/**
 * The least CPU with chunk bytes within 1.10 × those of level 6. Measured (test/bench/chunk/block-cut.bench.ts; lines of four systems, MB/s of
 * block content per core, bytes against level 6): level 1 280, 1.24 · 2 290, 1.19 · 3 226, 1.14 · 4 183, 1.13 · 5 139, 1.03 · 6 80, 1.00.
 * `memLevel` 9 gives nothing, the filtered strategy makes it worse. Where 13 % more bytes are fine, level 4 saves a quarter of the work.
 */
export const DEFAULT_GZIP_LEVEL = 5;
