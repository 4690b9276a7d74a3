/**
 * What an object of 1 MiB costs to put and to get in Cloud Storage: CPU of this process with all its threads, the server in another; beside it the client as it
 * is by default. Then how long the event loop is held up by 100 puts a second.
 */
import { fork } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Storage } from '@google-cloud/storage';
import { bench, do_not_optimize, group } from 'mitata';
import { GcsChunkStore } from '../../../src/storage/gcs-chunk-store.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { sized } from '../bench-size.ts';

const SIZE = 1 << 20;
/** Enough that V8 has compiled what is measured; half as many go before. */
const OBJECTS = sized(800, 4);
/** Of what is only there to compare with. */
const OTHER_OBJECTS = sized(200, 4);
const IN_FLIGHT = 8;
const PUTS_PER_SECOND = 100;
const SECONDS = sized(8, 0.1);
const CPU_MS_MAX = 3;

const SERVER = fileURLToPath(new URL('../../support/gcs/gcs-process.ts', import.meta.url));

const startServer = async (): Promise<string> => {
  const child = fork(SERVER, { execArgv: ['--import', 'tsx'] });
  const [url] = (await once(child, 'message')) as [string];
  // It ends when this process does.
  child.unref();
  child.channel?.unref();
  return url;
};

/** CPU in ms of each of many calls, and how many there were in a second. */
const measured = async (name: string, ask: (index: number) => Promise<unknown>, barMs?: number): Promise<void> => {
  const objects = barMs === undefined ? OTHER_OBJECTS : OBJECTS;
  let next = 0;
  const run = async (count: number): Promise<void> => {
    const end = next + count;
    const asker = async (): Promise<void> => {
      while (next < end) await ask(next++);
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, asker));
  };
  await run(objects / 2);
  const cpu = process.cpuUsage();
  const start = performance.now();
  await run(objects);
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  const cpuMs = (user + system) / 1000 / objects;
  const bar = barMs === undefined ? '' : `  bar ${barMs}: ${cpuMs <= barMs ? 'met' : 'missed'}`;
  console.log(
    `  ${name.padEnd(46)} ${cpuMs.toFixed(2).padStart(6)} ms CPU  ${(objects / seconds).toFixed(0).padStart(4)}/s${bar}`,
  );
};

/** As many puts a second as asked, whatever the earlier ones do; 0 shows what the machine itself does to an event loop. */
const steadyPuts = async (store: GcsChunkStore, bytes: Uint8Array, perSecond: number): Promise<void> => {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const puts: Promise<void>[] = [];
  const start = performance.now();
  delay.enable();
  for (let index = 0; index < SECONDS * PUTS_PER_SECOND; index++) {
    const waitMs = start + (index * 1000) / PUTS_PER_SECOND - performance.now();
    if (waitMs > 0) await pause(waitMs);
    if (perSecond > 0) puts.push(store.put(`bench/steady/${index}:0:0`, bytes));
  }
  await Promise.all(puts);
  delay.disable();
  const rate = puts.length / ((performance.now() - start) / 1000);
  console.log(`  event loop delay at ${rate.toFixed(0)} puts/s: p99 ${ms(delay.percentile(99))}, max ${ms(delay.max)}`);
};

const ms = (ns: number): string => `${(ns / 1e6).toFixed(1)} ms`;

export const registerBenches = async (): Promise<void> => {
  const endpoint = await startServer();
  const deps = { clock: systemClock, chance: Math.random };
  const store = await GcsChunkStore.open({ bucket: 'chunks', endpoint }, deps);
  const bytes = randomFillSync(Buffer.alloc(SIZE));
  const bucket = new Storage({ apiEndpoint: endpoint }).bucket('chunks');

  console.log(`\nCloud Storage, objects of 1 MiB, ${IN_FLIGHT} at a time`);
  await measured('put', (index) => store.put(`bench/put/${index}:0:0`, bytes), CPU_MS_MAX);
  for (let index = 0; index < IN_FLIGHT; index++) await store.put(`bench/get/${index}:0:0`, bytes);
  const key = (index: number): string => `bench/get/${index % IN_FLIGHT}:0:0`;
  await measured('get', (index) => store.get(key(index)), CPU_MS_MAX);
  await steadyPuts(store, bytes, 0);
  await steadyPuts(store, bytes, PUTS_PER_SECOND);
  // Last: what they leave to the collector would be counted as ours.
  await store.put('bench/other/0:0:0', bytes);
  const other = bucket.file('bench/other/0:0:0');
  await measured('get, the client by default', () => other.download());
  await measured('get, the client without its checksum', () => other.download({ validation: false }));
  await measured('put, the client by default', (index) => bucket.file(`bench/save/${index}`).save(bytes));
  await measured('put, the client in one request', (index) =>
    bucket.file(`bench/single/${index}`).save(bytes, { resumable: false }),
  );

  group('Cloud Storage, objects of 1 MiB', () => {
    let next = 0;
    bench('put', () => store.put(`bench/one/${next++}:0:0`, bytes));
    bench('get', async () => {
      // Of those that the server has not forgotten.
      await store.put('bench/latest/0:0:0', bytes);
      do_not_optimize(await store.get('bench/latest/0:0:0'));
    });
  });
};
