import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import zlib from 'node:zlib';
import { type Log, openLog } from '../../../src/log/log.ts';
import { DEFAULT_LOG_OPTIONS } from '../../../src/log/log-options.ts';
import { NodeLogFiles } from '../../../src/log/node-log-files.ts';
import type { EntryRange } from '../../../src/protocol/entry-columns.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { rangeOf } from '../../support/entries.ts';
import { sized } from '../bench-size.ts';

/** Of the disk: segments of others are not served without more. */
const UID = '00'.repeat(16);
const WRITERS = 32;
const MEGABYTE = 1 << 20;

/** Megabytes that each measurement writes: CI does less. */
const MEGABYTES = Number(process.env['LOG_BENCH_MB'] ?? sized(512, 2));

interface Measured {
  readonly name: string;
  readonly megabytesPerSecond: number;
  readonly cpuSecondsPerGigabyte: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly syncs: number;
}

/** About `size` bytes of lines of 120 bytes. */
const rangeOfSize = (size: number): EntryRange =>
  rangeOf(
    Array.from({ length: Math.max(1, Math.round(size / 122)) }, (_, index) => ({
      timeNs: 1_700_000_000_000_000_000n + BigInt(index),
      line: `level=info ts=2024-03-10T12:00:00.${String(index).padStart(6, '0')}Z caller=main.go:42 msg="request served" path=/api/v1/push took=12ms`,
    })),
  );

const quantile = (values: readonly number[], share: number): number =>
  [...values].sort((left, right) => left - right)[Math.floor(share * (values.length - 1))] ?? 0;

const measured = async (
  name: string,
  bytes: number,
  work: (latenciesMs: number[]) => Promise<number>,
): Promise<Measured> => {
  const latencies: number[] = [];
  const cpu = process.cpuUsage();
  const start = performance.now();
  const syncs = await work(latencies);
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return {
    name,
    megabytesPerSecond: bytes / MEGABYTE / seconds,
    cpuSecondsPerGigabyte: ((user + system) / 1e6) * (2 ** 30 / bytes),
    p50Ms: quantile(latencies, 0.5),
    p99Ms: quantile(latencies, 0.99),
    syncs,
  };
};

const inFolder = async <Result>(work: (folder: string) => Promise<Result>): Promise<Result> => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ringlog-bench-log-'));
  try {
    return await work(folder);
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
};

const openIn = (folder: string, incarnation: number): Promise<Log> =>
  openLog(
    {
      files: new NodeLogFiles(folder),
      clock: systemClock,
      chance: () => 0.5,
      report: (problem, error) => console.error(problem, error),
    },
    { ...DEFAULT_LOG_OPTIONS, uid: UID, incarnation },
  );

const header = { tenant: 't', labels: ['app', 'bench'], version: 4, openedMs: 1 };

/** Writers that append, wait for the acknowledgement, and append again. */
const appendAll = async (log: Log, range: EntryRange, appends: number, latencies: number[]): Promise<void> => {
  let left = appends;
  const writer = async (counter: number): Promise<void> => {
    const segment = log.open({ nodeId: UID, incarnation: Math.floor(performance.now() * 1000), counter }, header);
    while (left > 0) {
      left -= 1;
      const start = performance.now();
      await log.append(segment, range);
      latencies.push(performance.now() - start);
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, (_, index) => writer(index)));
};

const throughLog = (size: number, appends: number): Promise<Measured> =>
  inFolder(async (folder) => {
    const log = await openIn(folder, 1);
    const range = rangeOfSize(size);
    // The thread starts with the first.
    await log.append(log.open({ nodeId: UID, incarnation: 1, counter: 1 }, header), range);
    const before = log.figures.commits;
    const result = await measured('log', size * appends, async (latencies) => {
      await appendAll(log, range, appends, latencies);
      return log.figures.commits - before;
    });
    await log.close();
    return result;
  });

/** The same bytes, `batch` at a time, by one caller: what the disk gives at best. */
const bare = (size: number, appends: number, batch: number): Promise<Measured> =>
  inFolder((folder) =>
    measured(`bare write + fdatasync, ${batch} at a time`, size * appends, async (latencies) => {
      const bytes = Buffer.alloc(size * batch, 'some log line ');
      const handle = fs.openSync(path.join(folder, 'bare'), 'w');
      let syncs = 0;
      for (let written = 0; written < appends; written += batch) {
        const start = performance.now();
        fs.writeSync(handle, bytes);
        fs.fdatasyncSync(handle);
        latencies.push(performance.now() - start);
        syncs += 1;
      }
      fs.closeSync(handle);
      return syncs;
    }),
  );

