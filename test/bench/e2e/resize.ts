/** A cluster of 3 nodes that becomes 5 and 3 again, under pushes at a share of what it can take: what a push and a stream notice of it. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import snappy from 'snappy';
import { Agent, request } from 'undici';
import { LocalCluster } from '../../../src/cli/local-cluster.ts';
import type { RingStatus } from '../../../src/member/cluster-services.ts';
import { encodePushRequest } from '../../../src/protocol/logproto.ts';
import { buildNodes, SERVE } from '../../support/node-process.ts';
import { UNLIMITED } from './limits.ts';
import { cpuSeconds, rssMiB } from './process-meter.ts';
import { resizeSvg } from './resize-svg.ts';

export interface ResizeOptions {
  readonly streams: number;
  /** Unflushed before the resize. */
  readonly megabytes: number;
  /** Pushes a second; as many as use 60 % of the machine unless it is said. */
  readonly rate: number | undefined;
}

export interface PushSample {
  /** When it was due. */
  readonly atMs: number;
  /** From when it was due until it was acknowledged, retries included. */
  readonly ms: number;
}

interface Samples {
  readonly into: PushSample[];
  readonly isOver: () => boolean;
  /** One that had to wait for the one before it is late from when it was due; else each counts from when it was sent: the longest is the longest that a write of a stream waits. */
  readonly countsLateness: boolean;
}

const FIRST = ['node-1', 'node-2', 'node-3'];
const ADDED = ['node-4', 'node-5'];
/** Of what is pushed as fast as it is answered. */
const CONNECTIONS = 8;
/** An agent pushes so often, as promtail does by default: a late answer makes those behind it late only where it takes longer than this. */
const AGENT_EVERY_MS = 1_000;
/** Agents that wait for an answer have a connection each. */
const SOCKETS_MAX = 1_024;
const STREAMS_A_PUSH = 20;
const LINES_A_STREAM = 5;
const PROBES = 4;
const PROBE_EVERY_MS = 50;
const LOAD_SHARE = 0.6;
const WARM_MS = 20_000;
const PEAK_MS = 6_000;
/** The rate is found in so many tries of so long, from this share of the peak on. */
const TRIES = 4;
const TRIED_MS = 5_000;
const FIRST_SHARE = 0.3;
/** What was pushed as fast as it went is cut and put away. */
const SETTLE_MS = 5_000;
/** As long as a move may take: a shorter look may miss the collections of whole heaps, which are the slowest moments of any. */
const STEADY_MS = 30_000;
const POLL_MS = 250;
const CONVERGE_MS = 180_000;
const LINGER = '5s';
const SVG = path.join(import.meta.dirname, '../../../docs/resize.svg');

export const benchResize = async (options: ResizeOptions): Promise<void> => {
  buildNodes();
  const folder = mkdtempSync(path.join(os.tmpdir(), 'rl-resize-'));
  const settings = {
    log_level: 'info',
    ingester: { cut_workers: 1 },
    querier: { scan_workers: 1 },
    limits: UNLIMITED,
    cluster: { linger: LINGER, unsafe_short_linger: true },
  };
  const cluster = await LocalCluster.open({ command: [SERVE], folder, basePort: 0, settings });
  try {
    for (const name of FIRST) await cluster.start(name);
    await new Resize(cluster, folder, options).run();
  } finally {
    await cluster.close();
    rmSync(folder, { recursive: true, force: true });
  }
};

class Resize {
  readonly #cluster: LocalCluster;
  readonly #folder: string;
  readonly #options: ResizeOptions;
  readonly #agent = new Agent({ connections: SOCKETS_MAX });
  readonly #pushes: PushSample[] = [];
  readonly #probes: PushSample[] = [];
  readonly #marks: { readonly atMs: number; readonly text: string }[] = [];
  readonly #beganMs = performance.now();
  #turn = 0;
  #retries = 0;
  #isOver = false;
  /** Of each process that ran, when it was last looked at. */
  readonly #cpu = new Map<number, number>();

  constructor(cluster: LocalCluster, folder: string, options: ResizeOptions) {
    this.#cluster = cluster;
    this.#folder = folder;
    this.#options = options;
  }

