/**
 * A cluster of real processes under live pushes: three nodes become five, each is rolled, two are left. Pushers go to any node, try again
 * elsewhere when one refuses, and write down what was acknowledged; in the end every line is asked for.
 */
import path from 'node:path';
import snappy from 'snappy';
import { request } from 'undici';
import { LocalCluster } from '../src/cli/local-cluster.ts';
import type { RingStatus } from '../src/member/cluster-services.ts';
import { encodePushRequest } from '../src/protocol/logproto.ts';

export interface ClusterDemo {
  readonly folder: string;
  readonly say: (text: string) => void;
  readonly step: (title: string) => void;
}

export interface ClusterOutcome {
  readonly acknowledged: number;
  readonly returned: number;
  readonly lost: number;
  readonly doubled: number;
}

const CLI = path.join(import.meta.dirname, '../bin/ringlog.js');
const PUSHERS = 4;
const STREAMS = 120;
const STREAMS_A_PUSH = 12;
const LINES_A_STREAM = 4;
const PAUSE_MS = 25;
const RETRY_MS = 100;
const SETTLE_MS = 60_000;
const RUNS_MS = 1_000;

const streamOf = (number: number): string => `{app="live", stream="${number}"}`;

/** Pushes until it is stopped: the same payload again until a node takes it. */
class Traffic {
  readonly acknowledged = new Map<string, number>();
  readonly #cluster: LocalCluster;
  readonly #running: Promise<unknown>;
  #isOver = false;
  #line = 0;
  retries = 0;
  slowestMs = 0;

  constructor(cluster: LocalCluster) {
    this.#cluster = cluster;
    this.#running = Promise.all(Array.from({ length: PUSHERS }, () => this.#pusher()));
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#running;
  }