/** A commit of 64 KB at a time, through the log's thread and through libuv's pool, while that compresses. */
const commitPaths = (commits: number): Promise<readonly Measured[]> =>
  inFolder(async (folder) => {
    const files = new NodeLogFiles(folder);
    const bytes = new Uint8Array(new SharedArrayBuffer(64 << 10)).fill(7);
    const thread = await files.open('thread', 'create');
    const pool = await fs.promises.open(path.join(folder, 'pool'), 'w');
    const ways = {
      'thread of the log': (at: number) => thread.write(at, bytes, true),
      "libuv's pool": async (at: number) => {
        await pool.write(bytes, 0, bytes.length, at);
        await pool.datasync();
      },
    };
    const results: Measured[] = [];
    for (const gzips of [0, 4]) {
      let isOn = true;
      const compress = (): void => zlib.gzip(Buffer.alloc(256 << 10, 'some line '), () => isOn && compress());
      for (let index = 0; index < gzips; index += 1) compress();
      for (const [name, commit] of Object.entries(ways)) {
        await commit(0);
        const work = async (latencies: number[]): Promise<number> => {
          for (let index = 0; index < commits; index += 1) {
            const start = performance.now();
            await commit(index * bytes.length);
            latencies.push(performance.now() - start);
          }
          return commits;
        };
        results.push(await measured(`${name}, ${gzips} gzips in the pool`, commits * bytes.length, work));
      }
      isOn = false;
    }
    await Promise.all([thread.close(), pool.close()]);
    await files.close();
    return results;
  });

/** How long until a log of so many bytes is ready, closed and after a crash, and the first entries are read. */
const recovery = (megabytes: number, size: number): Promise<readonly string[]> =>
  inFolder(async (folder) => {
    const log = await openIn(folder, 1);
    const range = rangeOfSize(size);
    await appendAll(log, range, Math.ceil((megabytes * MEGABYTE) / size), []);
    const { bytes } = log.figures;
    await log.close();
    const lines: string[] = [];
    for (const name of ['closed', 'newest file without its footer']) {
      if (name !== 'closed') {
        const newest = path.join(folder, fs.readdirSync(folder).sort().at(-1) ?? '');
        fs.truncateSync(newest, fs.statSync(newest).size - 8);
      }
      const start = performance.now();
      const again = await openIn(folder, 2);
      const readyMs = performance.now() - start;
      const [segment] = again.segments();
      const first = segment && (await again.read(segment, () => undefined).next());
      const firstMs = performance.now() - start;
      if (!first || again.recovery.missingEntries > 0) throw new Error('the log is not what was written');
      const records = again.recovery.files.length;
      lines.push(
        `  ${name}: ready after ${readyMs.toFixed(0)} ms, first entries after ${firstMs.toFixed(0)} ms ` +
          `(${(bytes / 2 ** 30).toFixed(2)} GB in ${records} files, appends of ${size} bytes)`,
      );
      await again.close();
    }
    return lines;
  });

const show = (title: string, results: readonly Measured[]): void => {
  console.log(`\n${title}`);
  for (const { name, megabytesPerSecond, cpuSecondsPerGigabyte, p50Ms, p99Ms, syncs } of results) {
    console.log(
      `  ${name.padEnd(48)} ${megabytesPerSecond.toFixed(0).padStart(6)} MB/s ${cpuSecondsPerGigabyte.toFixed(2).padStart(7)} ` +
        `CPU s/GB   p50 ${p50Ms.toFixed(2)} ms  p99 ${p99Ms.toFixed(2)} ms  ${syncs} syncs`,
    );
  }
};

/** The log against the bare disk. LOG_BENCH_MB: how much each measurement writes. */
export const registerBenches = async (): Promise<void> => {
  for (const size of [64 << 10, 1 << 10]) {
    const appends = Math.floor((Math.min(MEGABYTES, size === 1 << 10 ? 64 : MEGABYTES) * MEGABYTE) / size);
    const log = await throughLog(size, appends);
    // As large as the log's own batches came out, and one by one.
    const batch = Math.max(1, Math.round(appends / Math.max(1, log.syncs)));
    show(`${WRITERS} writers of ${size} bytes, ${appends} appends`, [
      log,
      await bare(size, appends, batch),
      await bare(size, Math.min(appends, sized(2000, 20)), 1),
    ]);
  }
  show('one commit of 64 KB after another', await commitPaths(Math.min(300, MEGABYTES)));
  console.log('\nrecovery');
  for (const size of [64 << 10, 1 << 10]) {
    const megabytes = size === 1 << 10 ? MEGABYTES >> 1 : MEGABYTES;
    for (const line of await recovery(megabytes, size)) console.log(line);
  }
};
