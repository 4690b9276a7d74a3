import { expect } from 'chai';
import fc from 'fast-check';
import { labelSetOf } from '../../../src/protocol/label-text.ts';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import { ChunkBound } from '../../../src/storage/chunk-bound.ts';
import { chunkKey } from '../../../src/storage/chunk-key.ts';
import { chunkEntries, type IndexedChunk } from '../../../src/storage/index-row.ts';
import { createSchemaConfig, type SchemaConfig } from '../../../src/storage/schema-config.ts';
import { SchemaIndexReader } from '../../../src/storage/schema-index-reader.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../support/property-runs.ts';
import { recordedRows } from '../../support/stores/loki-fixtures.ts';
import {
  keysOf,
  lokiReaderContract,
  matcher,
  overlaps,
  passesMatcher,
  rangeMs,
} from '../../support/stores/loki-reader-contract.ts';
import { MemoryIndexStore } from '../../support/stores/memory-index-store.ts';

/** A run is a store, some queries and a linear search: a tenth of what others do. */

describe('the index reader on what Loki wrote', () => {
  for (const dump of [
    'v9-bigtable.json',
    'v10-bigtable.json',
    'v11-bigtable.json',
    'v12-bigtable.json',
    'period-change.json',
  ]) {
    describe(dump, () => {
      const { schema, chunks, entries } = recordedRows(dump);
      const store = new MemoryIndexStore();
      const reader = new SchemaIndexReader(store, schema);
      before(() => store.write(entries));

      lokiReaderContract({ schema, chunks }, () => reader);
    });
  }
});

