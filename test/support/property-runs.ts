import fc from 'fast-check';

/**
 * PROPERTY_RUNS: cases that the properties of one suite try together (CI: 100000). The suites over the push decoders and the LogQL
 * parser try all of them; suites whose cases are dear or meet no input from outside take a larger share than they have properties.
 */
const RUNS = Number(process.env['PROPERTY_RUNS'] ?? 2000);

/** Runs of each of `share` properties. */
export const propertyRuns = (share: number): number => Math.max(1, Math.ceil(RUNS / share));

/** Enough for the slowest property on a busy machine: it only ends a test that hangs. */
export const PROPERTY_TIMEOUT_MS = 60_000 + RUNS * 10;

/** PROPERTY_SECONDS: no property begins another case after so long (CI: a slow machine tries fewer and says so). */
const SECONDS = Number(process.env['PROPERTY_SECONDS'] ?? 0);

if (SECONDS > 0) {
  fc.configureGlobal({
    ...fc.readConfigureGlobal(),
    interruptAfterTimeLimit: 1000 * SECONDS,
    reporter: (details: fc.RunDetails<unknown>): void => {
      if (details.failed) throw new Error(fc.defaultReportMessage(details));
      const { numRuns: asked } = details.runConfiguration;
      if (details.interrupted)
        process.stdout.write(`      ${details.numRuns} of ${asked} cases: ${SECONDS} s are over\n`);
    },
  });
}
