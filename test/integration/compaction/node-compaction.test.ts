import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import type { DeleteService } from '../../../src/compaction/delete-service.ts';
import { type RinglogNode, startNode } from '../../../src/node.ts';
import type { QueryResult } from '../../../src/query/query-messages.ts';
import { suiteBigtable } from '../../support/bigtable-process.ts';
import { linesOf, logRequest, sharedWorkers, testConfig } from '../../support/cluster.ts';
import { entryAt, pushOf, T0_MS } from '../../support/entries.ts';
import { eventually } from '../../support/eventually.ts';
import { GcsServer } from '../../support/gcs/gcs-server.ts';
import { newInstance } from '../../support/stores/bigtable-stores.ts';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;

const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10);

/** Places for what a node stores: schema periods with their stores. */
interface Backend {
  readonly name: string;
  readonly usesBigtable: boolean;
  readonly usesBucket: boolean;
  readonly periods: readonly object[];
}

const CHANGE = dayOf(T0_MS);

const BACKENDS: readonly Backend[] = [
  { name: 'files and LMDB, v13', usesBigtable: false, usesBucket: false, periods: [{ schema: 'v13' }] },
  { name: 'files and LMDB, v11', usesBigtable: false, usesBucket: false, periods: [{ schema: 'v11' }] },
  {
    name: 'Cloud Storage and Bigtable',
    usesBigtable: true,
    usesBucket: true,
    periods: [{ schema: 'v12', store: 'bigtable', object_store: 'gcs' }],
  },
  {
    name: 'files, and periods of LMDB and both layouts of Bigtable',
    usesBigtable: true,
    usesBucket: false,
    periods: [
      { schema: 'v11' },
      { from: CHANGE, schema: 'v12', store: 'bigtable' },
      { from: dayOf(T0_MS + DAY_MS), schema: 'v13', store: 'bigtable-hashed' },
    ],
  },
];

