/** One load into a node of its own, with what it cost. */
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { Load } from '../../support/load.ts';
import { post, type SendResult, sendAll } from './client.ts';
import { cpuSeconds, peakRssMiB, rssMiB } from './process-meter.ts';
import { type RunningServer, startServer } from './server.ts';

export const withServer = async <T>(work: (server: RunningServer, dataDir: string) => Promise<T>): Promise<T> => {
  const dataDir = mkdtempSync(path.join(os.tmpdir(), 'ringlog-bench-'));
  const server = await startServer(dataDir, path.join(import.meta.dirname, 'bench-config.yaml'));
  try {
    return await work(server, dataDir);
  } finally {
    await server.stop().catch(() => undefined);
    rmSync(dataDir, { recursive: true, force: true });
  }
};

interface IngestResult {
  readonly cpuPerGb: number;
  readonly flushCpuPerGb: number;
  readonly sent: SendResult;
  readonly mbPerSecond: number;
  readonly rssMiB: number;
  readonly peakMiB: number;
  readonly loopP99Ms: number;
}

export const loopP99Ms = async (url: string): Promise<number> => {
  const text = await (await fetch(`${url}/metrics`)).text();
  const line = text.split('\n').find((candidate) => candidate.startsWith('ringlog_event_loop_stall_p99_seconds'));
  return line ? Number(line.split(' ')[1]) * 1000 : Number.NaN;
};

export const ingest = (load: Load, warmUp: Load): Promise<IngestResult> =>
  withServer(async (server) => {
    // Threads start and code is compiled once in a node's life.
    await sendAll(server.url, warmUp);
    await post(`${server.url}/flush`);
    await loopP99Ms(server.url);
    const before = cpuSeconds(server.pid);
    const sent = await sendAll(server.url, load);
    const after = cpuSeconds(server.pid);
    const rss = rssMiB(server.pid);
    const peakMiB = peakRssMiB(server.pid);
    const stall = await loopP99Ms(server.url);
    await post(`${server.url}/flush`);
    const flushed = cpuSeconds(server.pid);
    const gb = load.lineBytes / 1e9;
    return {
      cpuPerGb: (after - before) / gb,
      flushCpuPerGb: (flushed - before) / gb,
      sent,
      mbPerSecond: load.lineBytes / 1e6 / sent.wallSeconds,
      rssMiB: rss,
      peakMiB,
      loopP99Ms: stall,
    };
  });
