import { expect } from 'chai';
import { labelSetOf } from '../../../src/protocol/label-text.ts';
import { chunkKey } from '../../../src/storage/chunk-key.ts';
import { commitChunk, WrittenSeries } from '../../../src/storage/index-writer.ts';
import { PeriodIndexStore } from '../../../src/storage/period-index-store.ts';
import { createSchemaConfig, DAY_MS, type IndexStoreName } from '../../../src/storage/schema-config.ts';
import { SchemaIndexReader } from '../../../src/storage/schema-index-reader.ts';
import { MemoryIndexStore } from '../../support/stores/memory-index-store.ts';

const change = Date.UTC(2024, 0, 11);
const second = change + 10 * DAY_MS;

const schema = createSchemaConfig(
  (['lmdb', 'bigtable', 'bigtable-hashed'] as const).map((store, index) => ({
    from: ['2023-03-01', '2024-01-11', '2024-01-21'][index] ?? '',
    schema: ['v11', 'v12', 'v13'][index] ?? '',
    store,
    // The same: a week that a period begins in has a table of this name in both stores.
    prefix: 'index_',
    periodHours: 168,
    rowShards: 16,
  })),
);

const labels = labelSetOf(['app', 'web']);

const chunkAt = (fromMs: number, throughMs: number, checksum = 7) => ({
  tenant: 't',
  labels,
  fromMs,
  throughMs,
  key: chunkKey(schema, { tenant: 't', fingerprint: labels.fingerprint, fromMs, throughMs, checksum }),
});

describe('index stores of several periods', () => {
  let stores: Record<IndexStoreName, MemoryIndexStore>;
  let store: PeriodIndexStore;

  beforeEach(() => {
    stores = {
      lmdb: new MemoryIndexStore(),
      bigtable: new MemoryIndexStore(),
      'bigtable-hashed': new MemoryIndexStore(),
    };
    store = new PeriodIndexStore(
      new Map(Object.entries(stores) as [IndexStoreName, MemoryIndexStore][]),
      'bigtable-hashed',
    );
  });

  const sizes = () => [stores.lmdb, stores.bigtable, stores['bigtable-hashed']].map((each) => each.entries().length);
  const write = (chunk: ReturnType<typeof chunkAt>, segments: readonly string[] = []) =>
    commitChunk(store, schema, segments, chunk, new WrittenSeries(() => 0));
  const found = async (fromMs: number, throughMs: number) => {
    const range = { startNs: BigInt(fromMs) * 1_000_000n, endNs: BigInt(throughMs) * 1_000_000n };
    const refs = await new SchemaIndexReader(store, schema).chunkRefs(
      't',
      [{ name: 'app', op: '=', value: 'web' }],
      range,
    );
    return Array.from(refs, ({ key }) => key).sort();
  };

  it('have the rows of their own days, under the plain names of tables', async () => {
    const chunks = [change - DAY_MS, change, second].map((fromMs) => chunkAt(fromMs, fromMs + 1));
    for (const chunk of chunks) await write(chunk);
    expect(sizes()).to.deep.equal([4, 4, 4]);
    for (const each of Object.values(stores)) {
      for (const { table } of each.entries()) expect(table).to.match(/^index_28\d\d$/);
    }
    expect(await found(change - 2 * DAY_MS, second + DAY_MS)).to.deep.equal(chunks.map(({ key }) => key).sort());
    expect(await found(change, change + 1)).to.deep.equal([chunks[1]?.key]);
  });

  it('share a chunk that lies on both sides of a change', async () => {
    const chunk = chunkAt(change - 60_000, change + 60_000);
    expect((await write(chunk, ['n/1/1'])).size).to.equal(0);
    expect(sizes()).to.deep.equal([4, 4, 0]);
    expect(await found(change - 1, change - 1)).to.deep.equal([chunk.key]);
    expect(await found(change, change)).to.deep.equal([chunk.key]);
    expect(await found(change - DAY_MS, change + DAY_MS)).to.deep.equal([chunk.key]);
  });

  it('read several tables and stores in one scan, and end a lookup that has enough', async () => {
    const tables = ['lmdb:a', 'bigtable:a', 'bigtable:b', 'lmdb:b'];
    const entries = tables.flatMap((table) =>
      ['x', 'y'].map((rangeValue) => ({ table, hashValue: 'row', rangeValue, value: table })),
    );
    await store.write(entries);
    const shown: string[] = [];
    const lookups = tables.map((table) => ({ table, hashValue: 'row', about: `about ${table}` }));
    await store.scan(lookups, (cells, lookup) => {
      for (const { rangeValue, value } of cells) shown.push(`${rangeValue} ${value} ${lookup.about}`);
      return true;
    });
    expect(shown.sort()).to.deep.equal(
      tables.flatMap((table) => ['x', 'y'].map((x) => `${x} ${table} about ${table}`)).sort(),
    );
    await store.delete(entries.slice(1));
    expect(sizes()).to.deep.equal([1, 0, 0]);
    expect(await store.tables()).to.include.members(['lmdb:a', 'bigtable:b']);
  });

  it('commit in the newest, and know what was committed before it was there', async () => {
    const key = chunkAt(change - DAY_MS, change - DAY_MS).key;
    const stream = `t/${labels.fingerprint.toString(16)}`;
    await stores.lmdb.commit(['n/1/1'], key, []);
    expect(await store.committed({ stream, segment: 'n/1/1' })).to.equal(key);
    expect([...(await write(chunkAt(change, change), ['n/1/1', 'n/1/2']))]).to.deep.equal([['n/1/1', key]]);
    expect(sizes()).to.deep.equal([0, 0, 0]);
    expect((await write(chunkAt(change, change), ['n/1/2'])).size).to.equal(0);
    expect(await stores['bigtable-hashed'].committed({ stream, segment: 'n/1/2' })).to.equal(
      chunkAt(change, change).key,
    );
    const listed: string[] = [];
    for await (const { segment } of store.commits()) listed.push(segment);
    expect(listed.sort()).to.deep.equal(['n/1/1', 'n/1/2']);
    await store.forget([
      { stream, segment: 'n/1/1' },
      { stream, segment: 'n/1/2' },
    ]);
    for (const segment of listed) expect(await store.committed({ stream, segment })).to.equal(undefined);
  });

  it('pass on the error of one', async () => {
    stores.lmdb.before = () => {
      throw new Error('no disk');
    };
    const failure = await write(chunkAt(change - 1, change), ['n/1/1']).catch((error: unknown) => error);
    expect(failure).to.have.property('message', 'no disk');
    expect(await store.committed({ stream: '', segment: 'n/1/1' }), 'not committed').to.equal(undefined);
  });
});
