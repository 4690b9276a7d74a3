/**
 * The time for the template function `now`: the only place in the query code that reads the clock, for a template runs deep inside a scan
 * in a worker, and what it shows is only ever this moment.
 */
// biome-ignore lint/style/noRestrictedGlobals: see above
export const wallClockNs = (): bigint => BigInt(Date.now()) * 1_000_000n;
