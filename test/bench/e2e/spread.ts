/** A big query over flushed data, asked of one node and then of the same with another beside it: each scans with one thread. */
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { LocalCluster } from '../../../src/cli/local-cluster.ts';
import { corpusStreams } from '../../support/corpus.ts';
import { buildLoad } from '../../support/load.ts';
import { buildNodes, SERVE } from '../../support/node-process.ts';
import { ask, post, sendAll } from './client.ts';
import { UNLIMITED } from './limits.ts';

const SPAN_MS = 50 * 60_000;
const RUNS = 5;
const FACTOR_MIN = 1.7;

const QUERIES = [
  'sum by (app) (count_over_time({app=~".+"} |~ "[0-9]{3}[a-z]{2}[0-9]+" [1m]))',
  'sum by (level) (count_over_time({system="json"} | json [1m]))',
  '{app=~".+"} |~ "[0-9]{3}[a-z]{2}[0-9]+x"',
];

export const benchSpread = async (megabytes: number): Promise<void> => {
  buildNodes();
  const folder = mkdtempSync(path.join(os.tmpdir(), 'rl-spread-'));
  const settings = { log_level: 'info', ingester: { cut_workers: 1 }, querier: { scan_workers: 1 }, limits: UNLIMITED };
  const cluster = await LocalCluster.open({ command: [SERVE], folder, basePort: 0, settings });
  try {
    const { url } = await cluster.start('node-1');
    const load = buildLoad({
      streams: corpusStreams(100),
      connections: 8,
      batchBytes: 262_144,
      totalBytes: megabytes * 1e6,
      streamsPerPush: 12,
      startMs: Date.now() - SPAN_MS,
      spanMs: SPAN_MS,
    });
    await sendAll(url, load);
    await post(`${url}/flush`);
    const alone = await wallOf(url);
    await cluster.start('node-2');
    const both = await wallOf(url);
    console.log(`\n### A query over ${megabytes} MB of flushed lines, with one node and with two\n`);
    console.log('| query | one node, ms | two nodes, ms | × as fast | bar |');
    console.log('| --- | --- | --- | --- | --- |');
    for (const [index, query] of QUERIES.entries()) {
      const [one = 0, two = 0] = [alone[index], both[index]];
      const factor = (one / two).toFixed(2);
      console.log(
        `| \`${query.replaceAll('|', '\\|')}\` | ${one.toFixed(0)} | ${two.toFixed(0)} | ${factor} | ${FACTOR_MIN} |`,
      );
    }
  } finally {
    await cluster.close();
    rmSync(folder, { recursive: true, force: true });
  }
};

/** Median of each query, the first run left out: V8 compiles. */
const wallOf = async (url: string): Promise<readonly number[]> => {
  const medians: number[] = [];
  for (const query of QUERIES) {
    const times: number[] = [];
    for (let run = 0; run <= RUNS; run += 1) {
      const begin = performance.now();
      await ask(url, query, { startMs: Date.now() - SPAN_MS - 600_000, endMs: Date.now() });
      times.push(performance.now() - begin);
    }
    medians.push(times.slice(1).sort((left, right) => left - right)[Math.floor(RUNS / 2)] ?? 0);
  }
  return medians;
};
