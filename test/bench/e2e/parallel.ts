/** What Loki answered, asked of three nodes a thousand queries at a time, beside pushes of another tenant: answers, memory, and what the pushes notice. */
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Agent, request } from 'undici';
import { LocalCluster } from '../../../src/cli/local-cluster.ts';
import { failedInParallel } from '../../support/conformance-check.ts';
import { SERVED_EXCEPTIONS } from '../../support/conformance-exceptions.ts';
import { KIT_DATA, kitSettings, loadKit } from '../../support/conformance-kit.ts';
import { buildNodes, SERVE } from '../../support/node-process.ts';
import { UNLIMITED } from './limits.ts';
import { cpuSeconds, peakRssMiB } from './process-meter.ts';
import { bodyOf } from './resize.ts';

const NODES = ['node-1', 'node-2', 'node-3'];
const TENANT = 'conformance';
const PUSHER = 'pusher';
const QUERIES_AT_ONCE = 1_000;
/** As many agents push: each waits for its answer, so fewer would measure how long an answer takes. */
const CONNECTIONS = 32;
const STREAMS = 2_000;
const STREAMS_A_PUSH = 20;
const LINES_A_STREAM = 5;
/** Of what three nodes take with nothing beside it: pushes at the peak leave no CPU for a query, on whatever machine. */
const LOAD_SHARE = 0.3;
const WARM_MS = 10_000;
const PEAK_MS = 6_000;
const ALONE_MS = 15_000;
const RSS_MIB_MAX = 1.5 * 1024;
const RATE_SHARE_MIN = 0.8;

export const benchParallel = async (): Promise<void> => {
  buildNodes();
  const folder = mkdtempSync(path.join(os.tmpdir(), 'rl-parallel-'));
  const kitLimits = kitSettings();
  const settings = {
    ...kitLimits,
    log_level: 'info',
    // A thousand may wait: with the default of 100 a tenant that asks more at once is told to come again, with 429.
    querier: { scan_workers: 1, max_outstanding_per_tenant: QUERIES_AT_ONCE },
    overrides: { ...(kitLimits['overrides'] as object), [PUSHER]: UNLIMITED },
  };
  const cluster = await LocalCluster.open({ command: [SERVE], folder, basePort: 0, settings });
  const pusher = new Pusher(cluster);
  try {
    for (const name of NODES) await cluster.start(name);
    const kit = await loadKit();
    const urls = cluster.nodes.map(({ url }) => url);
    await kit.load(urls[0] as string, KIT_DATA, TENANT);
    await pusher.run(undefined, () => pause(WARM_MS));
    const peak = await pusher.run(undefined, () => pause(PEAK_MS));
    const everyMs = 1000 / (peak.perSecond * LOAD_SHARE);
    const load = os.loadavg()[0] ?? 0;
    console.log(
      `\n### ${QUERIES_AT_ONCE} conformance queries at a time on ${NODES.length} nodes, pushes at ${100 * LOAD_SHARE} % of the ` +
        `${peak.perSecond.toFixed(0)} a second that they take over ${CONNECTIONS} connections (load of the machine before: ${load.toFixed(1)} on ${os.cpus().length} cores)\n`,
    );
    console.log(
      '| | pushes a second | of the rate alone | push p50 / p99 ms | CPU s of the nodes | peak RSS MiB by node |',
    );
    console.log(`|${' --- |'.repeat(6)}`);
    const alone = await pusher.run(everyMs, () => pause(ALONE_MS));
    const began = performance.now();
    const beside = await pusher.run(everyMs, () =>
      failedInParallel(kit, urls, TENANT, { concurrency: QUERIES_AT_ONCE }),
    );
    const seconds = (performance.now() - began) / 1000;
    // The machine may have become busier, or less busy, meanwhile.
    const again = await pusher.run(everyMs, () => pause(ALONE_MS));
    const rateAlone = (alone.perSecond + again.perSecond) / 2;
    const share = beside.perSecond / rateAlone;
    printRow('alone before', alone, alone.perSecond / rateAlone, cluster);
    printRow('with the queries', beside, share, cluster);
    printRow('alone afterwards', again, again.perSecond / rateAlone, cluster);
    const { failed, asked } = beside.result;
    const wrong = [...failed].filter(([id]) => !SERVED_EXCEPTIONS.has(id));
    const peaks = cluster.nodes.map(({ pid }) => peakRssMiB(pid));
    console.log(
      `\n${asked.size} queries in ${seconds.toFixed(1)} s, ${wrong.length} wrong answers; peak RSS ${Math.max(...peaks).toFixed(0)} MiB ` +
        `(bar ${RSS_MIB_MAX}); pushes keep ${(100 * share).toFixed(0)} % of their rate (bar ${100 * RATE_SHARE_MIN} %), ` +
        `${beside.retries} refused and tried again`,
    );
    for (const [id, text] of wrong.slice(0, 10)) console.log(`${id} ${text}`);
  } finally {
    await pusher.close();
    await cluster.close();
    rmSync(folder, { recursive: true, force: true });
  }
};

