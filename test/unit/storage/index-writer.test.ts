import { expect } from 'chai';
import { labelSetOf } from '../../../src/protocol/label-text.ts';
import { chunkEntries, type IndexedChunk } from '../../../src/storage/index-row.ts';
import { commitChunk, WrittenSeries } from '../../../src/storage/index-writer.ts';
import { dayBuckets, defaultSchemaConfig } from '../../../src/storage/schema-config.ts';
import { MemoryIndexStore } from '../../support/stores/memory-index-store.ts';

const schema = defaultSchemaConfig();
const noon = Date.UTC(2024, 4, 1, 12);
const labels = labelSetOf(['app', 'web', 'env', 'dev']);

const chunkAt = (fromMs: number, throughMs = fromMs + 1_000, overrides: Partial<IndexedChunk> = {}): IndexedChunk => {
  const key = `t/1/${fromMs.toString(16)}:${throughMs.toString(16)}:7`;
  return { tenant: 't', labels, fromMs, throughMs, key, ...overrides };
};

describe('writing the index of a chunk', () => {
  let store: MemoryIndexStore;
  let written: WrittenSeries;
  let writeSizes: number[];

  beforeEach(() => {
    store = new MemoryIndexStore();
    written = new WrittenSeries(() => 0);
    writeSizes = [];
    const write = store.write.bind(store);
    store.write = async (entries) => {
      writeSizes.push(entries.length);
      await write(entries);
    };
  });

  const write = (chunk: IndexedChunk, segments: readonly string[] = []) =>
    commitChunk(store, schema, segments, chunk, written);

  it('writes all rows of the first chunk, in one write', async () => {
    const chunk = chunkAt(noon);
    await write(chunk);
    expect(writeSizes).to.deep.equal([5]);
    expect(store.entries()).to.have.deep.members(chunkEntries(schema, chunk));
  });

  it('writes only the chunk row of the next ones on the same day', async () => {
    await write(chunkAt(noon));
    await write(chunkAt(noon + 5_000));
    expect(writeSizes).to.deep.equal([5, 1]);
  });

  it('writes the label rows again for another day, tenant or series', async () => {
    await write(chunkAt(noon));
    await write(chunkAt(noon + 86_400_000));
    await write(chunkAt(noon, noon + 1, { tenant: 'u' }));
    await write(chunkAt(noon, noon + 1, { labels: labelSetOf(['app', 'api']) }));
    expect(writeSizes).to.deep.equal([5, 5, 5, 4]);
  });

  it('writes the label rows of the second day alone when a chunk goes over midnight', async () => {
    await write(chunkAt(noon));
    const chunk = chunkAt(noon + 1_000, noon + 86_400_000);
    await write(chunk);
    expect(writeSizes).to.deep.equal([5, 1 + 5]);
    const held = new Set(store.entries().map((entry) => JSON.stringify(entry)));
    for (const entry of chunkEntries(schema, chunk)) expect(held.has(JSON.stringify(entry))).to.equal(true);
  });

  it('believes no row durable whose write failed', async () => {
    store.before = () => {
      throw new Error('disk full');
    };
    const failure = await write(chunkAt(noon)).catch((error: unknown) => error);
    expect(failure).to.have.property('message', 'disk full');
    store.before = undefined;
    await write(chunkAt(noon));
    expect(writeSizes).to.deep.equal([5, 5]);
    expect(store.entries()).to.have.length(5);
  });

  it('says which segments are in another chunk, and takes an attempt that came through for its own', async () => {
    const [first, second] = [chunkAt(noon), chunkAt(noon + 1)];
    expect([...(await write(first, ['a', 'b']))]).to.deep.equal([]);
    expect([...(await write(first, ['a', 'b']))]).to.deep.equal([]);
    expect([...(await write(second, ['b', 'c']))]).to.deep.equal([['b', first.key]]);
    expect([...(await write(first, ['a', 'c'])).keys()]).to.deep.equal(['a']);
    expect(await store.committed({ stream: '', segment: 'c' })).to.equal(undefined);
  });

  it('writes the label rows of both when two first chunks come at once: neither is durable yet', async () => {
    await Promise.all([write(chunkAt(noon)), write(chunkAt(noon + 1))]);
    expect(writeSizes).to.deep.equal([5, 5]);
  });
});

describe('written series', () => {
  const [first, second] = dayBuckets(schema, noon, noon + 86_400_000);

  it('are bounded: the oldest day is forgotten', () => {
    if (!first || !second) throw new Error('two days');
    const written = new WrittenSeries(() => 0, 4);
    for (const series of ['a', 'b', 'c']) written.add(first, 't', series);
    written.add(second, 't', 'a');
    written.add(second, 't', 'a');
    expect(written.size).to.equal(4);
    written.add(second, 't', 'b');
    expect(written.size).to.equal(2);
    expect(written.has(first, 't', 'a')).to.equal(false);
    expect(written.has(second, 't', 'a')).to.equal(true);
    expect(written.has(second, 'u', 'a')).to.equal(false);
  });

  it('start anew when one day alone is too many', () => {
    if (!first) throw new Error('a day');
    const written = new WrittenSeries(() => 0, 3);
    for (let series = 0; series < 10; series++) {
      written.add(first, 't', `${series}`);
      expect(written.size).to.be.at.most(3);
      expect(written.has(first, 't', `${series}`)).to.equal(true);
    }
  });
});
