/**
 * End to end, whole processes: a node of its own, pushes over HTTP, queries over what it flushed. Prints markdown tables.
 *
 *   npm run bench -- e2e [ingest] [otlp] [query] [mixed] [log] [restart] [spread] [forward] [moves] [resize] [parallel] [overload] [--mb 450] [--seconds 60]
 *
 * CPU is that of the node's process (all threads), so the load generator does not count. Beside each figure stands the bare work of the
 * same lines or blocks, measured in the same run: on a noisy machine only the ratio holds.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { DEFAULT_GZIP_LEVEL } from '../../../src/chunk/gzip-level.ts';
import { corpusStreams } from '../../support/corpus.ts';
import { buildLoad, type Load } from '../../support/load.ts';
import { bareGzip, bareInflate, storedBlocks } from './bare.ts';
import { benchLog } from './bench-log.ts';
import { benchOtlp } from './bench-otlp.ts';
import { ask, sendAll } from './client.ts';
import { benchForward } from './forward.ts';
import { ingest, loopP99Ms, withServer } from './ingest.ts';
import { benchMoves } from './moves.ts';
import { benchOverload } from './overload.ts';
import { benchParallel } from './parallel.ts';
import { cpuSeconds, rssMiB } from './process-meter.ts';
import { benchResize } from './resize.ts';
import { benchRestart } from './restart.ts';
import { build, startServer } from './server.ts';
import { benchSpread } from './spread.ts';

const SPAN_MS = 50 * 60_000;
/** V8 compiles what it will in the first half second of a node's life; a node lives longer. */
const WARM_UP_MB = 60;
const HEADER_RULE = (columns: number): string => `|${' --- |'.repeat(columns)}`;

interface Options {
  readonly megabytes: number;
  /** Of overload. */
  readonly seconds: number;
  /** Of resize. */
  readonly streams: number;
  /** Of resize: pushes a second. */
  readonly rate: number | undefined;
}

/** What restart has by default: the bar is for 2 GB. */
const RESTART_MB = 2000;

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
const fixed = (value: number, digits = 2): string => value.toFixed(digits);

const makeLoad = (streams: number, streamsPerPush: number, megabytes: number): Load =>
  buildLoad({
    streams: corpusStreams(streams),
    connections: 8,
    batchBytes: 262_144,
    totalBytes: megabytes * 1e6,
    streamsPerPush,
    startMs: Date.now() - SPAN_MS,
    spanMs: SPAN_MS,
  });

const benchIngest = async ({ megabytes }: Options): Promise<void> => {
  const level = DEFAULT_GZIP_LEVEL;
  console.log(
    `\n### Ingest: HTTP, snappy protobuf, 8 connections, 256 KB of lines a push, ${megabytes} MB, gzip level ${level}\n`,
  );
  console.log(
    '| streams (a push) | CPU-s/GB | with flush | bare gzip | × bare | × bare, flushed | MB/s | RSS MiB after / at most | loop stall p99 ms | ' +
      'push p50 / p99 ms | retries |',
  );
  console.log(HEADER_RULE(11));
  const shapes = [
    [100, 12],
    [5000, 12],
    [5000, 600],
  ] as const;
  let levels = '';
  for (const [count, perPush] of shapes) {
    const load = makeLoad(count, perPush, megabytes);
    // With 5,000 streams no stream fills a block of the sample: the lines are of the same kinds as with 100.
    const sample = load.sample.length > 0 ? load.sample : makeLoad(100, 12, 64).sample;
    // The first one is cold.
    bareGzip(sample, level);
    const bare = [bareGzip(sample, level), bareGzip(sample, level)];
    const result = await ingest(load, makeLoad(count, perPush, WARM_UP_MB));
    bare.push(bareGzip(sample, level));
    const bareCpu = median(bare.map((one) => one.cpuPerGb));
    console.log(
      `| ${count} (${perPush}) | ${fixed(result.cpuPerGb)} | ${fixed(result.flushCpuPerGb)} | ${fixed(bareCpu)} | ` +
        `${fixed(result.cpuPerGb / bareCpu)} | ${fixed(result.flushCpuPerGb / bareCpu)} | ${fixed(result.mbPerSecond, 0)} | ` +
        `${fixed(result.rssMiB, 0)} / ${fixed(result.peakMiB, 0)} | ` +
        `${fixed(result.loopP99Ms)} | ${fixed(result.sent.p50Ms, 1)} / ${fixed(result.sent.p99Ms, 1)} | ${result.sent.retries} |`,
    );
    if (levels !== '') continue;
    const own = bare[0] as (typeof bare)[number];
    const six = bareGzip(sample, 6);
    levels =
      `\ngzip level ${level}: ratio ${fixed(own.ratio)}; level 6: ratio ${fixed(six.ratio)}, ${fixed(six.cpuPerGb)} CPU-s/GB: ` +
      `level ${level} gives ${fixed(six.ratio / own.ratio)} × the bytes of level 6`;
  }
  console.log(levels);
};

