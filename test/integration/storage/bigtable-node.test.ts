import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { status } from '@grpc/grpc-js';
import { expect } from 'chai';
import { Registry } from 'prom-client';
import { addNodeMetrics } from '../../../src/http/node-metrics.ts';
import { type RinglogNode, startNode } from '../../../src/node.ts';
import { DAY_MS } from '../../../src/storage/schema-config.ts';
import { BigtableProcess, suiteBigtable } from '../../support/bigtable-process.ts';
import { BigtableProxy, type ProxiedCall } from '../../support/bigtable-proxy.ts';
import { linesOf, sharedWorkers, testConfig } from '../../support/cluster.ts';
import { entryAt, pushOf, T0_MS } from '../../support/entries.ts';
import { eventually } from '../../support/eventually.ts';
import { newInstance } from '../../support/stores/bigtable-stores.ts';
import { MemoryChunkStore } from '../../support/stores/memory-chunk-store.ts';
import { RawBigtable, type RawCell } from '../../support/stores/raw-bigtable.ts';
import { CliProcess } from '../cli/cli-process.ts';

const dayOfT0 = (days: number): string => new Date(T0_MS + days * DAY_MS).toISOString().slice(0, 10);

const linesFrom = (name: string): readonly string[] =>
  Array.from({ length: 50 }, (_, index) => `${name} ${index} ${'x'.repeat(index)}`);

