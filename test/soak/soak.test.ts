import { expect } from 'chai';
import { reportLines } from './report-lines.ts';
import { runSoak } from './run-soak.ts';

/** SOAK_MINUTES: how long faults go on; SOAK_SEED replays. */
const MINUTES = Number(process.env['SOAK_MINUTES'] ?? 0.5);
const SEED = Number(process.env['SOAK_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
/** Beyond the faults: compiling, draining, the last questions. */
const REST_MS = 300_000;

describe('a node under faults', function () {
  this.timeout(MINUTES * 60_000 + REST_MS);

  it('returns what it acknowledged, once, and nothing else', async () => {
    const printed: string[] = [];
    const print = (line: string): void => {
      printed.push(line);
    };
    const report = await runSoak({ seed: SEED, seconds: MINUTES * 60, print });
    const told = [...printed, ...reportLines(report)].join('\n');
    expect(report.findings.count, told).to.equal(0);
    expect(report.missing, told).to.deep.equal([]);
    expect(report.final.returned, told).to.be.within(report.acknowledged, report.sent);
  });
});
