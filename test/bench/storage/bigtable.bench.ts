import { execFileSync } from 'node:child_process';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { Bigtable } from '@google-cloud/bigtable';
import type { BigtableIndexStore, BigtableIndexStoreOptions } from '../../../src/storage/bigtable-index-store.ts';
import type { IndexEntry } from '../../../src/storage/index-store.ts';
import { commitChunk, WrittenSeries } from '../../../src/storage/index-writer.ts';
import { SchemaIndexReader } from '../../../src/storage/schema-index-reader.ts';
import { BigtableProcess, whyNoBigtable } from '../../support/bigtable-process.ts';
import { buildNodes } from '../../support/node-process.ts';
import { bigtableOptions, openBigtable } from '../../support/stores/bigtable-stores.ts';
import { sized } from '../bench-size.ts';
import { bareReader } from './bigtable-floor.ts';
import { benchChunk, benchDay, benchPeriods, benchSchema } from './bigtable-rows.ts';
import { openedQuery } from './opened-query.ts';

/** Rows of each measurement. */
const ROWS = sized(20_000, 200);
const COMMITS = sized(2_000, 20);
/** Of the selector: 100000 and 10 are the issue's. */
const SERIES = Number(process.env['BIGTABLE_BENCH_SERIES'] ?? sized(10_000, 20));
const CHUNKS = Number(process.env['BIGTABLE_BENCH_CHUNKS'] ?? 10);

const SELECTOR_ROUNDS = sized(3, 1);

const TABLE = 'bench_1';

interface Measured {
  readonly what: string;
  readonly count: number;
  readonly cpuMicroseconds: number;
  readonly wallMs: number;
}

const figures: Measured[] = [];

/** CPU is that of this process with all its threads; the emulator's is not in it. */
const measured = async (what: string, count: number, work: () => Promise<unknown>): Promise<void> => {
  const cpu = process.cpuUsage();
  const start = performance.now();
  await work();
  const wallMs = performance.now() - start;
  const { user, system } = process.cpuUsage(cpu);
  figures.push({ what, count, cpuMicroseconds: user + system, wallMs });
};

/** As `measured`, after a first time that nobody counts. */
const measuredWarm = async (what: string, count: number, work: () => Promise<unknown>): Promise<void> => {
  await work();
  await measured(what, count, work);
};

const show = (): void => {
  if (process.env['BENCH_TINY']) return;
  console.log('\nBigtable emulator, CPU of this process');
  for (const { what, count, cpuMicroseconds, wallMs } of figures) {
    const each = (cpuMicroseconds / count).toFixed(1);
    console.log(`${what.padEnd(58)} ${each.padStart(8)} µs each, ${Math.round((count / wallMs) * 1000)}/s`);
  }
};

const rowOf = (kind: string, row: number): IndexEntry => ({
  table: TABLE,
  hashValue: `bench:d19845:${kind}${row.toString().padStart(43, 'x')}`,
  rangeValue: `05265c00\0\0bench/d9acb2875e7735f5/18f0e${row}:18f0f${row}:dc62ce11\x003\0`,
  value: '-',
});

const rowsOf = (kind: string): readonly IndexEntry[] => Array.from({ length: ROWS }, (_, row) => rowOf(kind, row));

/** `size` rows a call, four calls at a time. */
const inBatches = async (
  rows: readonly IndexEntry[],
  size: number,
  write: (entries: readonly IndexEntry[]) => Promise<unknown>,
): Promise<void> => {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < rows.length) {
      const first = next;
      next += size;
      await write(rows.slice(first, next));
    }
  };
  await Promise.all(Array.from({ length: 4 }, lane));
};

