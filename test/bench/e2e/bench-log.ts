/** What the log costs: the same pushes with and without it, in turn. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { corpusStreams } from '../../support/corpus.ts';
import { buildLoad, type Load } from '../../support/load.ts';
import { type SendResult, sendAll } from './client.ts';
import { cpuSeconds } from './process-meter.ts';
import { startServer } from './server.ts';

const CONNECTIONS = 32;
const ROUNDS = 3;
const SPAN_MS = 50 * 60_000;
const WARM_UP_MB = 30;

const makeLoad = (megabytes: number): Load =>
  buildLoad({
    streams: corpusStreams(100),
    connections: CONNECTIONS,
    batchBytes: 262_144,
    totalBytes: megabytes * 1e6,
    streamsPerPush: 3,
    startMs: Date.now() - SPAN_MS,
    spanMs: SPAN_MS,
  });

interface Round {
  readonly mbPerSecond: number;
  readonly cpuPerGb: number;
  readonly sent: SendResult;
}

const pushOnce = async (wal: string, load: Load, warmUp: Load): Promise<Round> => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'ringlog-bench-'));
  const config = path.join(folder, 'config.yaml');
  writeFileSync(config, `${readFileSync(path.join(import.meta.dirname, 'bench-config.yaml'), 'utf8')}    ${wal}\n`);
  const server = await startServer(path.join(folder, 'data'), config);
  try {
    await sendAll(server.url, warmUp);
    const before = cpuSeconds(server.pid);
    const sent = await sendAll(server.url, load);
    const cpu = cpuSeconds(server.pid) - before;
    return { mbPerSecond: load.lineBytes / 1e6 / sent.wallSeconds, cpuPerGb: cpu / (load.lineBytes / 1e9), sent };
  } finally {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  }
};

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;

const KINDS = [
  ['no log', 'enabled: false'],
  ['log, `sync: os`', 'sync: os'],
  ['log, `sync: fsync`', 'sync: fsync'],
] as const;

export const benchLog = async (megabytes: number): Promise<void> => {
  const load = makeLoad(megabytes);
  const warmUp = makeLoad(WARM_UP_MB);
  const rounds = KINDS.map((): Round[] => []);
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [index, [, wal]] of KINDS.entries()) rounds[index]?.push(await pushOnce(wal, load, warmUp));
  }
  const bare = median(rounds[0]?.map(({ mbPerSecond }) => mbPerSecond) ?? []);
  console.log(
    `\n### The log: ${CONNECTIONS} connections, 256 KB of lines a push, ${megabytes} MB, median of ${ROUNDS}\n`,
  );
  console.log('| | MB/s | of no log (bar 70 %) | CPU-s/GB | push p50 / p99 ms |\n| --- | --- | --- | --- | --- |');
  for (const [index, [name]] of KINDS.entries()) {
    const own = rounds[index] ?? [];
    const of = (read: (round: Round) => number): number => median(own.map(read));
    const speed = of(({ mbPerSecond }) => mbPerSecond);
    console.log(
      `| ${name} | ${speed.toFixed(0)} | ${((100 * speed) / bare).toFixed(0)} % | ${of(({ cpuPerGb }) => cpuPerGb).toFixed(1)} | ` +
        `${of(({ sent }) => sent.p50Ms).toFixed(1)} / ${of(({ sent }) => sent.p99Ms).toFixed(1)} |`,
    );
  }
};