interface QueryCase {
  readonly name: string;
  readonly query: string;
  /** Which streams the selector takes. */
  readonly passes: (labels: ReadonlyMap<string, string>) => boolean;
  /** Of × inflate. */
  readonly bar?: string;
  /** Of CPU-s/GB. */
  readonly cpuBar: string;
}

const everything = (): boolean => true;
const system =
  (name: string) =>
  (labels: ReadonlyMap<string, string>): boolean =>
    labels.get('system') === name;

const QUERIES: readonly QueryCase[] = [
  {
    name: 'needle that is nowhere',
    query: '{app=~".+"} |= "no such needle"',
    passes: everything,
    bar: '1.6',
    cpuBar: '0.3',
  },
  {
    name: 'needle that looks like what is there',
    query: '{app=~".+"} |= "took 301 ms"',
    passes: everything,
    bar: '1.6',
    cpuBar: '0.3',
  },
  {
    name: 'count by app',
    query: 'sum by (app) (count_over_time({app=~".+"}[1m]))',
    passes: everything,
    bar: '1.8',
    cpuBar: '2.5',
  },
  {
    name: 'json, status >= 500',
    query: 'sum by (app) (count_over_time({system="json"} | json | status >= 500 [1m]))',
    passes: system('json'),
    bar: '3.5',
    cpuBar: '2.7',
  },
  {
    name: 'logfmt by level',
    query: 'sum by (level) (count_over_time({system="logfmt"} | logfmt [1m]))',
    passes: system('logfmt'),
    bar: '3.5',
    cpuBar: '4.5',
  },
  {
    name: 'regex with a literal',
    query: 'sum by (app) (count_over_time({app=~".+"} |~ "slow query .*user=1[0-9]+" [1m]))',
    passes: everything,
    bar: '2.5',
    cpuBar: '7',
  },
  {
    name: 'regex without',
    query: 'sum by (app) (count_over_time({app=~".+"} |~ "[0-9]{3}[a-z]{2}[0-9]+" [1m]))',
    passes: everything,
    bar: '12',
    cpuBar: '7',
  },
  {
    name: 'json, path and grouping',
    query: 'sum by (method, level) (count_over_time({system="json"} | json | path=~"/api/.+" [1m]))',
    passes: system('json'),
    cpuBar: '4.3',
  },
  { name: 'rate by app', query: 'sum by (app) (rate({app=~".+"}[1m]))', passes: everything, cpuBar: '2.5' },
  {
    name: 'quantile of an unwrapped field',
    query: 'quantile_over_time(0.99, {system="json"} | json | unwrap duration_ms [1m]) by (app)',
    passes: system('json'),
    cpuBar: '3.5',
  },
  {
    name: 'ratio of two rates',
    query: 'sum(rate({app=~".+"} |= "error" [1m])) / sum(rate({app=~".+"}[1m]))',
    passes: everything,
    cpuBar: '2.3',
  },
];

const wallMs = async (work: () => Promise<unknown>): Promise<number> => {
  const times: number[] = [];
  for (let run = 0; run < 9; run += 1) {
    const begin = performance.now();
    await work();
    times.push(performance.now() - begin);
  }
  return median(times);
};

const get = async (url: string): Promise<void> => {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
  await answer.arrayBuffer();
};

