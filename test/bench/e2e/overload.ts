/** Pushes beyond what can be stored: the chunk store is down. What memory is taken, how pushes are answered, how soon all is stored afterwards. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { request } from 'undici';
import { stringify } from 'yaml';
import { type ConfigInput, loadConfig } from '../../../src/config.ts';
import type { NodeReport } from '../../soak/node-report.ts';
import { corpusStreams } from '../../support/corpus.ts';
import { buildLoad } from '../../support/load.ts';
import { buildNodes, NodeProcess } from '../../support/node-process.ts';
import { UNLIMITED } from './limits.ts';
import { peakRssMiB, rssMiB } from './process-meter.ts';

const CONNECTIONS = 32;
const OUTAGE_MS = 3_600_000;
const RSS_SHARE_MAX = 1.3;
const RETRY_MS = 100;
const DRAIN_POLL_MS = 100;

/** Bodies that may be in memory: LARGEST_BODIES_IN_FLIGHT of src/serve.ts. */
const BODIES = 4;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Each connection sends its bodies in turn, again from the first: what is stored twice costs as much. @returns answers by status */
const pushUntil = async (node: NodeProcess, bodies: readonly (readonly Buffer[])[], endMs: number) => {
  const answers = new Map<number, number>();
  await Promise.all(
    bodies.map(async (own) => {
      for (let index = 0; performance.now() < endMs; index += 1) {
        const answer = await request(`${node.url}/loki/api/v1/push`, {
          dispatcher: node.agent,
          method: 'POST',
          headers: { 'content-type': 'application/x-protobuf' },
          body: own[index % own.length] as Buffer,
        });
        await answer.body.dump();
        answers.set(answer.statusCode, (answers.get(answer.statusCode) ?? 0) + 1);
        if (answer.statusCode !== 204) await pause(RETRY_MS);
      }
    }),
  );
  return answers;
};

const MIB = 1024 ** 2;

/** What a node has by default, and a tenth of it, where what a node takes for itself shows. */
const BUDGETS = {
  'the default budgets': {},
  'small budgets': { ingester: { unflushed_memory_max: '96MB' }, server: { max_push_size: '8MB' } },
};

export const benchOverload = async (seconds: number, megabytes: number): Promise<void> => {
  buildNodes();
  for (const [name, budgets] of Object.entries(BUDGETS)) await overload(name, budgets, seconds, megabytes);
};

const overload = async (name: string, budgets: ConfigInput, seconds: number, megabytes: number): Promise<void> => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'ringlog-overload-'));
  const configFile = path.join(folder, 'node.yaml');
  const settings = {
    http_listen: '127.0.0.1:0',
    grpc_listen: 'off',
    data_dir: path.join(folder, 'data'),
    limits: UNLIMITED,
    ...budgets,
    ingester: { ...(budgets['ingester'] as ConfigInput | undefined), flush_backoff_max: '5s' },
  };
  writeFileSync(configFile, stringify(settings));
  const { ingester, server } = loadConfig({ flags: settings });
  const parts = {
    'unflushed_memory_max (heads in it)': ingester.unflushed_memory_max,
    append_budget: ingester.append_budget,
    'log buffers (2 × wal.batch_size)': 2 * ingester.wal.batch_size,
    'bodies (4 × max_push_size)': BODIES * server.max_push_size,
    label_cache_size: ingester.label_cache_size,
  };
  let report: NodeReport | undefined;
  const node = new NodeProcess({
    configFile,
    isFaulty: true,
    onReport: (latest) => {
      report = latest;
    },
  });
  try {
    await node.ready();
    const idleMib = rssMiB(node.pid);
    const budgetMib = Object.values(parts).reduce((sum, bytes) => sum + bytes, 0) / MIB;
    const load = buildLoad({
      streams: corpusStreams(500),
      connections: CONNECTIONS,
      batchBytes: 262_144,
      totalBytes: megabytes * 1e6,
      streamsPerPush: 12,
      startMs: Date.now() - 50 * 60_000,
      spanMs: 50 * 60_000,
    });
    node.outage({ store: 'chunks', kind: 'refuse', ms: OUTAGE_MS });
    const answers = await pushUntil(node, load.bodies, performance.now() + seconds * 1000);
    const peakMib = peakRssMiB(node.pid);
    const full = report;
    node.outage({ store: 'chunks', kind: 'refuse', ms: 0 });
    const backMs = performance.now();
    const flushed = await request(`${node.url}/flush`, {
      dispatcher: node.agent,
      method: 'POST',
      headersTimeout: 600_000,
    });
    await flushed.body.dump();
    while (!report || report.unflushedBytes > 0 || report.flushesPending > 0) await pause(DRAIN_POLL_MS);
    const drainedMs = performance.now() - backMs;
    console.log(
      `\n### ${seconds} s of pushes from ${CONNECTIONS} connections while the chunk store is down, ${name}\n`,
    );
    for (const [part, bytes] of Object.entries(parts)) console.log(`- ${part}: ${(bytes / MIB).toFixed(0)} MiB`);
    const share = peakMib / budgetMib;
    const shareOverIdle = (peakMib - idleMib) / budgetMib;
    console.log(`- answers: ${[...answers].map(([status, count]) => `${count} × ${status}`).join(', ')}`);
    console.log(
      `- unflushed at the end: ${((full?.unflushedBytes ?? 0) / MIB).toFixed(0)} MiB, log ${((full?.logBytes ?? 0) / MIB).toFixed(0)} MiB`,
    );
    console.log(
      `- RSS: ${idleMib.toFixed(0)} MiB idle, at most ${peakMib.toFixed(0)}: ${share.toFixed(2)} × the budget of ${budgetMib.toFixed(0)} MiB ` +
        `(bar ${RSS_SHARE_MAX}, ${share <= RSS_SHARE_MAX ? 'kept' : 'MISSED'}), ${shareOverIdle.toFixed(2)} × without what it has when idle`,
    );
    const memory = Object.entries(full?.memory ?? {}).map(([what, bytes]) => `${what} ${(bytes / MIB).toFixed(0)}`);
    console.log(`- memory at the end, MiB: ${memory.join(', ')}`);
    console.log(
      `- all stored ${(drainedMs / 1000).toFixed(1)} s after the store was back; peak then ${peakRssMiB(node.pid).toFixed(0)} MiB`,
    );
  } finally {
    await node.kill();
    rmSync(folder, { recursive: true, force: true });
  }
};