const printRow = (name: string, run: PushRun<unknown>, share: number, { nodes }: LocalCluster): void => {
  const memory = nodes.map(({ pid }) => peakRssMiB(pid).toFixed(0)).join(', ');
  console.log(
    `| ${name} | ${run.perSecond.toFixed(1)} | ${(100 * share).toFixed(0)} % | ${run.p50Ms.toFixed(1)} / ${run.p99Ms.toFixed(1)} | ` +
      `${run.cpuSeconds.toFixed(1)} | ${memory} |`,
  );
};

interface PushRun<Result> {
  readonly result: Result;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly retries: number;
  readonly cpuSeconds: number;
}

/** Pushes of one tenant to all nodes in turn. */
class Pusher {
  readonly #cluster: LocalCluster;
  readonly #agent = new Agent({ connections: CONNECTIONS });
  #turn = 0;

  constructor(cluster: LocalCluster) {
    this.#cluster = cluster;
  }

  /** Pushes while `work` runs: one every `everyMs`, or as fast as they are answered. */
  async run<Result>(everyMs: number | undefined, work: () => Promise<Result>): Promise<PushRun<Result>> {
    const times: number[] = [];
    let retries = 0;
    let isOver = false;
    const began = performance.now();
    const cpuBefore = this.#cpuSeconds();
    const lane = async (index: number): Promise<void> => {
      let dueMs = began + index * (everyMs ?? 0);
      while (!isOver) {
        const waitMs = dueMs - performance.now();
        if (everyMs !== undefined && waitMs > 0) await pause(waitMs);
        const sentMs = performance.now();
        retries += await this.#push();
        if (!isOver) times.push(performance.now() - sentMs);
        // What was missed is not made up for: the rate that was kept is what is measured.
        dueMs = Math.max(dueMs + CONNECTIONS * (everyMs ?? 0), performance.now());
      }
    };
    const lanes = Promise.all(Array.from({ length: CONNECTIONS }, (_, index) => lane(index)));
    const result = await work();
    isOver = true;
    const seconds = (performance.now() - began) / 1000;
    const cpu = this.#cpuSeconds() - cpuBefore;
    await lanes;
    times.sort((a, b) => a - b);
    const at = (share: number): number => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0;
    return { result, perSecond: times.length / seconds, p50Ms: at(0.5), p99Ms: at(0.99), retries, cpuSeconds: cpu };
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  /** @returns how often it was refused before it was taken */
  async #push(): Promise<number> {
    const first = Math.floor(Math.random() * STREAMS);
    const streams = Array.from({ length: STREAMS_A_PUSH }, (_, index) => (first + index * 37) % STREAMS);
    const body = bodyOf(streams, LINES_A_STREAM);
    for (let refused = 0; ; refused += 1) {
      this.#turn += 1;
      const { nodes } = this.#cluster;
      const answer = await request(`${nodes[this.#turn % nodes.length]?.url}/loki/api/v1/push`, {
        dispatcher: this.#agent,
        method: 'POST',
        headers: { 'content-type': 'application/x-protobuf', 'x-scope-orgid': PUSHER },
        body,
      });
      const text = await answer.body.text();
      if (answer.statusCode === 204) return refused;
      if (answer.statusCode < 429) throw new Error(`push: ${answer.statusCode} ${text}`);
      await pause(20);
    }
  }

  #cpuSeconds(): number {
    return this.#cluster.nodes.reduce((sum, { pid }) => sum + cpuSeconds(pid), 0);
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