/** Runs each query over flushed data on a freshly started node; bare inflate of the same blocks before and after each. */
const benchQuery = async ({ megabytes }: Options): Promise<void> => {
  const dataDir = mkdtempSync(path.join(os.tmpdir(), 'ringlog-bench-'));
  const config = path.join(import.meta.dirname, 'bench-config.yaml');
  try {
    const load = makeLoad(100, 12, megabytes);
    const writer = await startServer(dataDir, config);
    await sendAll(writer.url, load);
    await writer.stop();
    const server = await startServer(dataDir, config);
    const range = { startMs: Date.now() - SPAN_MS - 10 * 60_000, endMs: Date.now(), isCold: true };
    console.log(`\n### Queries over ${megabytes} MB of flushed lines in 100 streams, cold node\n`);
    console.log('| query | CPU-s/GB | bar | bare inflate | × inflate | bar | wall ms | result |');
    console.log(HEADER_RULE(8));
    for (const { name, query, passes, bar = '', cpuBar } of QUERIES) {
      const stored = storedBlocks(path.join(dataDir, 'chunks'), passes);
      const bare: number[] = [bareInflate(stored)];
      const used: number[] = [];
      let size = 0;
      const walls: number[] = [];
      for (let run = 0; run < 3; run += 1) {
        const before = cpuSeconds(server.pid);
        const begin = performance.now();
        size = (await ask(server.url, query, range)).result.length;
        walls.push(performance.now() - begin);
        used.push((cpuSeconds(server.pid) - before) / (stored.lineBytes / 1e9));
        bare.push(bareInflate(stored));
      }
      console.log(
        `| ${name}: \`${query.replaceAll('|', '\\|')}\` | ${fixed(median(used))} | ${cpuBar} | ${fixed(median(bare))} | ` +
          `${fixed(median(used) / median(bare))} | ${bar} | ${fixed(median(walls), 0)} | ${size} |`,
      );
    }
    const times = `start=${range.startMs}000000&end=${range.endMs}000000`;
    const last = await wallMs(() => ask(server.url, '{app="json-1"}', { ...range, limit: 1000 }));
    const labels = await wallMs(() => get(`${server.url}/loki/api/v1/labels?${times}`));
    const series = await wallMs(() => get(`${server.url}/loki/api/v1/series?${times}`));
    console.log(
      `\nwall, median of 9: last 1,000 lines of one app ${fixed(last, 1)} ms (bar 50), labels ${fixed(labels, 1)} ms (10), `,
    );
    console.log(`series of 100 streams ${fixed(series, 1)} ms (20); RSS ${fixed(rssMiB(server.pid), 0)} MiB`);
    await server.stop();
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
};

/** Push rate alone, then while queries scan without pause. */
const benchMixed = async ({ megabytes }: Options): Promise<void> => {
  const load = makeLoad(100, 12, megabytes);
  const half = (from: number, to: number): Load => ({
    ...load,
    lineBytes: load.lineBytes * (to - from),
    bodies: load.bodies.map((bodies) => bodies.slice(Math.floor(bodies.length * from), Math.floor(bodies.length * to))),
  });
  await withServer(async (server) => {
    const alone = half(0, 0.5);
    const first = await sendAll(server.url, alone);
    const second = half(0.5, 1);
    let isDone = false;
    let queries = 0;
    const scanning = (async () => {
      while (!isDone) {
        await ask(server.url, 'sum by (app) (count_over_time({app=~".+"} |~ "[0-9]{3}[a-z]{2}[0-9]+" [1m]))', {
          startMs: Date.now() - SPAN_MS - 600_000,
          endMs: Date.now(),
        });
        queries += 1;
      }
    })();
    const during = await sendAll(server.url, second);
    isDone = true;
    await scanning;
    const rateAlone = alone.lineBytes / 1e6 / first.wallSeconds;
    const rateDuring = second.lineBytes / 1e6 / during.wallSeconds;
    console.log('\n### Pushes while a query scans\n');
    console.log('| | MB/s | push p50 / p99 ms | loop stall p99 ms |');
    console.log(HEADER_RULE(4));
    console.log(`| alone | ${fixed(rateAlone, 0)} | ${fixed(first.p50Ms, 1)} / ${fixed(first.p99Ms, 1)} | |`);
    console.log(
      `| while scanning (${queries} queries) | ${fixed(rateDuring, 0)} | ${fixed(during.p50Ms, 1)} / ${fixed(during.p99Ms, 1)} | ` +
        `${fixed(await loopP99Ms(server.url))} |`,
    );
    console.log(`\npushes keep ${fixed((100 * rateDuring) / rateAlone, 0)} % of their rate (bar: 80 %)`);
  });
};

export const runEndToEnd = async (parts: readonly string[], options: Options): Promise<void> => {
  const wants = (part: string): boolean => parts.length === 0 || parts.includes(part);
  if (['ingest', 'otlp', 'query', 'mixed'].some(wants)) build();
  if (wants('ingest')) await benchIngest(options);
  if (wants('otlp')) await benchOtlp(options.megabytes);
  if (wants('query')) await benchQuery(options);
  if (wants('mixed')) await benchMixed(options);
  if (wants('log')) await benchLog(options.megabytes);
  if (wants('restart')) await benchRestart(Math.max(RESTART_MB, options.megabytes));
  if (wants('forward')) await benchForward();
  if (wants('spread')) await benchSpread(options.megabytes);
  if (wants('moves')) await benchMoves({ streams: options.streams, lines: 40 });
  if (wants('resize')) await benchResize(options);
  if (wants('parallel')) await benchParallel();
  if (wants('overload')) await benchOverload(options.seconds, options.megabytes);
};
