/** npm run test:soak -- [--minutes N] [--seed S] [--kills N]. Exit code 1 if anything was wrong, or what it tests did not happen. */
import { parseArgs } from 'node:util';
import { reportLines } from './report-lines.ts';
import { runSoak } from './run-soak.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '2' },
    seed: { type: 'string' },
    kills: { type: 'string' },
  },
});
const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

print(`seed ${seed}`);
try {
  const kills = values.kills === undefined ? {} : { kills: Number(values.kills) };
  const report = await runSoak({ seed, seconds: Number(values.minutes) * 60, ...kills, print });
  for (const line of reportLines(report)) print(line);
  process.exitCode = report.findings.count > 0 || report.missing.length > 0 ? 1 : 0;
} catch (error) {
  print(`seed ${seed}: ${(error as Error).stack}`);
  process.exitCode = 1;
}
