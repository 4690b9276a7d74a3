import { readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect } from 'chai';
import { openForRepair } from '../../../src/copy-stores.ts';
import type { RinglogNode } from '../../../src/node.ts';
import { labelSetOf } from '../../../src/protocol/label-text.ts';
import { chunkEntries } from '../../../src/storage/index-row.ts';
import { DAY_MS } from '../../../src/storage/schema-config.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { suiteBigtable } from '../../support/bigtable-process.ts';
import { LATER, madeChunk } from '../../support/check-sides.ts';
import { testConfig } from '../../support/cluster.ts';
import { entryAt, pushOf } from '../../support/entries.ts';
import { StoreRig } from '../../support/store-rig.ts';
import { newInstance } from '../../support/stores/bigtable-stores.ts';
import { RawBigtable } from '../../support/stores/raw-bigtable.ts';
import { type Finished, runCli } from '../cli/cli-process.ts';

const STREAMS = 4;

interface Totals {
  readonly objects: number;
  readonly rows: number;
  readonly left: number;
  readonly found: Readonly<Record<string, number>>;
  readonly mended: Readonly<Record<string, number>>;
}

describe('ringlog store check', function () {
  this.timeout(120_000);
  let rig: StoreRig;

  beforeEach(async () => {
    rig = await StoreRig.open();
  });
  afterEach(() => rig.close());

  const embedded = (): object => rig.embedded('data');

  const push = async (to: RinglogNode, day: number): Promise<void> => {
    const lines = (stream: number) => [0, 1, 2].map((at) => entryAt(day * DAY_MS + at * 1_000 + stream, `line ${at}`));
    const streams = Array.from({ length: STREAMS }, (_, stream) => [`{app="app-${stream}"}`, lines(stream)] as const);
    await to.services.push('team-a', pushOf(Object.fromEntries(streams)));
    await to.services.flush();
  };

  const check = async (settings: object, ...args: readonly string[]): Promise<Finished> => {
    const file = path.join(rig.folder, 'config.yaml');
    await writeFile(file, JSON.stringify(settings));
    return await runCli(['store', 'check', '--config', file, ...args]);
  };

  const totalsOf = ({ stdout, stderr }: Finished): Totals => {
    const last = stdout.trimEnd().split('\n').at(-1) ?? '';
    expect(last, stderr).to.match(/^\{"totals":/);
    return (JSON.parse(last) as { readonly totals: Totals }).totals;
  };

  const files = async (): Promise<readonly string[]> => {
    const names = await readdir(path.join(rig.folder, 'data/chunks'), { recursive: true });
    return names.filter((name) => /:[0-9a-f]+$/.test(name)).map((name) => path.join(rig.folder, 'data/chunks', name));
  };

  it('finds nothing beside a node that pushes and flushes', async () => {
    const running = await rig.start(embedded());
    await push(running, 0);
    let isPushing = true;
    let pushes = 0;
    const pushing = (async () => {
      for (let day = 1; isPushing; day += 1) {
        await push(running, day % 20);
        pushes += 1;
      }
    })();
    try {
      for (let run = 0; run < 3; run += 1) {
        const finished = await check(embedded(), '--output', 'json');
        expect([finished.code, finished.stderr.includes('ringlog:')], finished.stdout).to.deep.equal([0, false]);
        expect(totalsOf(finished)).to.deep.include({ left: 0, found: {} });
      }
    } finally {
      isPushing = false;
      await pushing;
    }
    expect(pushes).to.be.greaterThan(3);
    const { objects } = totalsOf(await check(embedded(), '--output', 'json', '--grace', '0s'));
    expect(objects).to.equal((await files()).length);
  });

  it('says what it found, mends it once the node is gone, and finds nothing any more', async () => {
    await push(await rig.start(embedded()), 0);
    const [first = '', second = ''] = await files();
    await rm(first);
    await writeFile(second, 'no chunk');
    const look = await check(embedded());
    expect(look.code).to.equal(1);
    expect(look.stdout)
      .to.match(/^dangling-row team-a\/\S+ in index_\d+, row team-a:d\d+:\S+: its object is not there$/m)
      .and.to.match(/^corrupt-object team-a\/\S+: invalid chunk checksum$/m)
      .and.to.match(/^checked 3 objects \(\d\.\d MB read\) and \d+ rows in [\d.]+ s$/m)
      .and.to.include('found 1 corrupt-object, 1 dangling-row\n');
    expect(look.stderr).to.include('ringlog: 2 findings are left\n');
    const busy = await check(embedded(), '--fix');
    expect(busy.code).to.equal(3);
    expect(busy.stderr).to.include('is in use by another ringlog node');
    await rig.stop();
    const fixed = await check(embedded(), '--fix', '--removals-max', '50', '--unindex-corrupt', '--output', 'json');
    expect(totalsOf(fixed)).to.deep.include({ left: 1, unindexed: 1 });
    expect(totalsOf(fixed).mended).to.include({ 'dangling-row': 1 });
    await rm(second);
    const after = await check(embedded(), '--quick');
    expect([after.code, after.stdout.includes('found nothing')], after.stdout + after.stderr).to.deep.equal([0, true]);
  });

  it('says that it could not check, and what it cannot do', async () => {
    const nowhere = await check(embedded());
    expect([nowhere.code, nowhere.stdout]).to.deep.equal([3, '']);
    expect(nowhere.stderr).to.match(/^ringlog: cannot open the chunk folder: ENOENT/m);
    const fixed = await check(embedded(), '--fix');
    expect(fixed.code).to.equal(3);
    expect(await readdir(rig.folder), 'nothing is made').to.deep.equal(['config.yaml']);
    const careless = await check(embedded(), '--delete-orphans');
    expect([careless.code, careless.stderr]).to.deep.equal([
      2,
      'ringlog: --delete-orphans changes the store: add --fix\n',
    ]);
    expect((await check(embedded(), '--grace', 'long')).code).to.equal(2);
  });

  describe('with an index in Bigtable', () => {
    const emulator = suiteBigtable({ isNamed: true });

    const inCloud = (instance: string): object => ({
      ...embedded(),
      schema_config: {
        configs: [{ from: '2024-03-01', schema: 'v13', store: 'bigtable-hashed', object_store: 'gcs' }],
      },
      storage_config: {
        gcs: { bucket_name: 'chunks', api_endpoint: rig.server.url },
        bigtable: { project: 'test', instance, table_cache_expiration: '0s' },
      },
    });

    it('makes no table that retention dropped, and neither indexes nor deletes what was in it', async () => {
      const instance = newInstance();
      const running = await rig.start(inCloud(instance));
      for (const day of [0, 9]) await push(running, day);
      await rig.stop();
      const raw = new RawBigtable(emulator().host, instance);
      const tables = (await raw.tables()).filter((table) => table.startsWith('index_')).sort();
      // Those of the first of March, and of the first push.
      for (const table of tables.splice(0, 2)) await raw.dropTable(table);
      const { size } = rig.server.objects.bucket('chunks');
      const args = ['--fix', '--delete-orphans', '--removals-max', '100', '--grace', '0s', '--output', 'json'];
      const totals = totalsOf(await check(inCloud(instance), ...args));
      expect(totals).to.deep.include({ objects: size, dropped: STREAMS, left: 0, found: {} });
      expect(rig.server.objects.bucket('chunks').size).to.equal(size);
      expect((await raw.tables()).filter((table) => table.startsWith('index_')).sort()).to.deep.equal(tables);
      await raw.close();
    });

    it('sees at once what another process removed, whatever the configuration says of caches', async () => {
      const settings = testConfig({ ...inCloud(newInstance()) });
      const storage_config = {
        ...settings.storage_config,
        index_queries_cache_config: { embedded_cache: { enabled: true, max_size_mb: 10 } },
      };
      const deps = { clock: systemClock, chance: Math.random, report: () => undefined };
      const config = { ...settings, storage_config };
      // The other is at the day of the rows and does not say that they changed: no more does a Loki.
      const sides = [
        await openForRepair(config, { ...deps, clock: LATER }),
        await openForRepair(config, deps),
      ] as const;
      const [ours, theirs] = sides;
      try {
        const entries = chunkEntries(ours.schema, madeChunk(ours, labelSetOf(['app', 'a']), systemClock.nowMs()).chunk);
        const found = async (): Promise<number> => {
          let count = 0;
          await ours.index.scan(entries, (cells) => {
            for (const _ of cells) count += 1;
            return false;
          });
          return count;
        };
        await theirs.index.write(entries);
        expect(await found()).to.equal(entries.length);
        await theirs.index.delete(entries);
        expect(await found()).to.equal(0);
      } finally {
        await Promise.all(sides.map((side) => side.close()));
      }
    });

    it('finds nothing beside a node, tells of what is damaged, and mends it beside the node', async () => {
      const settings = inCloud(newInstance());
      const running = await rig.start(settings);
      for (const day of [0, 1, 2]) await push(running, day);
      const clean = await check(settings, '--output', 'json');
      expect(clean.code, clean.stdout + clean.stderr).to.equal(0);
      const bucket = rig.server.objects.bucket('chunks');
      expect(totalsOf(clean)).to.include({ objects: bucket.size, rows: bucket.size * 3 });
      const [lost = ''] = bucket.keys();
      bucket.delete(lost);
      const look = await check(settings);
      expect(look.stdout).to.match(new RegExp(`^dangling-row ${lost} `, 'm'));
      const mended = totalsOf(await check(settings, '--fix', '--removals-max', '50', '--output', 'json'));
      expect(mended).to.include({ left: 0, objects: bucket.size });
      expect(mended.found).to.deep.equal(mended.mended);
      expect((await check(settings)).stdout).to.include('found nothing\n');
      await push(running, 3);
      expect(totalsOf(await check(settings, '--output', 'json')).objects).to.equal(bucket.size);
    });
  });
});
