import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { Registry } from 'prom-client';
import { crc32c } from '../../../src/chunk/checksum.ts';
import { addNodeMetrics } from '../../../src/http/node-metrics.ts';
import { type RinglogNode, startNode } from '../../../src/node.ts';
import { parseChunkKey } from '../../../src/storage/chunk-key.ts';
import { linesOf, sharedWorkers, testConfig } from '../../support/cluster.ts';
import { entryAt, pushOf } from '../../support/entries.ts';
import { GcsServer } from '../../support/gcs/gcs-server.ts';
import { CliProcess } from '../cli/cli-process.ts';

const LINES = Array.from({ length: 300 }, (_, index) => `line ${index} ${'x'.repeat(index % 97)}`);

describe('a node with its chunks in Cloud Storage', function () {
  this.timeout(60_000);
  let folder: string;
  let server: GcsServer;
  let node: RinglogNode | undefined;
  const retried: string[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'ringlog-gcs-'));
    server = await GcsServer.start();
  });

  afterEach(async () => {
    await node?.stop({ deadlineMs: 5000 }).catch(() => undefined);
    node = undefined;
    delete process.env['STORAGE_EMULATOR_HOST'];
    await server.close();
    await rm(folder, { recursive: true, force: true });
  });

  const settings = (gcs: object = { api_endpoint: server.url }): object => ({
    data_dir: path.join(folder, 'data'),
    schema_config: { configs: [{ from: '2020-01-01', schema: 'v13', object_store: 'gcs' }] },
    storage_config: { gcs: { bucket_name: 'chunks', ...gcs } },
  });

  const start = async (gcs?: object, chunkStore: object = {}): Promise<RinglogNode> => {
    const config = testConfig({ ...settings(gcs), chunk_store_config: chunkStore });
    const observer = {
      committed: () => undefined,
      retried: (store: string) => retried.push(store),
      evaluated: () => undefined,
    };
    node = await startNode(config, { workers: sharedWorkers(), observer });
    return node;
  };

  const push = async (to: RinglogNode): Promise<void> => {
    const entries = LINES.map((line, index) => entryAt(index, line));
    expect((await to.services.push('tenant', pushOf({ '{app="web"}': entries }))).acceptedLines).to.equal(300);
  };

  it('flushes into the bucket under keys as Loki has them, and answers from there after a restart', async () => {
    const first = await start();
    await push(first);
    await first.services.flush();
    await first.stop({ deadlineMs: 5000 });
    const objects = [...server.objects.bucket('chunks').values()];
    expect(objects).to.not.be.empty;
    for (const { name, bytes } of objects) {
      expect(parseChunkKey(name), name).to.include({ tenant: 'tenant', checksum: crc32c(bytes) });
    }
    expect(await readdir(path.join(folder, 'data'))).to.not.include('chunks');
    expect(await linesOf(await start(), '{app="web"}')).to.deep.equal(LINES);
  });

  it('gets a chunk once for several queries, and counts it as Loki does, unless the cache is switched off', async () => {
    const first = await start();
    await push(first);
    await first.services.flush();
    for (let time = 0; time < 3; time++) expect(await linesOf(first, '{app="web"}')).to.deep.equal(LINES);
    const chunks = server.objects.bucket('chunks').size;
    expect(server.count('download')).to.equal(chunks);
    const registry = new Registry();
    addNodeMetrics(registry, () => first.figures());
    const metrics = await registry.metrics();
    const name = '{name="store.chunks-cache.embedded-cache"}';
    expect(metrics).to.include(`loki_cache_fetched_keys${name} ${3 * chunks}\n`);
    expect(metrics).to.include(`loki_cache_hits${name} ${2 * chunks}\n`);
    await first.stop({ deadlineMs: 5000 });
    const second = await start(
      { api_endpoint: server.url },
      { chunk_cache_config: { embedded_cache: { enabled: false } } },
    );
    server.seen.length = 0;
    for (let time = 0; time < 2; time++) expect(await linesOf(second, '{app="web"}')).to.deep.equal(LINES);
    expect(server.count('download')).to.equal(2 * chunks);
  });

  it('keeps what it cannot store, and stores it when the bucket is there again', async () => {
    const running = await start();
    await push(running);
    retried.length = 0;
    server.faults.add({ operation: 'upload', status: 403, times: 3 });
    server.faults.add({ operation: 'upload', drop: 'after', times: 2 });
    await running.services.flush();
    expect(running.figures().unflushedBytes).to.equal(0);
    expect(new Set(retried), 'requests sent again').to.deep.equal(new Set(['chunks']));
    expect(server.objects.bucket('chunks').size).to.be.greaterThan(0);
    expect(await linesOf(running, '{app="web"}')).to.deep.equal(LINES);
  });

  it('looks at STORAGE_EMULATOR_HOST, with a scheme and without', async () => {
    for (const host of [server.url, server.url.replace('http://', '')]) {
      process.env['STORAGE_EMULATOR_HOST'] = host;
      const running = await start({});
      await push(running);
      await running.services.flush();
      expect(await linesOf(running, '{app="web"}')).to.deep.equal(LINES);
      await running.stop({ deadlineMs: 5000 });
    }
    expect(server.objects.bucket('chunks').size).to.be.greaterThan(0);
  });

  const refusedToServe = async (gcs: object): Promise<string> => {
    const file = path.join(folder, 'ringlog.yaml');
    await writeFile(file, JSON.stringify({ ...settings(gcs), http_listen: '127.0.0.1:0', grpc_listen: 'off' }));
    const { code, stderr } = await new CliProcess(['serve', '--config', file]).finished();
    expect([code, stderr]).to.deep.equal([1, stderr]);
    return stderr;
  };

  it('serves only with a bucket that it can use, and says what is wrong with it', async () => {
    expect(await refusedToServe({ api_endpoint: server.url, bucket_name: 'chonks' })).to.equal(
      `ringlog: cannot use bucket chonks of Cloud Storage at ${server.url}: there is no bucket chonks\n`,
    );
  });

  it('tries for a while, and says that nobody answers', async () => {
    const { url } = server;
    await server.close();
    // In the pauses between its tries nothing else keeps the process alive.
    expect(await refusedToServe({ api_endpoint: url })).to.match(
      /^ringlog: cannot use bucket chunks of Cloud Storage at \S+: .*ECONNREFUSED.* \(6 attempts\)\n$/,
    );
    server = await GcsServer.start();
  });
});
