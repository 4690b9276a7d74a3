import { expect } from 'chai';
import { labelSetOf } from '../../../src/protocol/label-text.ts';
import { chunkEntries } from '../../../src/storage/index-row.ts';
import { createSchemaConfig } from '../../../src/storage/schema-config.ts';
import { checked, contentOf, madeChunk } from '../../support/check-sides.ts';
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
});
