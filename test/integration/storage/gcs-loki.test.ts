import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { openCopyTarget } from '../../../src/copy-stores.ts';
import { type RinglogNode, startNode } from '../../../src/node.ts';
import { GcsChunkStore } from '../../../src/storage/gcs-chunk-store.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { logRequest, sharedWorkers, testConfig } from '../../support/cluster.ts';
import { copied } from '../../support/copy-sides.ts';
import { GcsServer } from '../../support/gcs/gcs-server.ts';
import { readFixture, recordedRows } from '../../support/stores/loki-fixtures.ts';
import { MemoryIndexStore } from '../../support/stores/memory-index-store.ts';
import { type ChunkFixture, chunkFixtures } from '../../unit/chunk/chunk-fixtures.ts';

interface Period {
  readonly schema: string;
  readonly prefix: string;
  readonly period: string;
}

const NS_PER_MS = 1_000_000n;
const RANGE = {
  startNs: BigInt(Date.UTC(2023, 3, 1)) * NS_PER_MS,
  endNs: BigInt(Date.UTC(2023, 3, 30)) * NS_PER_MS,
};

/** As a set: equal entries of two chunks are one; lines byte for byte. */
const recordedEntries = (fixtures: readonly ChunkFixture[]): readonly string[] => {
  const texts = fixtures.flatMap(({ entries }) =>
    entries.flatMap(([time, line]) => (typeof line === 'string' ? [`${time} ${line}`] : [])),
  );
  return [...new Set(texts)].sort();
};

const DUMPS = ['v11-bigtable.json', 'v12-bigtable.json'].flatMap((dump) => [
  { dump, isCopied: false },
  { dump, isCopied: true },
]);

/** The objects that real Loki 2.8 wrote into its bucket, in ours, below the index that it wrote beside them. */
describe('a node over the bucket of a Loki', function () {
  this.timeout(60_000);

  for (const { dump, isCopied } of DUMPS) {
    describe(isCopied ? `${dump}, copied into files and LMDB` : dump, () => {
      const { chunks, entries } = recordedRows(dump);
      const keys = new Set(chunks.map(({ key }) => key));
      const inDump = chunkFixtures.filter((fixture) => keys.has(keyOf(fixture)));
      let server: GcsServer;
      let node: RinglogNode;
      let folder: string | undefined;

      /** As Loki named it in this dump. */
      function keyOf({ checksum_hex: checksum, tenant }: ChunkFixture): string {
        return chunks.find(({ key }) => key.startsWith(`${tenant}/`) && key.endsWith(`:${checksum}`))?.key ?? '';
      }

      before(async () => {
        server = await GcsServer.start();
        for (const fixture of inDump) server.objects.insert('chunks', keyOf(fixture), fixture.bytes, {}, {});
        const index = new MemoryIndexStore();
        await index.write(entries);
        const { schema, prefix, period } = readFixture<Period>(`rows/${dump}`);
        const config = testConfig({
          schema_config: { configs: [{ from: '2020-01-01', schema, index: { prefix, period } }] },
        });
        const deps = { clock: systemClock, chance: Math.random, report: () => undefined };
        const store = await GcsChunkStore.open({ bucket: 'chunks', endpoint: server.url, isReadOnly: isCopied }, deps);
        if (!isCopied) {
          node = await startNode(config, { chunks: store, index, workers: sharedWorkers() });
          return;
        }
        folder = await mkdtemp(path.join(os.tmpdir(), 'ringlog-loki-'));
        const embedded = testConfig({ data_dir: folder });
        const target = await openCopyTarget(embedded, deps);
        const { figures } = await copied({ chunks: store, index, schema: config.schema }, target);
        expect(figures).to.include({ copied: chunks.length, unnamed: 0, leftOut: 0 });
        await Promise.all([target.close(), store.close()]);
        node = await startNode(embedded, { workers: sharedWorkers() });
      });

      after(async () => {
        await node.stop({ deadlineMs: 5000 });
        await server.close();
        if (folder !== undefined) await rm(folder, { recursive: true });
      });

      it('has all of its objects', () => {
        expect(inDump.length).to.equal(chunks.length);
        expect(inDump.length).to.be.at.least(20);
      });

      it('answers with every entry of each of its streams', async () => {
        let compared = 0;
        for (const fixture of inDump) {
          if (!fixture.labels) continue;
          const pairs = Object.entries(fixture.labels);
          const selector = `{${pairs.map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(', ')}}`;
          const request = logRequest(selector, { tenant: fixture.tenant, ...RANGE });
          const result = await node.services.queryAll(request, new AbortController().signal);
          if (result.type !== 'streams') throw new Error(`expected streams, got ${result.type}`);
          // Streams with more labels match too.
          const stream = result.streams.find(({ labels }) => labels.length === 2 * pairs.length);
          const found = (stream?.entries ?? []).map(({ timeNs, line }) => `${timeNs} ${line}`).sort();
          const same = inDump.filter(({ fingerprint_dec: one, tenant }) => {
            return one === fixture.fingerprint_dec && tenant === fixture.tenant;
          });
          const isText = same.every((one) => one.entries.every(([, line]) => typeof line === 'string'));
          if (isText) expect(found, fixture.name).to.deep.equal(recordedEntries(same));
          compared += found.length;
        }
        expect(compared).to.be.greaterThan(1000);
        expect(server.count('download')).to.be.at.least(20);
      });
    });
  }
});
