/** How long a node that was killed takes to be ready, and to answer over what lies unflushed in its log. */
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { stringify } from 'yaml';
import { corpusStreams } from '../../support/corpus.ts';
import { buildLoad } from '../../support/load.ts';
import { buildNodes, NodeProcess } from '../../support/node-process.ts';
import { ask, sendAll } from './client.ts';
import { UNLIMITED } from './limits.ts';
import { rssMiB } from './process-meter.ts';

const ROUND_MB = 500;
const SPAN_MS = 20 * 60_000;
const READY_BAR_MS = 3000;
const RESTARTS = 3;
/** One stream of a hundred, and all of them. */
const ONE = 'sum(count_over_time({app="json-1"}[3h]))';
const ALL = 'sum(count_over_time({app=~".+"}[3h]))';

/** Nothing is flushed. */
const KEEPING = {
  chunk_target_size: '64MB',
  chunk_idle_period: '365d',
  max_chunk_age: '365d',
  unflushed_memory_max: '16GB',
};

const countOf = async (url: string, query: string, nowMs: number): Promise<number> => {
  const { result } = await ask(url, query, { startMs: nowMs, endMs: nowMs, stepSeconds: 60 });
  const [series] = result as { readonly values: readonly (readonly [number, string])[] }[];
  return Number(series?.values[0]?.[1] ?? 0);
};

const megabytesIn = (folder: string): number =>
  readdirSync(folder).reduce((sum, name) => sum + statSync(path.join(folder, name)).size, 0) / 1e6;

const started = async (configFile: string): Promise<{ node: NodeProcess; url: string; readyMs: number }> => {
  const node = new NodeProcess({
    configFile,
    isFaulty: false,
    onProblem: (text) => console.log(`the node says: ${text}`),
  });
  const readyMs = await node.ready();
  if (readyMs === undefined || node.url === undefined) throw new Error('the node did not start');
  return { node, url: node.url, readyMs };
};

export const benchRestart = async (megabytes: number): Promise<void> => {
  buildNodes();
  const folder = mkdtempSync(path.join(os.tmpdir(), 'ringlog-restart-'));
  const dataDir = path.join(folder, 'data');
  const configFile = path.join(folder, 'node.yaml');
  const listen = { http_listen: '127.0.0.1:0', grpc_listen: 'off', data_dir: dataDir };
  writeFileSync(configFile, stringify({ ...listen, ingester: KEEPING, limits: UNLIMITED }));
  let running: NodeProcess | undefined;
  try {
    const nowMs = Date.now();
    const rounds = Math.ceil(megabytes / ROUND_MB);
    let [one, all] = [0, 0];
    for (let round = 0; round < rounds; round += 1) {
      const { node, url } = await started(configFile);
      running = node;
      const load = buildLoad({
        streams: corpusStreams(100),
        connections: 8,
        batchBytes: 262_144,
        totalBytes: (megabytes / rounds) * 1e6,
        streamsPerPush: 12,
        startMs: nowMs - (rounds - round) * SPAN_MS,
        spanMs: SPAN_MS,
      });
      const { retries } = await sendAll(url, load);
      if (round + 1 === rounds) [one, all] = [await countOf(url, ONE, nowMs), await countOf(url, ALL, nowMs)];
      console.log(
        `round ${round + 1} of ${rounds}: ${retries} retries, log ${Math.round(megabytesIn(path.join(dataDir, 'log')))} MB`,
      );
      await node.kill();
    }
    const logMb = Math.round(megabytesIn(path.join(dataDir, 'log')));
    console.log(`\n### Restart after SIGKILL, ${logMb} MB of log, nothing of it flushed\n`);
    console.log(
      '| | start to ready ms (bar 3000) | start to first right answer ms | all entries counted after ms | RSS MiB ready / then |',
    );
    console.log('| --- | --- | --- | --- | --- |');
    for (let restart = 1; restart <= RESTARTS; restart += 1) {
      const begin = performance.now();
      const { node, url, readyMs } = await started(configFile);
      running = node;
      const rss = rssMiB(node.pid);
      const isOneRight = (await countOf(url, ONE, nowMs)) === one;
      const firstMs = performance.now() - begin;
      const isAllRight = (await countOf(url, ALL, nowMs)) === all;
      const allMs = performance.now() - begin;
      const verdict = isOneRight && isAllRight && readyMs <= READY_BAR_MS ? 'kept' : 'MISSED';
      console.log(
        `| ${restart}: ${verdict}${isOneRight && isAllRight ? '' : ', WRONG ANSWER'} | ${readyMs.toFixed(0)} | ${firstMs.toFixed(0)} | ` +
          `${allMs.toFixed(0)} (${all} entries) | ${rss.toFixed(0)} / ${rssMiB(node.pid).toFixed(0)} |`,
      );
      await node.kill();
    }
  } finally {
    if (running && !running.isGone) await running.kill();
    rmSync(folder, { recursive: true, force: true });
  }
};
