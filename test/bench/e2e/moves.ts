/** What it costs to hand a segment over: two nodes of which one leaves, and nothing else. */
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Agent, request } from 'undici';
import { LocalCluster } from '../../../src/cli/local-cluster.ts';
import { buildNodes, SERVE } from '../../support/node-process.ts';
import { UNLIMITED } from './limits.ts';
import { cpuSeconds } from './process-meter.ts';
import { bodyOf } from './resize.ts';

const LINES_A_PUSH = 20;
const STREAMS_A_PUSH = 100;

export interface MovesOptions {
  /** Half of them move. */
  readonly streams: number;
  readonly lines: number;
  /** Of node, before the command: a profiler. */
  readonly nodeArguments?: readonly string[];
}

export const benchMoves = async ({ streams, lines, nodeArguments = [] }: MovesOptions): Promise<void> => {
  buildNodes();
  const folder = mkdtempSync(path.join(os.tmpdir(), 'rl-moves-'));
  const settings = {
    log_level: 'info',
    ingester: { cut_workers: 1 },
    querier: { scan_workers: 1 },
    limits: UNLIMITED,
    cluster: { linger: '1s', unsafe_short_linger: true },
  };
  const cluster = await LocalCluster.open({ command: [...nodeArguments, SERVE], folder, basePort: 0, settings });
  const agent = new Agent({ connections: 4 });
  try {
    await cluster.start('node-1');
    await cluster.start('node-2');
    for (let at = 0; at < streams; at += STREAMS_A_PUSH) {
      const some = Array.from({ length: Math.min(STREAMS_A_PUSH, streams - at) }, (_, index) => at + index);
      for (let line = 0; line < lines; line += LINES_A_PUSH) {
        const body = bodyOf(some, Math.min(LINES_A_PUSH, lines - line));
        const headers = { 'content-type': 'application/x-protobuf' };
        const url = `${cluster.node('node-1')?.url}/loki/api/v1/push`;
        const answer = await request(url, { dispatcher: agent, method: 'POST', headers, body });
        await answer.body.dump();
        if (answer.statusCode !== 204) throw new Error(`push: ${answer.statusCode}`);
      }
    }
    const pids = cluster.nodes.map(({ pid }) => pid);
    const before = pids.map(cpuSeconds);
    const began = performance.now();
    let last = before;
    const watch = setInterval(() => {
      last = pids.map((pid, index) => Math.max(last[index] ?? 0, cpuSeconds(pid)));
    }, 50);
    const code = await cluster.drain('node-2');
    clearInterval(watch);
    const [taker = 0, giver = 0] = last.map((seconds, index) => seconds - (before[index] ?? 0));
    const moved = streams / 2;
    const each = (seconds: number): string => `${((1e6 * seconds) / moved).toFixed(0)} µs`;
    console.log(
      `${moved} segments of ${lines} lines in ${((performance.now() - began) / 1000).toFixed(1)} s (exit code ${code}): ` +
        `giver ${each(giver)}, taker ${each(taker)} of CPU each`,
    );
  } finally {
    await agent.destroy();
    await cluster.close();
    rmSync(folder, { recursive: true, force: true });
  }
};
