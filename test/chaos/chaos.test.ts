import { expect } from 'chai';
import { runChaos } from './run-chaos.ts';

/** CHAOS_MINUTES: how long faults go on; CHAOS_SEED: the same faults in the same order. */
const MINUTES = Number(process.env['CHAOS_MINUTES'] ?? 1.5);
const SEED = Number(process.env['CHAOS_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
/** Beyond the faults: compiling, healing, the last questions. */
const REST_MS = 300_000;

describe(`a cluster of processes under faults, seed ${SEED}`, function () {
  this.timeout(MINUTES * 60_000 + REST_MS);

  it('returns what it acknowledged, once, in every answer and at the end', async () => {
    const printed: string[] = [];
    const print = (line: string): void => {
      printed.push(line);
    };
    const report = await runChaos({ seed: SEED, seconds: MINUTES * 60, print });
    const told = [...printed, ...report.lines].join('\n');
    expect(report.findings.count, told).to.equal(0);
    expect(report.missing, told).to.deep.equal([]);
    expect(report.returned, told).to.be.within(report.acknowledged, report.sent);
  });
});