describe('a node with its index in Bigtable', function () {
  this.timeout(60_000);
  const emulator = suiteBigtable({ isNamed: true });
  let folder: string;
  let instance: string;
  let chunks: MemoryChunkStore;
  let node: RinglogNode | undefined;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'ringlog-bigtable-'));
    instance = newInstance();
    chunks = new MemoryChunkStore();
  });

  afterEach(async () => {
    await node?.stop({ deadlineMs: 5_000 }).catch(() => undefined);
    node = undefined;
    await rm(folder, { recursive: true, force: true });
  });

  const settings = (periods: readonly object[]): object => ({
    data_dir: path.join(folder, 'data'),
    storage_config: { bigtable: { project: 'test', instance, table_cache_expiration: '0s' } },
    schema_config: { configs: periods },
  });

  const start = async (...periods: readonly object[]): Promise<RinglogNode> => {
    node = await startNode(testConfig({ ...settings(periods) }), { workers: sharedWorkers() });
    return node;
  };

  const push = async (to: RinglogNode, lines: readonly string[], days = 0): Promise<void> => {
    const entries = lines.map((line, index) => entryAt(days * DAY_MS + index, line));
    expect((await to.services.push('tenant', pushOf({ '{app="web"}': entries }))).acceptedLines).to.equal(lines.length);
  };

  it('flushes rows there, answers from there after a restart, and leaves no commit behind', async () => {
    const period = { from: dayOfT0(-3), schema: 'v13', store: 'bigtable-hashed' };
    const first = await start(period);
    await push(first, linesFrom('a'));
    await first.services.flush();
    expect(first.figures().unflushedBytes).to.equal(0);
    const raw = new RawBigtable(emulator().host, instance);
    await eventually('no commit is left', async () => (await raw.cells('ringlog-commits')).length === 0);
    await first.stop({ deadlineMs: 5_000 });
    expect(await readdir(path.join(folder, 'data'))).to.not.include('index');
    expect((await raw.tables()).filter((table) => /^index_28\d\d$/.test(table))).to.not.be.empty;
    await raw.close();
    expect(await linesOf(await start(period), '{app="web"}')).to.deep.equal(linesFrom('a'));
  });

  it('keeps what an embedded index has, from before the period in Bigtable began', async () => {
    const embedded = { from: dayOfT0(-3), schema: 'v12' };
    const first = await start(embedded);
    await push(first, linesFrom('a'));
    await first.services.flush();
    await first.stop({ deadlineMs: 5_000 });
    const both = await start(embedded, { from: dayOfT0(1), schema: 'v13', store: 'bigtable' });
    await push(both, linesFrom('b'), 1);
    await both.services.flush();
    expect(both.figures().unflushedBytes).to.equal(0);
    const day = BigInt(DAY_MS) * 1_000_000n;
    const request = { endNs: BigInt(T0_MS) * 1_000_000n + 2n * day };
    expect(await linesOf(both, '{app="web"}', request)).to.deep.equal([...linesFrom('a'), ...linesFrom('b')]);
  });

  it('answers from rows of past days it keeps in memory, and sees at once what another node flushes into them', async () => {
    const period = { from: dayOfT0(-3), schema: 'v13', store: 'bigtable-hashed' };
    const cache = { index_queries_cache_config: { embedded_cache: { enabled: true } } };
    const config = settings([period]) as { storage_config: object };
    const reader = await startNode(testConfig({ ...config, storage_config: { ...config.storage_config, ...cache } }), {
      workers: sharedWorkers(),
      chunks,
    });
    node = reader;
    const writer = await startNode(testConfig({ ...config, data_dir: path.join(folder, 'writer') }), {
      workers: sharedWorkers(),
      chunks,
    });
    for (const [round, name] of ['a', 'b', 'c'].entries()) {
      await push(writer, linesFrom(name), 0);
      await writer.services.flush();
      const lines = ['a', 'b', 'c']
        .slice(0, round + 1)
        .flatMap(linesFrom)
        .sort();
      expect([...(await linesOf(reader, '{app="web"}'))].sort(), 'read anew').to.deep.equal(lines);
      const hits = reader.figures().indexCache?.hits ?? 0;
      expect([...(await linesOf(reader, '{app="web"}'))].sort(), 'kept').to.deep.equal(lines);
      expect(reader.figures().indexCache?.hits).to.be.above(hits);
    }
    const registry = new Registry();
    addNodeMetrics(registry, () => reader.figures());
    const { requests, hits, bytes } = reader.figures().indexCache ?? { requests: 0, hits: 0, bytes: 0 };
    const name = 'store.index-cache-read.embedded-cache';
    const metrics = await registry.metrics();
    expect(bytes).to.be.above(0);
    expect(metrics).to.include(`loki_cache_fetched_keys{name="${name}"} ${requests}\n`);
    expect(metrics).to.include(`loki_cache_hits{name="${name}"} ${hits}\n`);
    expect(metrics).to.include(`loki_embeddedcache_memory_bytes{cache="${name}"} ${bytes}\n`);
    await writer.stop({ deadlineMs: 5_000 });
  });

  it('finishes at its start what it had committed without rows, and shows it once', async () => {
    const proxy = await BigtableProxy.start(emulator().host);
    const isIndex = ({ method, table }: ProxiedCall): boolean => method === 'MutateRows' && table.startsWith('index_');
    proxy.fault = (call) => (isIndex(call) ? { kind: 'refuse', code: status.PERMISSION_DENIED } : undefined);
    const period = { from: dayOfT0(-3), schema: 'v13', store: 'bigtable-hashed' };
    process.env['BIGTABLE_EMULATOR_HOST'] = proxy.host;
    const first = await start(period);
    process.env['BIGTABLE_EMULATOR_HOST'] = emulator().host;
    await push(first, linesFrom('a'));
    void first.services.flush().catch(() => undefined);
    await eventually('a commit without rows', () => proxy.calls.some(isIndex));
    await first.stop({ deadlineMs: 500 }).catch(() => undefined);
    proxy.stop();
    const raw = new RawBigtable(emulator().host, instance);
    const indexCells = async (): Promise<readonly RawCell[]> => {
      const tables = (await raw.tables()).filter((table) => table.startsWith('index_'));
      return (await Promise.all(tables.map((table) => raw.cells(table)))).flat();
    };
    expect(await indexCells(), 'no row yet').to.deep.equal([]);
    expect(await raw.cells('ringlog-commits')).to.not.be.empty;
    const second = await start(period);
    expect(second.figures().unflushedBytes, 'nothing is left to store').to.equal(0);
    expect(await indexCells()).to.not.be.empty;
    await eventually('no commit is left', async () => (await raw.cells('ringlog-commits')).length === 0);
    expect(await linesOf(second, '{app="web"}')).to.deep.equal(linesFrom('a'));
    expect(await readdir(path.join(folder, 'data/chunks/tenant'))).to.have.length(1);
    await raw.close();
  });

  it('says what is wrong when nobody answers, and does not serve', async () => {
    const own = await BigtableProcess.start();
    await own.kill();
    const file = path.join(folder, 'ringlog.yaml');
    const config = settings([{ from: dayOfT0(-3), schema: 'v13', store: 'bigtable' }]);
    await writeFile(file, JSON.stringify({ ...config, http_listen: '127.0.0.1:0', grpc_listen: 'off' }));
    const serve = new CliProcess(['serve', '--config', file], { BIGTABLE_EMULATOR_HOST: own.host });
    const { code, stderr } = await serve.finished();
    expect(stderr).to.match(/^ringlog: cannot list the tables: Bigtable: UNAVAILABLE: .*ECONNREFUSED/);
    expect(code).to.equal(1);
  });
});
