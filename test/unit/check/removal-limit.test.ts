import { expect } from 'chai';
import { Suspects } from '../../../src/check/suspects.ts';
import { labelSetOf } from '../../../src/protocol/label-text.ts';
import { chunkEntries } from '../../../src/storage/index-row.ts';
import { createSchemaConfig, DAY_MS, type SchemaConfig } from '../../../src/storage/schema-config.ts';
import { checked, contentOf, LATER, madeChunk } from '../../support/check-sides.ts';
import { type MemorySide, memorySide } from '../../support/copy-sides.ts';

const schema = createSchemaConfig([
  { from: '2023-01-01', schema: 'v12', prefix: 'index_', periodHours: 24, rowShards: 2 },
]);
const NOON_MS = Date.UTC(2023, 3, 12, 12);

describe('the limit of what a check removes', () => {
  let side: MemorySide;

  beforeEach(() => {
    side = memorySide(schema);
  });

  /** Streams of a tenant, with the parts that are asked for. */
  const fill = async (
    tenant: string,
    count: number,
    { isStored = true, isIndexed = true, atMs = NOON_MS } = {},
  ): Promise<void> => {
    for (let at = 0; at < count; at += 1) {
      const labels = labelSetOf(['app', `${isStored}-${isIndexed}-${at}`]);
      const { chunk, bytes } = madeChunk(side, labels, atMs, { tenant });
      if (isStored) await side.chunks.put(chunk.key, bytes);
      if (isIndexed) await side.index.write(chunkEntries(schema, chunk));
    }
  };

  it('removes no row while no object at all is there, whatever the limit', async () => {
    await fill('tenant-a', 10, { isStored: false });
    const before = await contentOf(side);
    const { findings } = await checked(side, { fixes: true, removalShareMax: 1 });
    expect(findings).to.have.length(10);
    expect(findings[0]).to.include({
      kind: 'dangling-row',
      why: 'its object is not there; kept: no object at all is there',
      isMended: false,
    });
    expect(await contentOf(side)).to.deep.equal(before);
  });

  it('removes no row with a bucket that lacks most objects, and says how to lift the limit', async () => {
    await fill('tenant-a', 3, { isStored: false });
    await fill('tenant-a', 17);
    const before = await contentOf(side);
    const { findings } = await checked(side, { fixes: true, removalShareMax: 0.1 });
    expect(findings.map(({ why }) => why)).to.deep.equal(
      Array(3).fill(
        'its object is not there; kept: 3 of 20 rows have no object: is this their bucket? If it is, add --removals-max 15',
      ),
    );
    expect(await contentOf(side)).to.deep.equal(before);
    expect((await checked(side, { fixes: true, removalShareMax: 0.15 })).figures.left).to.equal(0);
    expect((await checked(side)).findings).to.deep.equal([]);
  });

  it('holds for a tenant alone, whose rows are few among all', async () => {
    await fill('tenant-a', 40);
    await fill('tenant-a', 1, { isStored: false });
    await fill('tenant-b', 2, { isStored: false });
    const { findings } = await checked(side, { fixes: true, removalShareMax: 0.1 });
    const dangling = findings.filter(({ kind }) => kind === 'dangling-row');
    expect(dangling.map(({ chunk = '', isMended }) => [chunk.slice(0, 8), isMended]).sort()).to.deep.equal([
      ['tenant-a', true],
      ['tenant-b', false],
      ['tenant-b', false],
    ]);
  });

  it('removes a bounded number of rows in a run, and tells of the others', async () => {
    await fill('tenant-a', 10);
    await fill('tenant-a', 2, { isStored: false });
    const danglingMax = 1;
    const { findings } = await checked(side, { fixes: true }, { danglingMax });
    expect(
      findings.filter(({ kind }) => kind === 'dangling-row').map(({ why, isMended }) => [why, isMended]),
    ).to.deep.equal([
      ['its object is not there; too many to remember, the next run removes it', false],
      ['its object is not there', true],
    ]);
    expect((await checked(side, { fixes: true }, { danglingMax })).figures.left).to.equal(0);
    expect((await checked(side)).findings).to.deep.equal([]);
  });

  const DELETING = { fixes: true, deletesOrphans: true, removalShareMax: 0.1 };

  it('deletes no orphan if there were more than it remembers', async () => {
    await fill('tenant-a', 40);
    await fill('tenant-a', 4, { isIndexed: false });
    const before = await contentOf(side);
    const { findings } = await checked(side, DELETING, { suspects: new Suspects(3) });
    expect(findings.map(({ kind }) => kind)).to.deep.equal(Array(4).fill('orphan-object'));
    expect(findings[1]?.why).to.equal('no row names it; kept: too many orphans to count, is this their index?');
    expect(await contentOf(side)).to.deep.equal(before);
  });

  it('takes the share of the objects whose rows were looked up: not of those of dropped tables, of damaged ones, or of young ones', async () => {
    await fill('tenant-a', 1);
    await fill('tenant-a', 5, { isIndexed: false });
    await fill('tenant-a', 100, { isIndexed: false, atMs: NOON_MS - 400 * DAY_MS });
    for (let at = 0; at < 100; at += 1) {
      const { chunk } = madeChunk(side, labelSetOf(['app', `damaged-${at}`]), NOON_MS);
      await side.chunks.put(chunk.key, new Uint8Array(10));
    }
    side.chunks.nowMs = LATER.nowMs;
    for (let at = 1; at <= 100; at += 1) await fill('tenant-a', 1, { isIndexed: false, atMs: NOON_MS + at });
    const { findings, figures } = await checked(side, DELETING);
    expect([figures.dropped, figures.young]).to.deep.equal([100, 100]);
    const orphans = findings.filter(({ kind }) => kind === 'orphan-object');
    expect(orphans.map(({ isMended }) => isMended)).to.deep.equal(Array(5).fill(false));
    expect(orphans[0]?.why).to.include('5 of 6 objects are orphans');
  });

  it('deletes no orphans of a tenant of whose objects most are', async () => {
    await fill('tenant-a', 40);
    await fill('tenant-b', 2, { isIndexed: false });
    const { findings } = await checked(side, DELETING);
    expect(findings.map(({ isMended }) => isMended)).to.deep.equal([false, false]);
    expect(findings[0]?.why).to.include("2 of tenant-b's 2 objects are orphans");
  });

  it('keeps objects whose rows lie where another schema has them', async () => {
    const of = (second: string): SchemaConfig =>
      createSchemaConfig([
        { from: '2023-01-01', schema: 'v12', prefix: 'old_', periodHours: 168, rowShards: 2 },
        { from: second, schema: 'v13', prefix: 'new_', periodHours: 168, rowShards: 2 },
      ]);
    side = memorySide(of('2023-04-12'));
    for (let day = -10; day < 15; day += 1) {
      const { chunk, bytes } = madeChunk(side, labelSetOf(['app', `${day}`]), NOON_MS + day * DAY_MS);
      await side.chunks.put(chunk.key, bytes);
      await side.index.write(chunkEntries(side.schema, chunk));
    }
    const before = await contentOf(side);
    const { findings } = await checked({ ...side, schema: of('2023-04-13') }, DELETING);
    expect(findings.map(({ kind, why }) => [kind, why])).to.deep.equal([
      ['orphan-object', 'no row names it; kept: a row of new_2779 names it where the schema has none'],
    ]);
    expect(await contentOf(side)).to.deep.equal(before);
    // Nor where it has no table at all.
    const elsewhere = createSchemaConfig([
      { from: '2023-01-01', schema: 'v12', prefix: 'old_', periodHours: 168, rowShards: 2 },
    ]);
    await checked({ ...side, schema: elsewhere }, { ...DELETING, removalShareMax: 1 });
    expect((await contentOf(side)).keys).to.deep.equal(before.keys);
  });
});
