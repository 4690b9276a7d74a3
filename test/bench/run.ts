/**
 * Benchmarks.   npm run bench [-- micro [name …]] [-- skip [--mb N]] [-- e2e [ingest|otlp|query|mixed|log|restart|overload|forward|resize|parallel …] [--mb N] [--seconds N]
 * [--streams N] [--rate N]]
 * Without arguments: all of them.
 */
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { run } from 'mitata';
import { runEndToEnd } from './e2e/run-e2e.ts';
import { runSkipReport } from './query/skip-report.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    mb: { type: 'string', default: '450' },
    seconds: { type: 'string', default: '60' },
    streams: { type: 'string', default: '50000' },
    rate: { type: 'string' },
  },
});
const [kind, ...names] = positionals;

if (kind === undefined || kind === 'micro') {
  const files = readdirSync(import.meta.dirname, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.bench.ts'))
    .filter((name) => names.length === 0 || names.some((part) => name.includes(part)))
    .sort();
  for (const file of files) {
    const module: { registerBenches(): void | Promise<void> } = await import(path.join(import.meta.dirname, file));
    await module.registerBenches();
  }
  await run();
}
if (kind === undefined || kind === 'skip') runSkipReport(Number(values.mb));
if (kind === undefined || kind === 'e2e') {
  await runEndToEnd(names, {
    megabytes: Number(values.mb),
    seconds: Number(values.seconds),
    streams: Number(values.streams),
    rate: values.rate === undefined ? undefined : Number(values.rate),
  });
}
