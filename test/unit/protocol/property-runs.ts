/** PROPERTY_RUNS: how often the properties of a suite are tried in total. */
const RUNS = Number(process.env['PROPERTY_RUNS'] ?? 2000);

/** Runs for each of a suite's properties. */
export const propertyRuns = (properties: number): number => Math.max(1, Math.ceil(RUNS / properties));

/** Enough for the slowest property on a busy machine. */
export const PROPERTY_TIMEOUT_MS = 10_000 + RUNS * 10;
