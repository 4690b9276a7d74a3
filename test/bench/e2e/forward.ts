/** What a push costs whose streams another node writes, against one that stays. */
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Agent, request } from 'undici';
import { LocalCluster } from '../../../src/cli/local-cluster.ts';
import type { StreamStatus } from '../../../src/member/cluster-services.ts';
import { buildNodes, SERVE } from '../../support/node-process.ts';
import { UNLIMITED } from './limits.ts';
import { cpuSeconds } from './process-meter.ts';
import { bodyOf } from './resize.ts';

const CONNECTIONS = 8;
const LINES_A_STREAM = 100;
/** Streams in a push, and pushes: a small one, and up to the 1 MiB that promtail, Alloy and Fluent Bit send at once. */
const SIZES: readonly Size[] = [
  { streams: 1, pushes: 3_000 },
  { streams: 10, pushes: 800 },
  { streams: 80, pushes: 150 },
];
const STREAMS = 400;
const ROUNDS = 5;

interface Size {
  readonly streams: number;
  readonly pushes: number;
}

/**
 * All to the first of two nodes: streams that are its own, in turn with those of the other, so that both kinds meet the same machine and the same
 * compiled code.
 */
export const benchForward = async (): Promise<void> => {
  buildNodes();
  const folder = mkdtempSync(path.join(os.tmpdir(), 'rl-forward-'));
  const settings = { log_level: 'info', ingester: { cut_workers: 1 }, querier: { scan_workers: 1 }, limits: UNLIMITED };
  const cluster = await LocalCluster.open({ command: [SERVE], folder, basePort: 0, settings });
  const agent = new Agent({ connections: CONNECTIONS });
  try {
    await cluster.start('node-1');
    await cluster.start('node-2');
    await new Forward(cluster, agent).run();
  } finally {
    await agent.destroy();
    await cluster.close();
    rmSync(folder, { recursive: true, force: true });
  }
};

class Forward {
  readonly #cluster: LocalCluster;
  readonly #agent: Agent;
  readonly #url: string;

  constructor(cluster: LocalCluster, agent: Agent) {
    this.#cluster = cluster;
    this.#agent = agent;
    this.#url = `${cluster.node('node-1')?.url}`;
  }

  async run(): Promise<void> {
    await this.#push(
      Array.from({ length: STREAMS }, (_, index) => index),
      { streams: 100, pushes: 4 },
    );
    const own = await this.#streamsOf('node-1');
    const others = await this.#streamsOf('node-2');
    console.log(`\n### CPU of pushes with ${LINES_A_STREAM} lines a stream, all to one of two nodes\n`);
    console.log('| streams a push | stays, µs | goes on (both nodes), µs | ratio (bar 1.5) |');
    console.log(`|${' --- |'.repeat(4)}`);
    for (const size of SIZES) {
      const [stays, goesOn]: [number[], number[]] = [[], []];
      for (let round = 0; round <= ROUNDS; round += 1) {
        const [a, b] = [await this.#cpuOf(own, size), await this.#cpuOf(others, size)];
        // Code that V8 has not compiled yet takes twice as long.
        if (round === 0) continue;
        stays.push(a);
        goesOn.push(b);
      }
      const [left, right] = [median(stays), median(goesOn)];
      console.log(`| ${size.streams} | ${left.toFixed(0)} | ${right.toFixed(0)} | ${(right / left).toFixed(2)} |`);
    }
  }

  /** µs of both nodes a push. */
  async #cpuOf(streams: readonly number[], size: Size): Promise<number> {
    const before = this.#used();
    await this.#push(streams, size);
    return (1e6 * (this.#used() - before)) / size.pushes;
  }

  #used(): number {
    return this.#cluster.nodes.reduce((sum, { pid }) => sum + cpuSeconds(pid), 0);
  }

  async #push(among: readonly number[], { streams, pushes }: Size): Promise<void> {
    let [left, first] = [pushes, 0];
    const lane = async (): Promise<void> => {
      while (left > 0) {
        left -= 1;
        const some = Array.from({ length: streams }, (_, index) => among[(first + index) % among.length] as number);
        first += streams;
        const headers = { 'content-type': 'application/x-protobuf' };
        const body = bodyOf(some, LINES_A_STREAM);
        const options = { dispatcher: this.#agent, method: 'POST', headers, body } as const;
        const answer = await request(`${this.#url}/loki/api/v1/push`, options);
        await answer.body.dump();
        if (answer.statusCode !== 204) throw new Error(`push: ${answer.statusCode}`);
      }
    };
    await Promise.all(Array.from({ length: CONNECTIONS }, lane));
  }

  async #streamsOf(nodeId: string): Promise<readonly number[]> {
    const query = encodeURIComponent('{app="resize"}');
    const answer = await request(`${this.#url}/ringlog/v1/stream?query=${query}`, { dispatcher: this.#agent });
    const streams = (await answer.body.json()) as readonly StreamStatus[];
    return streams
      .filter(({ owner }) => owner === nodeId)
      .map(({ labels }) => Number(/stream="s([0-9]+)"/.exec(labels)?.[1]));
  }
}

const median = (values: readonly number[]): number =>
  [...values].sort((left, right) => left - right)[Math.floor(values.length / 2)] as number;
