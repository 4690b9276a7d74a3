/**
 * PROPERTY_RUNS: cases that the properties of one suite try together (CI: 100000). The suites over the push decoders and the LogQL
 * parser try all of them; suites whose cases are dear or meet no input from outside take a larger share than they have properties.
 */
const RUNS = Number(process.env['PROPERTY_RUNS'] ?? 2000);

/** Runs of each of `share` properties. */
export const propertyRuns = (share: number): number => Math.max(1, Math.ceil(RUNS / share));

/** Enough for the slowest property on a busy machine: it only ends a test that hangs. */
export const PROPERTY_TIMEOUT_MS = 60_000 + RUNS * 10;
