/** `full` when figures are wanted; `tiny` with BENCH_TINY in the environment, where a test only looks that the benches still run. */
export const sized = (full: number, tiny: number): number => (process.env['BENCH_TINY'] ? tiny : full);