  async #pusher(): Promise<void> {
    while (!this.#isOver) {
      await this.#deliver();
      await pause(PAUSE_MS);
    }
  }

  async #deliver(): Promise<void> {
    const nowNs = BigInt(Date.now()) * 1_000_000n;
    const lines: [string, number][] = [];
    const streams = Array.from({ length: STREAMS_A_PUSH }, () => {
      const stream = Math.floor(Math.random() * STREAMS);
      const entries = Array.from({ length: LINES_A_STREAM }, () => {
        this.#line += 1;
        const line = `line ${this.#line} of the cluster's demo`;
        lines.push([line, stream]);
        return { timeNs: nowNs + BigInt(this.#line), line };
      });
      return { labels: streamOf(stream), entries };
    });
    const body = snappy.compressSync(encodePushRequest({ streams })) as Buffer;
    const startMs = performance.now();
    while (!(await this.#isTaken(body))) {
      this.retries += 1;
      await pause(RETRY_MS);
    }
    this.slowestMs = Math.max(this.slowestMs, performance.now() - startMs);
    for (const [line, stream] of lines) this.acknowledged.set(line, stream);
  }

  async #isTaken(body: Buffer): Promise<boolean> {
    const { nodes } = this.#cluster;
    const node = nodes[Math.floor(Math.random() * nodes.length)];
    if (!node) return false;
    try {
      const headers = { 'content-type': 'application/x-protobuf' };
      const answer = await request(`${node.url}/loki/api/v1/push`, { method: 'POST', body, headers });
      await answer.body.dump();
      return answer.statusCode === 204;
    } catch {
      return false;
    }
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const getJson = async <T>(url: string): Promise<T> => {
  const answer = await request(url);
  const text = await answer.body.text();
  if (answer.statusCode !== 200) throw new Error(`${answer.statusCode} from ${url}: ${text}`);
  return JSON.parse(text) as T;
};

/** Waits until every node has what is its own. */
const settled = async (cluster: LocalCluster): Promise<RingStatus> => {
  const deadlineMs = performance.now() + SETTLE_MS;
  for (;;) {
    const [first] = cluster.nodes;
    const status = first && (await getJson<RingStatus>(`${first.url}/ringlog/v1/ring`).catch(() => undefined));
    const isSettled = status?.nodes.every(({ state, figures }) => state === 'ACTIVE' && figures?.isSettled);
    if (status && isSettled && status.nodes.length === cluster.nodes.length) return status;
    if (performance.now() > deadlineMs) throw new Error('the cluster did not settle in time');
    await pause(100);
  }
};

const ringText = ({ nodes }: RingStatus): string =>
  nodes
    .map(
      ({ nodeId, ownership, figures }) =>
        `${nodeId} ${(100 * ownership).toFixed(0)} % ${figures?.streams ?? '?'} streams`,
    )
    .join(', ');

interface LinesAnswer {
  readonly data: { readonly result: readonly { readonly values: readonly (readonly [string, string])[] }[] };
}

/** Every line that a node finds, stream by stream. */
const linesOf = async (url: string): Promise<readonly string[]> => {
  const lines: string[] = [];
  for (let stream = 0; stream < STREAMS; stream += 1) {
    const parameters = new URLSearchParams({ query: streamOf(stream), limit: '5000', direction: 'forward' });
    const { data } = await getJson<LinesAnswer>(`${url}/loki/api/v1/query_range?${parameters}`);
    for (const { values } of data.result) for (const [, line] of values) lines.push(line);
  }
  return lines;
};

const compare = (acknowledged: ReadonlyMap<string, number>, lines: readonly string[]): ClusterOutcome => {
  const seen = new Set(lines);
  const lost = [...acknowledged.keys()].filter((line) => !seen.has(line)).length;
  return { acknowledged: acknowledged.size, returned: lines.length, lost, doubled: lines.length - seen.size };
};

export const runClusterDemo = async ({ folder, say, step }: ClusterDemo): Promise<ClusterOutcome> => {
  const settings = {
    cluster: { linger: '1s', unsafe_short_linger: true },
    limits: { ingestion_rate_mb: 100, ingestion_burst_size_mb: 100 },
  };
  const cluster = await LocalCluster.open({ command: [CLI], folder, basePort: 0, settings });
  try {
    step('a cluster: three nodes, any of which takes any push and any query');
    for (const nodeId of ['node-1', 'node-2', 'node-3']) {
      const { url, pid } = await cluster.start(nodeId);
      say(`   ${nodeId} serves at ${url} (pid ${pid})`);
    }
    const traffic = new Traffic(cluster);
    await pause(RUNS_MS);
    say(`   live pushes over ${STREAMS} streams: ${ringText(await settled(cluster))}`);
    step('it grows: what the new nodes own moves to them, with its unflushed entries');
    for (const nodeId of ['node-4', 'node-5']) {
      await cluster.start(nodeId);
      say(`   ${nodeId} joined: ${ringText(await settled(cluster))}`);
    }
    step('each node is rolled: it hands everything over, ends, comes back');
    for (const { nodeId } of cluster.nodes) {
      const code = await cluster.drain(nodeId);
      await cluster.start(nodeId);
      await settled(cluster);
      say(`   ${nodeId} ended with ${code} and is back`);
    }
    step('it shrinks');
    for (const nodeId of ['node-1', 'node-3', 'node-5']) {
      const code = await cluster.drain(nodeId);
      say(`   ${nodeId} ended with ${code}: ${ringText(await settled(cluster))}`);
    }
    await traffic.stop();
    const last = cluster.nodes[0];
    if (!last) throw new Error('no node is left');
    const outcome = compare(traffic.acknowledged, await linesOf(last.url));
    const { acknowledged, returned, lost, doubled } = outcome;
    say(`   ${traffic.retries} pushes were tried again, the slowest took ${traffic.slowestMs.toFixed(0)} ms in all`);
    say(`   acknowledged ${acknowledged}, returned ${returned}, lost ${lost}, doubled ${doubled}`);
    const codes = await cluster.drainAll();
    say(`   the last nodes stored what was left and ended with ${[...codes.values()].join(', ')}`);
    return outcome;
  } finally {
    await cluster.close();
  }
};
