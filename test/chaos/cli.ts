/** npm run test:chaos -- [--minutes N] [--seed S]. Exit code 1 if anything was wrong, or what it tests did not happen. */
import { parseArgs } from 'node:util';
import { runChaos } from './run-chaos.ts';

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '1.5' }, seed: { type: 'string' } },
});
const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

// An exit ends the nodes too; a signal alone would leave them behind.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

print(`seed ${seed}`);
try {
  const { lines, findings, missing } = await runChaos({ seed, seconds: Number(values.minutes) * 60, print });
  for (const line of lines) print(line);
  process.exitCode = findings.count > 0 || missing.length > 0 ? 1 : 0;
} catch (error) {
  print(`seed ${seed}: ${(error as Error).stack}`);
  process.exitCode = 1;
}