const measureStore = async (store: BigtableIndexStore): Promise<void> => {
  await store.write([rowOf('warm', 0)]);
  for (const kind of ['warm', 'warmer']) await inBatches(rowsOf(kind), 500, (entries) => store.write(entries));
  for (const size of [100, 500]) {
    const rows = rowsOf(`w${size}`);
    await measured(`write: rows, ${size} a call`, ROWS, () => inBatches(rows, size, (entries) => store.write(entries)));
  }
  const cells = Array.from({ length: ROWS }, (_, index) => ({
    ...rowOf('cells', 0),
    rangeValue: `a\0${index.toString().padStart(43, '0')}`,
  }));
  await store.write(cells);
  const { hashValue } = rowOf('cells', 0);
  await measuredWarm('read: cells of one row by a prefix', ROWS, async () => {
    let count = 0;
    await store.scan([{ table: TABLE, hashValue, rangePrefix: 'a\0' }], (batch) => {
      count += batch.length;
      return false;
    });
    if (count !== ROWS) throw new Error(`${count} cells`);
  });
  await measuredWarm('read: rows of one cell, many a call', ROWS, async () => {
    let count = 0;
    const lookups = Array.from({ length: ROWS }, (_, row) => ({
      table: TABLE,
      hashValue: rowOf('w500', row).hashValue,
    }));
    await store.scan(lookups, (batch) => {
      count += batch.length;
      return false;
    });
    if (count !== ROWS) throw new Error(`${count} cells`);
  });
  const single = Math.max(20, ROWS / 20);
  await measured('read: rows of one cell, one a call', single, async () => {
    for (let row = 0; row < single; row++) {
      await store.scan([{ table: TABLE, hashValue: rowOf('w500', row).hashValue }], () => true);
    }
  });
};

const measureCommits = async (store: BigtableIndexStore): Promise<void> => {
  const commits = (known: boolean, prefix: string) => async (): Promise<void> => {
    const written = new WrittenSeries(() => 0);
    let next = 0;
    const lane = async (): Promise<void> => {
      while (next < COMMITS) {
        const number = next++;
        const chunk = benchChunk(known ? number % 100 : number, known ? Math.floor(number / 100) : 0);
        await commitChunk(store, benchSchema, [`${prefix}/1/${number}`], chunk, written);
      }
    };
    await Promise.all(Array.from({ length: 32 }, lane));
  };
  await commits(false, 'warm')();
  await measured('commit: a chunk of a new series (5 rows), 32 at a time', COMMITS, commits(false, 'new'));
  await measured('commit: a chunk of a known series (1 row), 32 at a time', COMMITS, commits(true, 'known'));
};

/** Google's client, the same rows. */
const measureClient = async (host: string): Promise<void> => {
  const client = new Bigtable({
    projectId: 'test',
    apiEndpoint: host,
    metricsEnabled: false,
    clientOptions: { universeDomain: 'googleapis.com' },
  });
  const [table] = await client.instance('client').createTable(TABLE, { families: ['f'] });
  const insert = (entries: readonly IndexEntry[]): Promise<unknown> =>
    table.insert(
      entries.map(({ hashValue: key, rangeValue, value }) => ({
        key,
        data: { f: { [rangeValue]: { value, timestamp: new Date(0) } } },
      })) as never,
    );
  for (const kind of ['warm', 'warmer']) await inBatches(rowsOf(kind), 500, insert);
  for (const size of [100, 500]) {
    const rows = rowsOf(`w${size}`);
    await measured(`official client, write: rows, ${size} a call`, ROWS, () => inBatches(rows, size, insert));
  }
  await measuredWarm('official client, read: rows of one cell, a scan by prefix', ROWS, async () => {
    let count = 0;
    for await (const row of table.createReadStream({ prefix: 'bench:d19845:w500', decode: false })) if (row) count += 1;
    if (count !== ROWS) throw new Error(`${count} rows`);
  });
  const conditional = Math.max(20, COMMITS / 4);
  await measured('official client, check and mutate a row', conditional, async () => {
    let next = 0;
    const lane = async (): Promise<void> => {
      while (next < conditional) {
        const row = table.row(`commit${next++}`);
        await row.filter([{ column: 'x' }], {
          onNoMatch: [{ method: 'insert', data: { f: { x: { value: 'v', timestamp: new Date(0) } } } }],
        } as never);
      }
    };
    await Promise.all(Array.from({ length: 32 }, lane));
  });
  await client.close();
};