  async run(): Promise<void> {
    const { streams, megabytes } = this.#options;
    const probing = Promise.all([this.#probe(), this.#watchCpu()]);
    await this.#closedLoop(WARM_MS);
    const peak = await this.#closedLoop(PEAK_MS);
    // What moves is to be what was asked for.
    await Promise.all(this.#cluster.nodes.map(({ url }) => this.#flush(url)));
    const loadMs = await this.#timed(() => this.#preload());
    const rate = this.#options.rate ?? (await this.#rateAt(LOAD_SHARE * os.availableParallelism(), peak));
    const status = await this.#status();
    console.log(
      `\n### 3 → 5 → 3 nodes: ${streams} streams, ${megabytes} MB unflushed (loaded in ${(loadMs / 1000).toFixed(0)} s), ` +
        `pushes of ${STREAMS_A_PUSH} streams at ${rate.toFixed(0)} a second, from as many agents` +
        `${this.#options.rate ? '' : `, with which 3 nodes and what pushes use ${Math.round(LOAD_SHARE * 100)} % of the machine`} ` +
        `(at most ${peak.toFixed(0)} a second)\n`,
    );
    console.log(`streams by node: ${status.nodes.map(({ figures }) => figures?.streams ?? '?').join(', ')}\n`);
    console.log(
      '| | pushes | p50 ms | p99 ms | p99.9 ms | most ms | one stream, most ms | moved in s | lingers gone in s | chunks | CPU s |',
    );
    console.log(`|${' --- |'.repeat(11)}`);
    const pushing = this.#pace(rate, this.#pushes, () => this.#isOver);
    await pause(2_000);
    await this.#phase('3 nodes', () => steady());
    const { nodes } = await this.#status();
    const unflushed = nodes.reduce((sum, { figures }) => sum + (figures?.unflushedBytes ?? 0), 0);
    console.log(`(unflushed now: ${(unflushed / 1e6).toFixed(0)} MB)`);
    const begin = performance.now();
    // Two processes that start on the same cores: not what a node of its own machine costs the others.
    await this.#phase('2 more start', async () => {
      await Promise.all(ADDED.map((name) => this.#cluster.start(name)));
      return undefined;
    });
    await this.#phase('3 → 5', () => this.#converged(FIRST.length + ADDED.length, begin));
    await this.#phase('5 nodes', () => steady());
    await this.#phase('5 → 3', async () => {
      const begin = performance.now();
      const codes = await Promise.all(ADDED.map((name) => this.#cluster.drain(name)));
      const drainedMs = performance.now() - begin;
      if (codes.some((code) => code !== 0)) console.log(`exit codes ${codes.join(', ')}`);
      // They leave once nothing lingers with them.
      return { movedMs: undefined, lingeredMs: drainedMs };
    });
    await this.#phase('3 nodes again', () => steady());
    this.#isOver = true;
    await Promise.all([pushing, probing]);
    const memory = this.#cluster.nodes.map(({ pid }) => rssMiB(pid).toFixed(0)).join(', ');
    console.log(`\n${this.#retries} attempts refused and tried again; RSS of the nodes in the end ${memory} MiB`);
    writeFileSync(SVG, resizeSvg(this.#pushes, this.#marks));
    await this.#agent.destroy();
  }

  async #phase(name: string, work: () => Promise<Converged | undefined>): Promise<void> {
    const fromMs = this.#nowMs();
    this.#marks.push({ atMs: fromMs, text: name });
    const before = this.#chunks();
    const cpuBefore = this.#cpuSeconds();
    const converged = await work();
    const pushes = timesSince(this.#pushes, fromMs);
    const probes = timesSince(this.#probes, fromMs);
    const seconds = (ms: number | undefined): string => (ms === undefined ? '' : (ms / 1000).toFixed(1));
    console.log(
      `| ${name} | ${pushes.length} | ${[0.5, 0.99, 0.999, 1].map((share) => at(pushes, share).toFixed(1)).join(' | ')} | ` +
        `${at(probes, 1).toFixed(1)} | ${seconds(converged?.movedMs)} | ${seconds(converged?.lingeredMs)} | ${this.#chunks() - before} | ` +
        `${(this.#cpuSeconds() - cpuBefore).toFixed(1)} |`,
    );
  }

  /** Until nothing is on its way, and until nothing lingers. */
  async #converged(nodes: number, begin: number): Promise<Converged> {
    let movedMs: number | undefined;
    while (performance.now() - begin < CONVERGE_MS) {
      const status = await this.#status();
      const figures = status.nodes.flatMap((node) => node.figures ?? []);
      const isComplete = figures.length === nodes && status.nodes.every(({ state }) => state === 'ACTIVE');
      const lingering = figures.reduce((sum, one) => sum + one.lingering, 0);
      const isMoved = figures.every(
        ({ isSettled, moving, lingering: left }) => isSettled || (moving === 0 && left > 0),
      );
      if (isComplete && isMoved) movedMs ??= performance.now() - begin;
      else movedMs = undefined;
      if (movedMs !== undefined && lingering === 0) return { movedMs, lingeredMs: performance.now() - begin };
      await pause(POLL_MS);
    }
    throw new Error('the cluster did not converge');
  }

  async #status(): Promise<RingStatus> {
    const answer = await request(`${this.#cluster.node('node-1')?.url}/ringlog/v1/ring`, { dispatcher: this.#agent });
    return (await answer.body.json()) as RingStatus;
  }

  /** Every stream gets its share of the megabytes. */
  async #preload(): Promise<void> {
    const { streams, megabytes } = this.#options;
    const lines = Math.max(1, Math.ceil((megabytes * 1e6) / streams / LINE_SIZE));
    const each = 100;
    let next = 0;
    const lane = async (): Promise<void> => {
      while (next < streams) {
        const first = next;
        next += each;
        const indexes = Array.from({ length: Math.min(each, streams - first) }, (_, index) => first + index);
        for (let done = 0; done < lines; done += 50) await this.#push(bodyOf(indexes, Math.min(50, lines - done)));
      }
    };
    await Promise.all(Array.from({ length: CONNECTIONS }, lane));
  }

  /**
   * Pushes a second with which the nodes and this process use so many cores. By CPU and not by a share of the peak: pushes that come as fast as they
   * are answered share batches and packets, and 60 % of as many, sent by the clock, take three quarters of the machine.
   */
  async #rateAt(cores: number, peak: number): Promise<number> {
    await pause(SETTLE_MS);
    let rate = peak * FIRST_SHARE;
    for (let tries = 0; tries < TRIES; tries += 1) {
      const [before, own, begin] = [this.#cpuSeconds(), process.cpuUsage(), performance.now()];
      await this.#pace(rate, [], () => performance.now() - begin > TRIED_MS);
      const { user, system } = process.cpuUsage(own);
      const used = this.#cpuSeconds() - before + (user + system) / 1e6;
      // Less than it says where much of the CPU does not depend on the rate: the next try comes closer.
      rate = Math.min(peak, (rate * cores * (performance.now() - begin)) / 1000 / used);
    }
    return rate;
  }

  /** Pushes a second, each connection as fast as it is answered. */
  async #closedLoop(forMs: number): Promise<number> {
    const endMs = performance.now() + forMs;
    let count = 0;
    const lane = async (): Promise<void> => {
      while (performance.now() < endMs) {
        await this.#push(this.#nextBody());
        count += 1;
      }
    };
    await Promise.all(Array.from({ length: CONNECTIONS }, lane));
    return (1000 * count) / forMs;
  }

  /** @param rate pushes a second, by so many agents */
  async #pace(rate: number, into: PushSample[], isOver: () => boolean): Promise<void> {
    const agent = async (index: number): Promise<void> => {
      await this.#every(AGENT_EVERY_MS, (index * 1000) / rate, { into, isOver, countsLateness: true }, () =>
        this.#nextBody(),
      );
    };
    await Promise.all(Array.from({ length: Math.round((rate * AGENT_EVERY_MS) / 1000) }, (_, index) => agent(index)));
  }

  /** A line to each of a few streams again and again, from the beginning: they are part of what the peak does not have. */
  async #probe(): Promise<void> {
    const probe = async (index: number): Promise<void> => {
      const stream = this.#options.streams + index;
      const to = { into: this.#probes, isOver: () => this.#isOver, countsLateness: false };
      await this.#every(PROBE_EVERY_MS, (index * PROBE_EVERY_MS) / PROBES, to, () => bodyOf([stream], 1));
    };
    await Promise.all(Array.from({ length: PROBES }, (_, index) => probe(index)));
  }

  /** One after another, by the clock: a late one makes those behind it late, and they say so. */
  async #every(everyMs: number, firstMs: number, samples: Samples, body: () => Buffer): Promise<void> {
    const { into, isOver, countsLateness } = samples;
    let dueMs = this.#nowMs() + firstMs;
    while (!isOver()) {
      const waitMs = dueMs - this.#nowMs();
      if (waitMs > 0) await pause(waitMs);
      // setTimeout is late by up to a millisecond, and by what this process does itself: that is nobody's latency.
      const sentMs = waitMs > 0 || !countsLateness ? this.#nowMs() : dueMs;
      await this.#push(body());
      into.push({ atMs: sentMs, ms: this.#nowMs() - sentMs });
      dueMs += everyMs;
    }
  }

  async #push(body: Buffer): Promise<void> {
    for (;;) {
      this.#turn += 1;
      // To those that stay: clients are told of a drain by their load balancer.
      const node = this.#cluster.node(FIRST[this.#turn % FIRST.length] as string);
      const headers = { 'content-type': 'application/x-protobuf' };
      const options = { dispatcher: this.#agent, method: 'POST', headers, body } as const;
      // A connection that both sides let go of, idle, as it is used: agents try again, and so does this.
      const answer = await request(`${node?.url}/loki/api/v1/push`, options).catch(resetOnly);
      if (answer) {
        const text = await answer.body.text();
        if (answer.statusCode === 204) return;
        if (answer.statusCode < 429) throw new Error(`push: ${answer.statusCode} ${text}`);
      }
      this.#retries += 1;
      await pause(20);
    }
  }

  async #flush(url: string): Promise<void> {
    await (await request(`${url}/flush`, { dispatcher: this.#agent, method: 'POST' })).body.dump();
  }

  #nextBody(): Buffer {
    const first = Math.floor(Math.random() * this.#options.streams);
    const indexes = Array.from({ length: STREAMS_A_PUSH }, (_, index) => (first + index * 37) % this.#options.streams);
    return bodyOf(indexes, LINES_A_STREAM);
  }

  /** Of all nodes there were; a node that ended since the last look has its last moments missing. */
  #cpuSeconds(): number {
    for (const { pid } of this.#cluster.nodes) this.#cpu.set(pid, cpuSeconds(pid));
    return [...this.#cpu.values()].reduce((sum, one) => sum + one, 0);
  }

  async #watchCpu(): Promise<void> {
    while (!this.#isOver) {
      this.#cpuSeconds();
      await pause(POLL_MS);
    }
  }

  #chunks(): number {
    const files = readdirSync(path.join(this.#folder, 'store'), { recursive: true, withFileTypes: true });
    return files.filter((file) => file.isFile() && file.parentPath.includes(`${path.sep}chunks`)).length;
  }

  #nowMs(): number {
    return performance.now() - this.#beganMs;
  }

  async #timed(work: () => Promise<void>): Promise<number> {
    const begin = performance.now();
    await work();
    return performance.now() - begin;
  }
}

interface Converged {
  readonly movedMs: number | undefined;
  readonly lingeredMs: number;
}

const LINE_SIZE = 120;
const NS_PER_MS = 1_000_000n;

export const bodyOf = (streams: readonly number[], lines: number): Buffer => {
  const nowNs = BigInt(Date.now()) * NS_PER_MS;
  return snappy.compressSync(
    encodePushRequest({
      streams: streams.map((stream) => ({
        labels: `{app="resize", stream="s${stream}"}`,
        entries: Array.from({ length: lines }, (_, index) => ({
          timeNs: nowNs + BigInt(index),
          line: `level=info stream=${stream} took=${Math.random()} ms text=`.padEnd(
            LINE_SIZE,
            'a longer text of many words ',
          ),
        })),
      })),
    }),
  ) as Buffer;
};

/** Of what was answered since: a push belongs to the phase that ended its wait, wherever that began. */
const timesSince = (samples: readonly PushSample[], fromMs: number): readonly number[] =>
  samples.flatMap(({ atMs, ms }) => (atMs + ms >= fromMs ? [ms] : [])).sort((left, right) => left - right);

const at = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;

/** @throws what is no reset of a connection */
const resetOnly = (error: unknown): undefined => {
  if ((error as NodeJS.ErrnoException).code !== 'ECONNRESET') throw error;
  console.log('a connection was reset');
};

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const steady = async (): Promise<undefined> => {
  await pause(STEADY_MS);
};