describe('a node that compacts', function () {
  this.timeout(120_000);

  for (const backend of BACKENDS) {
    describe(`over ${backend.name}`, () => {
      if (backend.usesBigtable) suiteBigtable({ isNamed: true });
      let folder: string;
      let bucket: GcsServer | undefined;
      let instance: string;
      let node: RinglogNode;

      beforeEach(async () => {
        folder = await mkdtemp(path.join(os.tmpdir(), 'ringlog-compaction-'));
        bucket = backend.usesBucket ? await GcsServer.start() : undefined;
        instance = newInstance();
      });

      afterEach(async () => {
        await node.stop({ deadlineMs: 5_000 });
        await bucket?.close();
        await rm(folder, { recursive: true, force: true });
      });

      const start = async (compactor: object = {}, limits: object = {}): Promise<void> => {
        const config = testConfig({
          data_dir: folder,
          schema_config: { configs: backend.periods.map((period) => ({ from: dayOf(T0_MS - 9 * DAY_MS), ...period })) },
          storage_config: {
            bigtable: { project: 'test', instance, table_cache_expiration: '0s' },
            ...(bucket && { gcs: { bucket_name: 'chunks', api_endpoint: bucket.url } }),
          },
          compactor: {
            retention_enabled: true,
            compaction_interval: '1h',
            delete_request_cancel_period: '0s',
            retention_delete_delay: '0s',
            max_chunks_per_second: 10_000,
            ...compactor,
          },
          limits,
        });
        node = await startNode(config, { workers: sharedWorkers() });
      };

      /** Without compaction: what is really stored. */
      const restartPlain = async (): Promise<void> => {
        await node.stop({ deadlineMs: 5_000 });
        await start({ retention_enabled: false });
      };

      /** Commits of flushes are forgotten soon; until then their chunks are left alone. */
      const compactAll = (): Promise<void> =>
        eventually('nothing is left for later', async () => (await node.compactor?.compact())?.left === 0);

      const push = async (selector: string, entries: readonly { timeNs: bigint; line: string }[]): Promise<void> => {
        expect((await node.services.push('tenant', pushOf({ [selector]: entries }))).acceptedLines).to.equal(
          entries.length,
        );
      };

      const entries = (name: string, fromMs: number, count = 60) =>
        Array.from({ length: count }, (_, at) =>
          entryAt(fromMs + at, `${name} ${at} ${at % 3 === 0 ? 'secret' : 'plain'} ${'x'.repeat(at)}`),
        );

      const linesIn = (query: string): Promise<readonly string[]> => linesOf(node, query, WIDE);

      const secretsIn = async (query: string): Promise<number> =>
        (await linesIn(query)).filter((line) => line.includes('secret')).length;

      const deletes = (): DeleteService => node.services.deletes as DeleteService;

      const statuses = async (): Promise<readonly string[]> =>
        (await deletes().list('tenant')).map(({ status }) => status);

      it('hides what a delete request names at once, in memory and in the store, and takes it out of the chunks', async () => {
        await start();
        await push('{app="web"}', entries('old', -DAY_MS));
        await push('{app="web"}', entries('mid', 0));
        await push('{app="web"}', entries('new', DAY_MS));
        await push('{app="other"}', entries('other', 0));
        await node.services.flush();
        await push('{app="web"}', entries('memory', DAY_MS + HOUR_MS));
        expect(await secretsIn('{app="web"}')).to.equal(80);
        await deletes().add('tenant', {
          query: '{app="web"} |= "secret"',
          startMs: T0_MS - 2 * DAY_MS,
          endMs: T0_MS + 2 * DAY_MS,
        });
        expect(await secretsIn('{app="web"}'), 'hidden').to.equal(0);
        expect(await countOf(node, 'sum(count_over_time({app="web"}[6d]))')).to.equal(160);
        expect(await countOf(node, 'sum(count_over_time({app="web"} |= "secret" [6d]))')).to.equal(0);
        expect(await secretsIn('{app="other"}'), 'another stream').to.equal(20);
        expect(await statuses()).to.deep.equal(['received']);
        const before = await linesIn('{app="web"}');
        await compactAll();
        expect(await statuses()).to.deep.equal(['processed']);
        expect(await linesIn('{app="web"}')).to.deep.equal(before);
        expect(await secretsIn('{app="other"}')).to.equal(20);
        await node.services.flush();
        await restartPlain();
        expect(await secretsIn('{app="web"}'), 'what was in memory is stored, and hidden').to.equal(20);
        expect(await secretsIn('{app="web"} |~ "old|mid|new"'), 'what was stored is gone').to.equal(0);
        expect((await linesIn('{app="web"} |~ "old|mid|new"')).length).to.equal(120);
        expect(await secretsIn('{app="other"}')).to.equal(20);
      });

      it('drops chunks all of whose entries are deleted, with their labels and objects', async () => {
        await start();
        await push('{app="web"}', entries('web', 0));
        await push('{app="other"}', entries('other', 0));
        await node.services.flush();
        await deletes().add('tenant', { query: '{app="web"}', startMs: T0_MS - DAY_MS, endMs: T0_MS + DAY_MS });
        await compactAll();
        expect(await statuses()).to.deep.equal(['processed']);
        const { deleted = 0, objects = 0, rewritten } = node.compactor?.figures ?? {};
        expect({ isGone: deleted > 0, rewritten }).to.deep.equal({ isGone: true, rewritten: 0 });
        await node.compactor?.compact();
        expect(node.compactor?.figures.objects ?? objects).to.equal(deleted);
        await restartPlain();
        expect(await linesIn('{app="web"}')).to.deep.equal([]);
        expect((await linesIn('{app="other"}')).length).to.equal(60);
        expect(await node.services.labelValues('tenant', 'app', [], RANGE)).to.deep.equal(['other']);
      });

      it('shows again what is cancelled', async () => {
        await start();
        await push('{app="web"}', entries('web', 0));
        const id = await deletes().add('tenant', { query: '{}', startMs: T0_MS - DAY_MS, endMs: T0_MS + DAY_MS });
        expect(await linesIn('{app="web"}')).to.deep.equal([]);
        expect(await deletes().cancel('tenant', 'none', true)).to.equal('not-found');
        expect(await deletes().cancel('tenant', id, true)).to.equal('cancelled');
        expect((await linesIn('{app="web"}')).length).to.equal(60);
      });

      it('hides, then drops what is past the retention of its stream, and keeps the rest', async () => {
        const ageMs = Date.now() - T0_MS;
        const days = Math.floor(ageMs / DAY_MS);
        await start(
          {},
          {
            retention_period: `${days + 30}d`,
            retention_stream: [
              { selector: '{app="short"}', priority: 1, period: `${days - 30}d` },
              { selector: '{app=~"sh.*"}', priority: 0, period: '24h' },
            ],
          },
        );
        for (const app of ['short', 'long', 'shell']) await push(`{app="${app}"}`, entries(app, 0));
        expect(await linesIn('{app="short"}'), 'in memory').to.deep.equal([]);
        expect((await linesIn('{app="long"}')).length).to.equal(60);
        await node.services.flush();
        expect(await linesIn('{app=~"short|shell"}'), 'stored').to.deep.equal([]);
        await compactAll();
        expect(node.compactor?.figures.expired).to.be.greaterThan(1);
        await restartPlain();
        expect(await linesIn('{app=~"short|shell"}'), 'gone').to.deep.equal([]);
        expect((await linesIn('{app="long"}')).length).to.equal(60);
        expect(await node.services.labelValues('tenant', 'app', [], RANGE)).to.deep.equal(['long']);
      });

      it('changes nothing in a dry run, and says what it would do', async () => {
        await start({ dry_run: true });
        await push('{app="web"}', entries('web', 0));
        await node.services.flush();
        await deletes().add('tenant', {
          query: '{app="web"} |= "secret"',
          startMs: T0_MS - DAY_MS,
          endMs: T0_MS + DAY_MS,
        });
        await eventually('a pass has looked at all', async () => {
          const { left, deletedLines = 0 } = (await node.compactor?.compact()) ?? {};
          return left === 0 && deletedLines === 20;
        });
        expect(await statuses()).to.deep.equal(['received']);
        await restartPlain();
        expect(await secretsIn('{app="web"}')).to.equal(20);
      });
    });
  }
});

const WIDE = {
  startNs: BigInt(T0_MS - 3 * DAY_MS) * 1_000_000n,
  endNs: BigInt(T0_MS + 3 * DAY_MS) * 1_000_000n,
} as const;

const RANGE = { startNs: WIDE.startNs, endNs: WIDE.endNs };

const countOf = async (node: RinglogNode, query: string): Promise<number> => {
  const at = { ...logRequest(query, {}), startNs: WIDE.endNs, endNs: WIDE.endNs, isInstant: true };
  const result: QueryResult = await node.services.queryAll(at, new AbortController().signal);
  if (result.type !== 'vector') throw new Error(`expected a vector, got ${result.type}`);
  return result.series[0]?.values[0] ?? 0;
};
