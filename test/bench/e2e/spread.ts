/**
 * A big query over flushed data, asked of a node that is alone and of one that has another beside it, in turn: each scans with one thread and has a core of its own, as on
 * machines of their own. The lone one is a cluster of its own over the same store. It is also asked with both cores, of which it uses more than one: it reads files
 * beside the scan.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { LocalCluster } from '../../../src/cli/local-cluster.ts';
import { corpusStreams } from '../../support/corpus.ts';
import { buildLoad } from '../../support/load.ts';
import { buildNodes, SERVE } from '../../support/node-process.ts';
import { type AskOptions, ask, post, sendAll } from './client.ts';
import { UNLIMITED } from './limits.ts';
import { cpuSeconds } from './process-meter.ts';

const SPAN_MS = 50 * 60_000;
/** Rounds of each query, at least: then as many as make this time. Short ones vary more. */
const ROUNDS_MIN = 7;
const MEASURE_MS = 20_000;
/** As above, before any counts: V8 compiles what a node does once a message only after hundreds of messages. */
const WARM_UPS_MIN = 3;
const WARM_UP_MS = 10_000;
const FACTOR_MIN = 1.7;

const QUERIES = [
  'sum by (app) (count_over_time({app=~".+"} |~ "[0-9]{3}[a-z]{2}[0-9]+" [1m]))',
  'sum by (level) (count_over_time({system="json"} | json [1m]))',
  '{app=~".+"} |~ "[0-9]{3}[a-z]{2}[0-9]+x"',
];

const SETTINGS = { log_level: 'info', ingester: { cut_workers: 1 }, querier: { scan_workers: 1 }, limits: UNLIMITED };

export const benchSpread = async (megabytes: number): Promise<void> => {
  buildNodes();
  const folder = mkdtempSync(path.join(os.tmpdir(), 'rl-spread-'));
  const pair = await openCluster(folder, 'pair');
  const lone = await openCluster(folder, 'lone');
  const other = await openCluster(folder, 'other');
  try {
    const { url } = await pair.start('node-1');
    const range = await write(url, megabytes);
    await pair.start('node-2');
    await lone.start('node-1');
    await other.start('node-1');
    console.log(`\n### A query over ${megabytes} MB of flushed lines, with one node and with two, in turn\n`);
    console.log(
      '| query | one node, ms | with both cores, ms | two nodes, ms | × as fast as one | bar | as one with both cores | cores in use, one with both and two | two that share nothing |',
    );
    console.log(`|${' --- |'.repeat(9)}`);
    for (const query of QUERIES) {
      const { pinned, one, two, factor, factorOfBoth, cores, bound } = await inTurn(query, [lone, other], pair, range);
      const text = query.replaceAll('|', '\\|');
      console.log(
        `| \`${text}\` | ${pinned.toFixed(0)} | ${one.toFixed(0)} | ${two.toFixed(0)} | ${factor.toFixed(2)} | ${FACTOR_MIN} | ${factorOfBoth.toFixed(2)} | ` +
          `${cores.map((used) => used.toFixed(2)).join(' / ')} | ${bound.toFixed(2)} |`,
      );
    }
  } finally {
    await pair.close();
    await lone.close();
    await other.close();
    rmSync(folder, { recursive: true, force: true });
  }
};

const openCluster = (folder: string, name: string): Promise<LocalCluster> => {
  const own = path.join(folder, name);
  const store = path.join(folder, 'store');
  mkdirSync(store, { recursive: true });
  mkdirSync(own);
  symlinkSync(store, path.join(own, 'store'));
  return LocalCluster.open({ command: [SERVE], folder: own, basePort: 0, settings: SETTINGS });
};

const write = async (url: string, megabytes: number): Promise<AskOptions> => {
  const startMs = Date.now() - SPAN_MS;
  const load = buildLoad({
    streams: corpusStreams(100),
    connections: 8,
    batchBytes: 262_144,
    totalBytes: megabytes * 1e6,
    streamsPerPush: 12,
    startMs,
    spanMs: SPAN_MS,
  });
  await sendAll(url, load);
  await post(`${url}/flush`);
  return { startMs: startMs - 600_000, endMs: Date.now(), isCold: true };
};

const median = (values: readonly number[]): number =>
  [...values].sort((left, right) => left - right)[Math.floor(values.length / 2)] ?? 0;

/**
 * Medians; the factors are those of runs that followed one another: the machine is not the same a minute later. `bound`: how many times as much two nodes that share nothing
 * but the store do when each answers all of the query, each on its core, as one alone does: what the two of a cluster can reach at most.
 */
const inTurn = async (
  query: string,
  [alone, other]: readonly [LocalCluster, LocalCluster],
  beside: LocalCluster,
  range: AskOptions,
) => {
  const runs: { readonly pinned: Timed; readonly one: Timed; readonly two: Timed; readonly bound: number }[] = [];
  runOn(other, ['1']);
  runOn(beside, ['0', '1']);
  const begin = performance.now();
  let warmUps = 0;
  let measuringSince = Number.POSITIVE_INFINITY;
  while (runs.length < ROUNDS_MIN || performance.now() - measuringSince < MEASURE_MS) {
    runOn(alone, ['0']);
    const pinned = await timed(alone, query, range);
    const both = await Promise.all([alone, other].map((each) => timed(each, query, range)));
    runOn(alone, [ALL_CORES]);
    const one = await timed(alone, query, range);
    const two = await timed(beside, query, range);
    for (const { answer } of [one, two, ...both]) {
      if (answer !== pinned.answer) throw new Error(`${query}: nodes gave different answers`);
    }
    if (measuringSince < Number.POSITIVE_INFINITY) {
      runs.push({ pinned, one, two, bound: (2 * pinned.ms) / Math.max(...both.map(({ ms }) => ms)) });
      continue;
    }
    warmUps += 1;
    if (warmUps >= WARM_UPS_MIN && performance.now() - begin >= WARM_UP_MS) measuringSince = performance.now();
  }
  return {
    pinned: median(runs.map(({ pinned }) => pinned.ms)),
    one: median(runs.map(({ one }) => one.ms)),
    two: median(runs.map(({ two }) => two.ms)),
    factor: median(runs.map(({ pinned, two }) => pinned.ms / two.ms)),
    factorOfBoth: median(runs.map(({ one, two }) => one.ms / two.ms)),
    cores: [median(runs.map(({ one }) => one.cores)), median(runs.map(({ two }) => two.cores))],
    bound: median(runs.map(({ bound }) => bound)),
  };
};

/** As many as the two have. */
const ALL_CORES = '0,1';

/** All threads of each node. */
const runOn = ({ nodes }: LocalCluster, cores: readonly string[]): void => {
  for (const [index, { pid }] of nodes.entries()) {
    execFileSync('taskset', ['-a', '-c', '-p', cores[index] ?? ALL_CORES, String(pid)], { stdio: 'ignore' });
  }
};

interface Timed {
  readonly ms: number;
  /** CPU of all nodes, of that. */
  readonly cores: number;
  readonly answer: string;
}

const timed = async ({ nodes }: LocalCluster, query: string, range: AskOptions): Promise<Timed> => {
  const [asked] = nodes;
  if (!asked) throw new Error('no node runs');
  const usedMs = (): number => nodes.reduce((sum, { pid }) => sum + 1000 * cpuSeconds(pid), 0);
  const before = usedMs();
  const begin = performance.now();
  const { result } = await ask(asked.url, query, range);
  const ms = performance.now() - begin;
  return { ms, cores: (usedMs() - before) / ms, answer: JSON.stringify(result) };
};