describe('the index reader', () => {
  const schema: SchemaConfig = createSchemaConfig([
    { from: '2024-01-01', schema: 'v11', prefix: 'a_', periodHours: 168, rowShards: 4 },
    { from: '2024-01-11', schema: 'v13', prefix: 'b_', periodHours: 24, rowShards: 16 },
  ]);
  const day = (number: number): number => Date.UTC(2024, 0, number);

  const chunkOf = (pairs: readonly string[], fromMs: number, throughMs: number, tenant = 't'): IndexedChunk => {
    const labels = labelSetOf(pairs);
    const identity = { tenant, fingerprint: labels.fingerprint, fromMs, throughMs, checksum: fromMs % 1_000 };
    return { tenant, labels, fromMs, throughMs, key: chunkKey(schema, identity) };
  };

  const readerOn = async (
    chunks: readonly IndexedChunk[],
  ): Promise<{ reader: SchemaIndexReader; store: MemoryIndexStore }> => {
    const store = new MemoryIndexStore();
    for (const chunk of chunks) await store.write(chunkEntries(schema, chunk));
    return { reader: new SchemaIndexReader(store, schema), store };
  };

  it('finds what a linear search finds, whatever the labels, matchers and times', async function () {
    this.timeout(PROPERTY_TIMEOUT_MS);
    const name = fc.constantFrom('app', 'env', 'pod');
    const value = fc.constantFrom('a', 'b', 'ab', 'ä', '\udcff');
    const times = fc.tuple(fc.integer({ min: day(8), max: day(13) }), fc.nat(2 * 86_400_000));
    const streams = fc.uniqueArray(fc.uniqueArray(fc.tuple(name, value), { selector: ([key]) => key, minLength: 1 }), {
      maxLength: 8,
      selector: (pairs) => labelSetOf(pairs.flat()).canonical,
    });
    const matchers = fc.array(
      fc.record({
        name,
        op: fc.constantFrom('=', '!=', '=~', '!~'),
        value: fc.constantFrom('', 'a', 'b', 'a|b', 'a.*', '.*', '.+', 'a|', 'x', '(a|ab)'),
      }),
      { maxLength: 3 },
    );
    await fc.assert(
      fc.asyncProperty(
        streams,
        fc.array(times, { minLength: 8, maxLength: 8 }),
        matchers,
        times,
        async (labels, at, all, query) => {
          const chunks = labels.flatMap((pairs, index) => {
            return [at[index], at[(index * 3 + 1) % 8]].flatMap((time) =>
              time ? [chunkOf(pairs.flat(), time[0], time[0] + time[1])] : [],
            );
          });
          const { reader } = await readerOn(chunks);
          const [startMs, endMs] = [query[0], query[0] + query[1]];
          const expected = chunks.filter(
            (chunk) => overlaps(chunk, startMs, endMs) && all.every((one) => passesMatcher(chunk.labels.pairs, one)),
          );
          const range = rangeMs(startMs, endMs);
          expect(await keysOf(reader, all, range, 't')).to.deep.equal(
            [...new Set(expected.map(({ key }) => key))].sort(),
          );
          const distinct = new Set(expected.map(({ key }) => key)).size;
          const bounded = (chunksMax: number) => reader.chunkRefs('t', all, range, new ChunkBound(chunksMax, range));
          expect((await bounded(Math.max(1, distinct))).count, 'within the bound').to.equal(distinct);
          if (distinct > 1) {
            const refused = await bounded(distinct - 1).catch((error: unknown) => error);
            expect(refused).to.be.instanceOf(RefusedError).with.nested.property('refusal.code', 'INVALID_QUERY');
          }
          const series = await reader.series('t', all, range);
          expect(series.map((one) => JSON.stringify(one.labels)).sort()).to.deep.equal(
            [...new Set(expected.map((chunk) => JSON.stringify(chunk.labels.pairs)))].sort(),
          );
          const again = await reader.series('t', all, range);
          expect(again, 'from the cache').to.have.deep.members([...series]);
        },
      ),
      { numRuns: propertyRuns(20) },
    );
  });

  it('rounds the start of a range down to ms and its end up', async () => {
    const chunk = chunkOf(['app', 'a'], day(5) + 10, day(5) + 20);
    const { reader } = await readerOn([chunk]);
    const [fromNs, throughNs] = [BigInt(chunk.fromMs) * 1_000_000n, BigInt(chunk.throughMs) * 1_000_000n];
    const found = async (startNs: bigint, endNs: bigint) => (await reader.chunkRefs('t', [], { startNs, endNs })).count;
    expect(await found(throughNs + 999_999n, throughNs + 2_000_000n)).to.equal(1);
    expect(await found(throughNs + 1_000_000n, throughNs + 2_000_000n)).to.equal(0);
    expect(await found(fromNs - 2_000_000n, fromNs - 999_999n)).to.equal(1);
    expect(await found(fromNs - 2_000_000n, fromNs - 1_000_000n)).to.equal(0);
  });

  it('says of a chunk what its key says', async () => {
    const chunk = chunkOf(['app', 'a'], day(12) + 7, day(12) + 20);
    const { reader } = await readerOn([chunk]);
    const [ref] = await reader.chunkRefs('t', [], rangeMs(day(1), day(20)));
    expect(ref).to.deep.equal({
      key: chunk.key,
      tenant: 't',
      fingerprint: chunk.labels.fingerprint,
      fromMs: chunk.fromMs,
      throughMs: chunk.throughMs,
      checksum: 7,
    });
  });

  it('names a chunk once that is on many days and in two periods', async () => {
    const chunk = chunkOf(['app', 'a'], day(8), day(14));
    const { reader } = await readerOn([chunk]);
    expect(await keysOf(reader, [], rangeMs(day(1), day(20)), 't')).to.deep.equal([chunk.key]);
    for (const at of [8, 10, 11, 13]) {
      expect(await keysOf(reader, [], rangeMs(day(at) + 5, day(at) + 6), 't')).to.deep.equal([chunk.key]);
    }
  });

  it('asks only for tables that are there, over any range', async () => {
    const { reader, store } = await readerOn([chunkOf(['app', 'a'], day(12), day(12) + 1)]);
    store.lookups.length = 0;
    const range = { startNs: -(2n ** 63n), endNs: 2n ** 63n - 1n };
    expect((await reader.chunkRefs('t', [matcher('app', '=', 'a')], range)).count).to.equal(1);
    expect(store.lookups).to.have.length(16 + 1);
  });

  it('looks for a value by its hash, and for further labels only in the shards of what is left', async () => {
    const chunks = Array.from({ length: 50 }, (_, index) =>
      chunkOf(['app', `a${index}`, 'env', 'x'], day(12), day(12) + 1),
    );
    const { reader, store } = await readerOn(chunks);
    store.lookups.length = 0;
    const matchers = [matcher('env', '=~', 'x.*'), matcher('app', '=', 'a7')];
    expect((await reader.chunkRefs('t', matchers, rangeMs(day(12), day(13)))).count).to.equal(1);
    const prefixes = store.lookups.filter(({ rangePrefix }) => rangePrefix !== '');
    const wholeRows = store.lookups.filter(
      ({ hashValue, rangePrefix }) => hashValue.endsWith(':env') && rangePrefix === '',
    );
    expect([prefixes.length, wholeRows.length]).to.deep.equal([16, 1]);
  });

  it('refuses a query none of whose matchers narrows the rows to what a tenant may read of one', async () => {
    const chunks = Array.from({ length: 40 }, (_, index) =>
      chunkOf(['app', 'a', 'pod', `p${index}`], day(5), day(5) + 1),
    );
    const { store } = await readerOn([...chunks, chunkOf(['app', 'b', 'pod', 'p0'], day(5), day(5) + 1, 'other')]);
    const reader = new SchemaIndexReader(store, schema, (tenant) => (tenant === 't' ? 5 : 0));
    const range = rangeMs(day(5), day(6));
    const countOf = async (matchers: Parameters<typeof reader.chunkRefs>[1], tenant = 't') =>
      await reader.chunkRefs(tenant, matchers, range).then(
        ({ count }) => count,
        (error: RefusedError) => `${error.refusal.code} ${error.message}`,
      );
    const tooMany = /^INVALID_QUERY cardinality limit exceeded for logs\{app\}; \d+ entries, more than limit of 5$/;
    expect(await countOf([matcher('app', '=', 'a')])).to.match(tooMany);
    expect(await countOf([matcher('app', '!=', 'b')])).to.match(tooMany);
    expect(await countOf([])).to.match(/ logs\{\};/);
    expect(await countOf([matcher('app', '=', 'a'), matcher('pod', '=', 'p3')])).to.equal(1);
    expect(await countOf([matcher('app', '=', 'c')])).to.equal(0);
    expect(await countOf([matcher('app', '=~', '.+')], 'other')).to.equal(1);
    const values = await reader.labelValues('t', 'pod', [], range).catch((error: Error) => error.message);
    expect(values).to.match(/ logs\{pod\};/);
  });

  it('refuses it too where nothing of what it asks for is in the part of a row that is read', async () => {
    const chunks = Array.from({ length: 1_500 }, (_, index) =>
      chunkOf(['app', 'a', 'pod', `p${index}`], day(5), day(5) + 1),
    );
    const { store } = await readerOn(chunks);
    const reader = new SchemaIndexReader(store, schema, () => 100);
    const range = rangeMs(day(5), day(6));
    const codeOf = async (asked: Promise<unknown>): Promise<string> =>
      await asked.then(
        () => 'answered',
        (error: RefusedError) => error.refusal.code,
      );
    const codes = new Map<string, number>();
    for (let pod = 0; pod < 1_500; pod += 100) {
      for (const matchers of [
        [matcher('pod', '=~', `p${pod}x*`)],
        [matcher('app', '=', 'a'), matcher('pod', '=~', `p${pod}x*`)],
      ]) {
        const code = [
          await codeOf(reader.chunkRefs('t', matchers, range)),
          await codeOf(reader.series('t', matchers, range)),
          await codeOf(reader.labelValues('t', 'app', matchers, range)),
        ].join();
        codes.set(code, (codes.get(code) ?? 0) + 1);
      }
    }
    expect(codes).to.deep.equal(new Map([['INVALID_QUERY,INVALID_QUERY,INVALID_QUERY', 30]]));
  });

  it('reads no more rows of chunks than it takes to know that there are too many', async () => {
    const chunks = [day(5), day(6), day(7), day(8), day(12)].flatMap((at) =>
      Array.from({ length: 400 }, (_, index) => chunkOf(['app', 'a', 'pod', `p${index}`], at, at + 1)),
    );
    const { reader, store } = await readerOn(chunks);
    const range = rangeMs(day(1), day(20));
    const chunkLookups = () => store.lookups.filter(({ rangeStart }) => rangeStart !== undefined).length;
    await reader.chunkRefs('t', [], range);
    expect(chunkLookups(), 'without a bound').to.be.above(2_000);
    store.lookups.length = 0;
    const refused = await reader.chunkRefs('t', [], range, new ChunkBound(50, range)).catch((error: Error) => error);
    expect(refused).to.be.instanceOf(RefusedError);
    expect((refused as Error).message).to.contain('limit: 50 chunks, matched: 51 chunks');
    for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
    // And those that were under way, of four days.
    expect(chunkLookups()).to.be.within(51, 300);
    const elsewhere = new ChunkBound(50, rangeMs(day(13), day(14)));
    expect((await reader.chunkRefs('t', [], range, elsewhere)).count, 'chunks that do not count').to.equal(2_000);
  });

  it('asks no chunk rows for the series of days that are in the range as a whole', async () => {
    const { reader, store } = await readerOn([chunkOf(['app', 'a'], day(12) - 1, day(14))]);
    const chunkLookups = async (startMs: number, endMs: number): Promise<string[]> => {
      store.lookups.length = 0;
      const series = await reader.series('t', [], rangeMs(startMs, endMs));
      expect(series).to.have.length(1);
      return store.lookups
        .map(({ table, rangeStart }) => (rangeStart === '' ? '' : table))
        .filter((table) => table !== '');
    };
    expect(await chunkLookups(day(12), day(14) - 1)).to.deep.equal([]);
    const [second, third] = [`b_${day(12) / 86_400_000}`, `b_${day(13) / 86_400_000}`];
    expect(await chunkLookups(day(12) + 1, day(13) - 1)).to.deep.equal([second]);
    expect(await chunkLookups(day(13), day(14) - 2)).to.deep.equal([third]);
  });

  it('ignores cells of range types it does not know', async () => {
    const chunk = chunkOf(['app', 'a'], day(12), day(12) + 1);
    const { reader, store } = await readerOn([chunk]);
    const foreign = store.entries().map((entry) => {
      return { ...entry, rangeValue: `${entry.rangeValue.slice(0, -2)}1\0`, value: 'foreign' };
    });
    await store.write(foreign);
    await store.write(foreign.map((entry) => ({ ...entry, rangeValue: 'free form' })));
    const range = rangeMs(day(12), day(13));
    expect(await keysOf(reader, [matcher('app', '!=', 'x')], range, 't')).to.deep.equal([chunk.key]);
    expect(await reader.labelNames('t', [], range)).to.deep.equal(['app']);
    expect(await reader.labelValues('t', 'app', [], range)).to.deep.equal(['a']);
    expect((await reader.series('t', [], range)).map(({ labels }) => labels)).to.deep.equal([['app', 'a']]);
  });

  it('fails rather than leave out a chunk row that it cannot read', async () => {
    const chunk = { ...chunkOf(['app', 'a'], day(12), day(12) + 1), key: 'no chunk key' };
    const { reader } = await readerOn([chunk]);
    const failure = await reader.chunkRefs('t', [], rangeMs(day(12), day(13))).catch((error: unknown) => error);
    expect(failure).to.be.instanceOf(RefusedError).with.nested.property('refusal.code', 'INTERNAL');
  });

  it('passes on what the store refuses, and reads nothing more', async () => {
    const { reader, store } = await readerOn([chunkOf(['app', 'a'], day(12), day(12) + 1)]);
    store.lookups.length = 0;
    const refused = new RefusedError({ code: 'STORAGE_UNAVAILABLE', text: 'gone' });
    store.before = () => {
      throw refused;
    };
    const failure = await reader
      .chunkRefs('t', [matcher('app', '=~', '.+')], rangeMs(day(1), day(20)))
      .catch((error: unknown) => error);
    expect(failure).to.equal(refused);
    const lookupCount = store.lookups.length;
    await new Promise(setImmediate);
    expect(store.lookups).to.have.length(lookupCount);
  });

  it('limits names and values to the series that match', async () => {
    const { reader } = await readerOn([
      chunkOf(['app', 'a', 'pod', '1'], day(12), day(12) + 1),
      chunkOf(['app', 'b', 'zone', 'z'], day(12), day(12) + 1),
      chunkOf(['app', 'a', 'pod', '2'], day(12), day(12) + 1, 'other'),
    ]);
    const range = rangeMs(day(12), day(13));
    const isA = [matcher('app', '=', 'a')];
    expect([...(await reader.labelNames('t', isA, range))].sort()).to.deep.equal(['app', 'pod']);
    expect(await reader.labelValues('t', 'pod', isA, range)).to.deep.equal(['1']);
    expect(await reader.labelValues('t', 'zone', isA, range)).to.deep.equal([]);
    expect([...(await reader.labelValues('t', 'app', [], range))].sort()).to.deep.equal(['a', 'b']);
  });

  it('gives no labels to a series whose rows are incomplete', async () => {
    const chunk = chunkOf(['app', 'a', 'pod', '1'], day(12), day(12) + 1);
    const { reader, store } = await readerOn([chunk]);
    await store.delete(store.entries().filter(({ hashValue }) => hashValue.endsWith(':pod')));
    const [series] = await reader.series('t', [], rangeMs(day(12), day(13)));
    expect(series).to.have.property('labels', undefined);
  });
});