const measureSelector = async (host: string): Promise<void> => {
  const instance = 'selector';
  const seed = fileURLToPath(new URL('./bigtable-seed.ts', import.meta.url));
  execFileSync(process.execPath, ['--import', 'tsx', seed, host, instance, `${SERIES}`, `${CHUNKS}`], {
    stdio: 'inherit',
  });
  const options = bigtableOptions(host, { instance });
  selectorAlone(options);
  const store = await openBigtable(options);
  const reader = new SchemaIndexReader(store, benchSchema);
  const matchers = [{ name: 'app', op: '=', value: 'bench' }] as const;
  let readBare: (() => Promise<number>) | undefined;
  const label = `${SERIES} series, ${CHUNKS} chunks each`;
  // One after the other and again: how busy the machine is changes by the minute.
  for (let round = 0; round < SELECTOR_ROUNDS; round++) {
    const memory = new MemoryPeak();
    let found = 0;
    await measured(`selector: ${label}, a chunk`, SERIES * CHUNKS, async () => {
      found = (await reader.chunkRefs('bench', [...matchers], benchDay)).count;
    });
    const peak = memory.end();
    const wall = wallSeconds();
    if (found !== SERIES * CHUNKS) throw new Error(`found ${found} chunks`);
    // Made after the first selector: what it takes is not in that one's memory.
    readBare ??= bareReader(host, instance, SERIES);
    await measured(`bare gRPC client: rows of ${label}, a chunk`, SERIES * CHUNKS, readBare);
    say(
      `selector: ${found} chunk refs in ${wall.toFixed(2)} s, ${wallSeconds().toFixed(2)} s for a bare client; ${peak}`,
    );
  }
  const memory = new MemoryPeak();
  await openedQuery(reader, benchDay);
  say(`log query over them, until it reads a chunk: ${memory.end()}`);
  await store.close();
};

/** In a process of its own, compiled: what it takes of memory by itself. */
const selectorAlone = (options: BigtableIndexStoreOptions): void => {
  buildNodes();
  const script = fileURLToPath(new URL('./selector-process.mjs', import.meta.url));
  const [startNs, endNs] = [`${benchDay.startNs}`, `${benchDay.endNs}`];
  const task = JSON.stringify({ options, periods: benchPeriods, tenant: 'bench', startNs, endNs });
  const { count, seconds, before, peak } = JSON.parse(
    execFileSync(process.execPath, [script, task], { encoding: 'utf8' }),
  );
  if (count !== SERIES * CHUNKS) throw new Error(`found ${count} chunks`);
  say(
    `selector in a process of its own: ${count} chunk refs in ${seconds.toFixed(2)} s; RSS ${before >> 20} MiB before, ${peak >> 20} at most`,
  );
};

const wallSeconds = (): number => (figures.at(-1)?.wallMs ?? 0) / 1000;

const say = (text: string): void => {
  if (!process.env['BENCH_TINY']) console.log(text);
};

/** Of this process, until its end. */
class MemoryPeak {
  readonly #before = process.memoryUsage.rss();
  #peak = this.#before;
  readonly #delay = monitorEventLoopDelay({ resolution: 1 });
  readonly #sampling = setInterval(() => {
    this.#peak = Math.max(this.#peak, process.memoryUsage.rss());
  }, 20);

  constructor() {
    this.#delay.enable();
  }

  end(): string {
    clearInterval(this.#sampling);
    this.#delay.disable();
    const late = `${(this.#delay.max / 1e6).toFixed(1)} ms at most, p99 ${(this.#delay.percentile(99) / 1e6).toFixed(1)}`;
    return `RSS ${this.#before >> 20} MiB before, ${this.#peak >> 20} at most; event loop late by ${late}`;
  }
}

/** Index rows in Google's Bigtable emulator. BIGTABLE_BENCH_ONLY=selector leaves out the rest: then RSS is that of the query alone. */
export const registerBenches = async (): Promise<void> => {
  const reason = whyNoBigtable();
  if (reason !== undefined) {
    console.log(`no bench of Bigtable: ${reason}`);
    return;
  }
  const emulator = await BigtableProcess.start();
  try {
    if (process.env['BIGTABLE_BENCH_ONLY'] !== 'selector') {
      const store = await openBigtable(bigtableOptions(emulator.host));
      await measureStore(store);
      await measureCommits(store);
      await store.close();
      await measureClient(emulator.host);
    }
    await measureSelector(emulator.host);
  } finally {
    await emulator.kill();
  }
  show();
};
