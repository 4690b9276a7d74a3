/**
 * What open streams cost: heap and memory of each beyond its line, with one short line in each; how long the event loop was held up while
 * they were opened, by a sweep over them and by the walk that follows a change of the ring; and a push to one stream among them.
 */

import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { bench, group } from 'mitata';
import { LocalNode } from '../../../src/actors/local-node.ts';
import { HeadMemory } from '../../../src/chunk/head-memory.ts';
import { Ring } from '../../../src/cluster/ring.ts';
import { loadConfig } from '../../../src/config.ts';
import { NodeHoldings } from '../../../src/member/node-holdings.ts';
import { Pace } from '../../../src/member/pace.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { pushOf } from '../../support/entries.ts';
import { MemoryChunkStore } from '../../support/stores/memory-chunk-store.ts';
import { MemoryIndexStore } from '../../support/stores/memory-index-store.ts';
import { memberOf } from '../../unit/cluster/members.ts';
import { sized } from '../bench-size.ts';

const STREAMS = sized(100_000, 1000);
const STREAMS_PER_PUSH = 500;
const LINE = 'one short line of a quiet stream';

const newNode = (): LocalNode => {
  const { schema, limits } = loadConfig({
    flags: {
      limits: {
        reject_old_samples: false,
        max_global_streams_per_user: 0,
        ingestion_rate_mb: 10_000,
        ingestion_burst_size_mb: 10_000,
      },
    },
  });
  const never = () => new Promise<never>(() => undefined);
  const index = new MemoryIndexStore();
  return new LocalNode(
    {
      incarnation: 1,
      nodeId: 'bench',
      blockSize: 262_144,
      targetSize: 1_572_864,
      encoding: 'gzip',
      level: 4,
      rules: { idleMs: 1_800_000, ageNs: 7_200_000_000_000n, passivateMs: 900_000 },
      flushCheckMs: 3_600_000,
      flushConcurrencyMax: 1,
      flushTimeoutMs: 1000,
      flushesAtStop: false,
      flushBackOff: { firstMs: 1000, lastMs: 1000 },
      headBytesMax: 1 << 30,
      unflushedBytesMax: 1 << 30,
      append: { bytesMax: 64 << 20, waitingMax: 100, waitMsMax: 5000, retryAfterMs: 1000 },
      labelCacheBytes: 32 << 20,
      cutConcurrencyMax: 1,
      gate: { runningMax: 1, runningPerTenantMax: 1, waitingPerTenantMax: 1 },
      schema,
      limits,
    },
    {
      clock: systemClock,
      chance: Math.random,
      chunks: new MemoryChunkStore(),
      index,
      reader: undefined as never,
      cut: never,
      encode: never,
      execute: undefined as never,
      memory: new HeadMemory(),
      log: undefined,
      logged: undefined,
      report: (problem, error) => console.error(problem, error),
    },
  );
};

const labelsOf = (number: number): string =>
  `{cluster="eu-west-1", namespace="team-${number % 50}", app="service-${number % 400}", pod="service-${number % 400}-${number.toString(36)}"}`;

const pushTo = (numbers: readonly number[], timeNs: bigint) =>
  pushOf(Object.fromEntries(numbers.map((number) => [labelsOf(number), [{ timeNs, line: LINE }]])));

const memory = (): { heap: number; shared: number; rss: number } => {
  globalThis.gc?.();
  const { heapUsed, arrayBuffers, rss } = process.memoryUsage();
  return { heap: heapUsed, shared: arrayBuffers, rss };
};

/** Opens the streams and prints what they take. @returns a node that has them */
export const measureOpenStreams = async (streams: number): Promise<LocalNode> => {
  const node = newNode();
  const timeNs = BigInt(Date.now()) * 1_000_000n;
  await node.services.push('bench', pushTo([streams], timeNs));
  const before = memory();
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const started = performance.now();
  for (let first = 0; first < streams; first += STREAMS_PER_PUSH) {
    const numbers = Array.from({ length: Math.min(STREAMS_PER_PUSH, streams - first) }, (_, index) => first + index);
    const { refusal } = await node.services.push('bench', pushTo(numbers, timeNs));
    if (refusal) throw new Error(refusal.text);
  }
  const openedMs = performance.now() - started;
  const after = memory();
  const perStream = (bytes: number): string => `${Math.round(bytes / streams)} B`;
  console.log(`${streams} open streams with one line of ${LINE.length} B each`);
  console.log(`  heap a stream beyond its line   ${perStream(after.heap - before.heap - streams * LINE.length)}`);
  console.log(`  RSS a stream                    ${perStream(after.rss - before.rss)}`);
  console.log(
    `  opened in                       ${Math.round(openedMs)} ms, ${Math.round((openedMs * 1e6) / streams)} ns each`,
  );
  console.log(`  event loop delay p99, max       ${ms(delay.percentile(99))}, ${ms(delay.max)}`);
  delay.reset();
  const sweepStarted = performance.now();
  await node.sweep();
  console.log(
    `  a sweep over all                ${ms((performance.now() - sweepStarted) * 1e6)}, longest delay ${ms(delay.max)}`,
  );
  const ring = new Ring({ members: Array.from({ length: 50 }, (_, index) => memberOf(`node-${index}`)) });
  await pause(20);
  delay.reset();
  const walkStarted = performance.now();
  await walk(node, ring, streams);
  console.log(
    `  a walk after a ring change      ${ms((performance.now() - walkStarted) * 1e6)}, longest delay ${ms(delay.max)}`,
  );
  delay.disable();
  return node;
};

/** All of them are looked up on a ring, and stay. */
const walk = async (node: LocalNode, ring: Ring, streams: number): Promise<void> => {
  const problem = (text: string, error: unknown): void => console.error(text, error);
  const holdings = new NodeHoldings(node, undefined as never, () => undefined, systemClock, problem);
  let looked = 0;
  const isHere = (key: number): boolean => {
    looked += 1;
    return ring.owner(key) !== undefined;
  };
  await holdings.walk(isHere, new Pace(systemClock, () => true), () => undefined);
  if (looked < streams) throw new Error(`the walk saw ${looked} streams`);
};

const ms = (ns: number): string => `${(ns / 1e6).toFixed(1)} ms`;

export const registerBenches = async (): Promise<void> => {
  const node = await measureOpenStreams(STREAMS);
  let timeNs = BigInt(Date.now()) * 1_000_000n;
  group(`a push among ${STREAMS} streams`, () => {
    bench('one line to one stream', async () => {
      timeNs += 1n;
      await node.services.push('bench', pushTo([7], timeNs));
    });
  });
};

if (process.argv[1] === import.meta.filename) await measureOpenStreams(Number(process.argv[2] ?? STREAMS));
