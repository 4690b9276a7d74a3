import { expect } from 'chai';
import fc from 'fast-check';
import { crc32c } from '../../../src/chunk/checksum.ts';
import { encodeChunkMetadata } from '../../../src/chunk/chunk-metadata.ts';
import { decodeChunk } from '../../../src/chunk/chunk-object.ts';
import { compressSnappyFrames } from '../../../src/chunk/snappy-framing.ts';
import { ChunkRemoval } from '../../../src/compaction/chunk-removal.ts';
import { labelSetOf } from '../../../src/protocol/label-text.ts';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import { chunkKey } from '../../../src/storage/chunk-key.ts';
import { ChunkMarks } from '../../../src/storage/chunk-marks.ts';
import { chunkEntries, type IndexedChunk, RANGE_TYPES, seriesIdOf } from '../../../src/storage/index-row.ts';
import type { IndexEntry } from '../../../src/storage/index-store.ts';
import { createSchemaConfig, type SchemaConfig } from '../../../src/storage/schema-config.ts';
import { SeriesLabels } from '../../../src/storage/series-labels.ts';
import { ManualClock } from '../../support/clock.ts';
import {
  copied,
  lokiObject,
  type MemorySide,
  memorySide,
  putLoki,
  refOf,
  rowTexts,
  targetChunk,
  textsOf,
  verified,
} from '../../support/copy-sides.ts';
import { ROW_DUMPS, recordedRows } from '../../support/stores/loki-fixtures.ts';

const period = (from: string, schema: string, prefix = 'index_', periodHours = 168, rowShards = 16) => {
  return { from, schema, prefix, periodHours, rowShards };
};

const V13 = createSchemaConfig([period('2020-01-01', 'v13')]);
/** Loki's chunks are of 11, 12 and 13 April 2023: some lie across these borders. */
const PERIODS = createSchemaConfig([
  period('2020-01-01', 'v9', 'nine_', 24),
  period('2023-04-12', 'v12', 'twelve', 0, 1),
  period('2023-04-13', 'v13', 'thirteen_', 720),
]);
const TARGETS: Readonly<Record<string, SchemaConfig>> = { 'one period of v13': V13, 'three periods': PERIODS };

const isChunkRow = ({ rangeValue }: IndexEntry): boolean => rangeValue.endsWith(`\0${RANGE_TYPES.chunk}\0`);

/** The target must never have a row of a chunk without its object, nor without what finds its series. */
const guardOrder = (target: MemorySide): void => {
  const write = target.index.write.bind(target.index);
  target.index.write = async (entries) => {
    for (const { rangeValue } of entries.filter(isChunkRow)) {
      const key = rangeValue.split('\0')[2] ?? '';
      if (!target.chunks.objects.has(key)) throw new Error(`a row before its object: ${key}`);
    }
    await write(entries);
  };
};

/** The same chunk with other labels. */
const relabelled = (bytes: Uint8Array, metric: readonly string[]): Buffer => {
  const { tenant, fingerprint, fromMs, throughMs } = decodeChunk(bytes);
  const metadata = compressSnappyFrames(encodeChunkMetadata({ tenant, fingerprint, fromMs, throughMs, metric }));
  const size = Buffer.alloc(4);
  size.writeUInt32BE(4 + metadata.length);
  return Buffer.concat([size, metadata, bytes.subarray(Buffer.from(bytes).readUInt32BE(0))]);
};

describe('copying chunks between stores', () => {
  let source: MemorySide;
  let chunks: readonly IndexedChunk[];

  const sourceOf = async (dump: string): Promise<void> => {
    source = memorySide(recordedRows(dump).schema);
    chunks = await putLoki(source, dump);
  };

  beforeEach(() => sourceOf('v11-bigtable.json'));

  const expectAllAt = (target: MemorySide): void => {
    expect(textsOf(target.index.entries())).to.deep.equal(rowTexts(target.schema, chunks));
    const wanted = new Map(chunks.map(({ key }) => [targetChunk(target.schema, { ...chunkNamed(key) }).key, key]));
    expect(new Set(target.chunks.objects.keys())).to.deep.equal(new Set(wanted.keys()));
    for (const [key, bytes] of target.chunks.objects) expect(Buffer.compare(bytes, lokiObject(key)), key).to.equal(0);
  };

  const chunkNamed = (key: string): IndexedChunk => {
    const chunk = chunks.find((one) => one.key === key);
    if (!chunk) throw new Error(`no chunk ${key}`);
    return chunk;
  };

  for (const dump of ROW_DUMPS) {
    for (const [name, schema] of Object.entries(TARGETS)) {
      it(`writes each chunk of a Loki with the rows of the target's schema: ${dump} to ${name}`, async () => {
        await sourceOf(dump);
        const target = memorySide(schema);
        guardOrder(target);
        const { figures } = await copied(source, target);
        expect(figures).to.include({ copied: chunks.length, there: 0, unnamed: 0, leftOut: 0 });
        expectAllAt(target);
      });
    }
  }

  it('keeps the key, in the form that the period of the chunk’s first ms has at the target', async () => {
    const target = memorySide(PERIODS);
    await copied(source, target);
    const keys = [...target.chunks.objects.keys()];
    const beforeV12 = Date.UTC(2023, 3, 12);
    expect(keys.some((key) => key.split('/').length === 2)).to.equal(true);
    for (const chunk of chunks) {
      const form =
        chunk.fromMs < beforeV12 ? chunk.key : chunk.key.replace(/:(?=-?[0-9a-f]+:-?[0-9a-f]+:[0-9a-f]+$)/, '/');
      expect(keys).to.include(form);
    }
  });

  it('goes back and forth to the same rows and objects', async () => {
    const [there, back] = [memorySide(PERIODS), memorySide(source.schema)];
    await copied(source, there);
    await copied(there, back);
    expectAllAt(back);
  });

  it('leaves out what is there, without reading more than one object a stream or writing anything', async () => {
    const target = memorySide(PERIODS);
    await copied(source, target);
    const [reads, writes]: [string[], string[]] = [[], []];
    source.chunks.before = (_, key) => void reads.push(key);
    target.chunks.before = (_, key) => void writes.push(key);
    target.index.write = async () => {
      throw new Error('a row was written again');
    };
    const { figures } = await copied(source, target, { concurrency: 1 });
    expect(figures).to.include({ copied: 0, there: chunks.length, copiedBytes: 0 });
    expect(writes).to.deep.equal([]);
    expect(reads).to.have.length(chunks.length);
  });

  it('asks for the chunks of a known stream together, by their rows alone', async () => {
    const [first] = chunks;
    if (!first) throw new Error('no chunk');
    source = memorySide(V13);
    const target = memorySide(V13);
    const own = targetChunk(V13, first);
    // 2,500 later keys of its stream, whose objects would be damaged if anybody read them.
    const later = Array.from({ length: 2_500 }, (_, index) => {
      const [fromMs, throughMs] = [first.fromMs + 1 + index, first.throughMs + 1 + index];
      return { ...first, fromMs, throughMs, key: chunkKey(V13, { ...refOf(first.key), fromMs, throughMs }) };
    });
    const entries = [own, ...later].flatMap((chunk) => chunkEntries(V13, chunk));
    await Promise.all([source.index.write(entries), target.index.write(entries)]);
    for (const { key } of later) source.chunks.objects.set(key, Buffer.of());
    source.chunks.objects.set(own.key, lokiObject(own.key));
    // Only of the first page nothing was known before.
    expect((await copied(source, target)).figures).to.include({ there: 1 + 1_501, leftOut: 999 });
  });

  it('copies the rest after an end at any operation, and never has a row without its object', async () => {
    const operations = 2 * chunks.length;
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: operations }),
        fc.integer({ min: 1, max: 8 }),
        async (end, concurrency) => {
          const target = memorySide(PERIODS);
          guardOrder(target);
          let count = 0;
          const crash = (): void => {
            count += 1;
            if (count >= end) throw new Error('the end');
          };
          target.chunks.before = crash;
          const { write } = target.index;
          target.index.write = async (entries) => {
            // A store that is not atomic: a part of it comes through.
            const part = count + 1 >= end ? entries.slice(0, entries.length / 2) : entries;
            await write.call(target.index, part);
            crash();
          };
          const ended = await copied(source, target, { concurrency }).then(
            () => 'whole',
            (error: Error) => error.message,
          );
          expect(['whole', 'the end']).to.include(ended);
          target.chunks.before = undefined;
          target.index.write = write;
          const { figures } = await copied(source, target);
          expect(figures.copied + figures.there).to.equal(chunks.length);
          expectAllAt(target);
        },
      ),
    );
  });

  it('begins nothing new once it is to end, and finishes what is under way', async () => {
    const target = memorySide(V13);
    const ending = new AbortController();
    target.chunks.before = () => {
      if (target.chunks.objects.size === 4) ending.abort();
    };
    const { figures } = await copied(source, target, { concurrency: 2 }, ending.signal);
    expect(figures.copied).to.be.within(5, 6);
    expect(target.chunks.objects.size).to.equal(figures.copied);
    expect((await verified(source, target)).figures).to.include({ equal: figures.copied });
  });

  it('copies no object that no row of the source names', async () => {
    const [orphan, ...named] = chunks;
    if (!orphan) throw new Error('no chunk');
    await source.index.delete(source.index.entries().filter(({ rangeValue }) => rangeValue.includes(orphan.key)));
    const target = memorySide(V13);
    expect((await copied(source, target)).figures).to.include({ copied: named.length, unnamed: 1 });
    expect([...target.chunks.objects.keys()]).to.not.include(targetChunk(V13, orphan).key);
  });

  it('does not read the objects of tables that were dropped', async () => {
    await source.index.delete(source.index.entries());
    const tables = async (): Promise<readonly string[]> => [];
    const target = memorySide(V13);
    source.chunks.before = (_, key) => {
      throw new Error(`read ${key}`);
    };
    const { figures } = await copied({ ...source, index: Object.assign(source.index, { tables }) }, target);
    expect(figures).to.include({ copied: 0, unnamed: chunks.length });
  });

  it('copies a chunk that one day of several still names, with all its rows', async () => {
    const across = chunks.find(
      ({ fromMs, throughMs }) => Math.floor(fromMs / 86_400_000) < Math.floor(throughMs / 86_400_000),
    );
    if (!across) throw new Error('no chunk over midnight');
    const rows = source.index.entries().filter(({ rangeValue }) => rangeValue.includes(`\0${across.key}\0`));
    expect(rows.length).to.be.greaterThan(1);
    await source.index.delete(rows.slice(1));
    const target = memorySide(V13);
    await copied(source, target);
    expectAllAt(target);
  });

  it('leaves out what is damaged, says so, and copies the others', async () => {
    const [flipped, cut, moved] = chunks;
    if (!flipped || !cut || !moved) throw new Error('no chunks');
    source.chunks.objects.set(
      flipped.key,
      lokiObject(flipped.key).map((byte, at) => (at === 200 ? byte ^ 1 : byte)),
    );
    source.chunks.objects.set(cut.key, Buffer.of());
    const ofOther = `intruder/${moved.key.slice(moved.key.indexOf('/') + 1)}`;
    source.chunks.objects.set(ofOther, lokiObject(moved.key));
    const endless = moved.key.replace(/:[0-9a-f]+:([0-9a-f]+)$/, ':ffffffffffff:$1');
    source.chunks.objects.set(endless, lokiObject(moved.key));
    const target = memorySide(V13);
    const { figures, leftOut } = await copied(source, target);
    expect(figures).to.include({ copied: chunks.length - 2, leftOut: 4 });
    expect([...leftOut]).to.have.deep.members([
      [flipped.key, 'invalid chunk checksum'],
      [cut.key, 'invalid chunk checksum'],
      [ofOther, `it belongs to the tenant ${moved.tenant}`],
      [endless, 'the times of its key are too far apart, or in no order'],
    ]);
  });

  it('leaves out what the target cannot have, says so, and copies the others', async () => {
    const target = memorySide(V13);
    const [other = '', unfit = ''] = chunks.map((chunk) => targetChunk(V13, chunk).key);
    const texts = ['there are other bytes', 'no object key'];
    target.chunks.before = (_, key) => {
      if (key === other) throw new RefusedError({ code: 'INTERNAL', text: texts[0] ?? '' });
      if (key === unfit) throw new RefusedError({ code: 'BAD_REQUEST', text: texts[1] ?? '' });
    };
    const { figures, leftOut } = await copied(source, target);
    expect(figures).to.include({ copied: chunks.length - 2, leftOut: 2 });
    expect([...leftOut.values()].sort()).to.deep.equal(texts.toSorted());
    target.chunks.before = () => {
      throw new RefusedError({ code: 'STORAGE_UNAVAILABLE', text: 'away' });
    };
    const ended = await copied(source, target).catch((error: unknown) => error);
    expect(ended).to.be.instanceOf(RefusedError).with.property('message', 'away');
  });

  it('counts what was deleted while it was walked, and what is no chunk', async () => {
    const [gone] = chunks;
    if (!gone) throw new Error('no chunk');
    source.chunks.objects.set('loki_cluster_seed.json', Buffer.from('{}'));
    source.chunks.before = (operation, key) => {
      if (operation === 'get' && key === gone.key) source.chunks.objects.delete(key);
    };
    const { figures } = await copied(source, memorySide(V13));
    expect(figures).to.include({ copied: chunks.length - 1, gone: 1, others: 1 });
  });

  it('takes only the tenants and the time that are asked for, whole chunks', async () => {
    const tenants = [...new Set(chunks.map(({ tenant }) => tenant))];
    expect(tenants.length).to.be.greaterThan(1);
    const some = [...chunks].sort((a, b) => a.fromMs - b.fromMs)[3];
    if (!some) throw new Error('no chunk');
    for (const scope of [
      { tenants: [tenants[1] ?? ''], fromMs: Number.NEGATIVE_INFINITY, throughMs: Number.POSITIVE_INFINITY },
      { tenants: [], fromMs: some.throughMs, throughMs: some.throughMs },
      { tenants: [some.tenant, some.tenant], fromMs: Number.NEGATIVE_INFINITY, throughMs: some.fromMs },
    ]) {
      const target = memorySide(V13);
      await copied(source, target, { scope });
      const expected = chunks.filter(
        ({ tenant, fromMs, throughMs }) =>
          (scope.tenants.length === 0 || scope.tenants.includes(tenant)) &&
          fromMs <= scope.throughMs &&
          throughMs >= scope.fromMs,
      );
      expect(expected).to.not.be.empty;
      expect(new Set(target.chunks.objects.keys())).to.deep.equal(
        new Set(expected.map((one) => targetChunk(V13, one).key)),
      );
    }
  });

  it('leaves out what is past the retention of the target’s tables, and writes no row of their days', async () => {
    const daily = createSchemaConfig([period('2020-01-01', 'v13', 'day_', 24)]);
    const kept = `day_${Date.UTC(2023, 3, 12) / 86_400_000}`;
    const target = { ...memorySide(daily), isKept: (table: string) => table >= kept };
    const { figures } = await copied(source, target);
    const lastDayOf = ({ throughMs }: IndexedChunk): string => `day_${Math.floor(throughMs / 86_400_000)}`;
    const wanted = chunks.filter((chunk) => lastDayOf(chunk) >= kept);
    expect(wanted.length).to.be.within(1, chunks.length - 1);
    expect(figures).to.include({ copied: wanted.length, expired: chunks.length - wanted.length, leftOut: 0 });
    expect([...target.chunks.objects.keys()].sort()).to.deep.equal(
      wanted.map((chunk) => targetChunk(daily, chunk).key).sort(),
    );
    const rows = rowTexts(daily, wanted).filter((text) => (JSON.parse(text) as string[])[0]! >= kept);
    expect(textsOf(target.index.entries())).to.deep.equal(rows);
    expect(
      wanted.some(({ fromMs }) => `day_${Math.floor(fromMs / 86_400_000)}` < kept),
      'one lies across',
    ).to.equal(true);
    expect((await copied(source, target)).figures).to.include({
      copied: 0,
      there: wanted.length,
      expired: figures.expired,
    });
    const { figures: compared, problems } = await verified(source, target);
    expect([...problems.keys()]).to.deep.equal([]);
    expect(compared).to.include({ equal: wanted.length, different: 0, expired: figures.expired });
  });

  it('says what it would copy without writing anything', async () => {
    const target = memorySide(V13);
    const { figures } = await copied(source, target, { isDryRun: true });
    expect(figures).to.include({ copied: chunks.length, there: 0, copiedBytes: 0 });
    expect(target.chunks.objects.size + target.index.entries().length).to.equal(0);
    await copied(source, target, { scope: { tenants: ['tenant-b'], fromMs: 0, throughMs: Date.UTC(2030, 1) } });
    const rest = (await copied(source, target, { isDryRun: true })).figures;
    expect(rest.there).to.be.greaterThan(0);
    expect(rest.copied + rest.there).to.equal(chunks.length);
  });

  it('writes the rows alone where both sides have one chunk store', async () => {
    const target = { ...memorySide(source.schema), chunks: source.chunks };
    const before = new Map(source.chunks.objects);
    source.chunks.before = (operation) => {
      if (operation === 'put') throw new Error('an object was put');
    };
    await copied(source, target, { sharesChunks: true });
    expect(textsOf(target.index.entries())).to.deep.equal(rowTexts(source.schema, chunks));
    expect(source.chunks.objects).to.deep.equal(before);
  });

  it('writes objects that are missing below their rows only when all is asked for', async () => {
    const target = memorySide(V13);
    await copied(source, target);
    const [lost = ''] = target.chunks.objects.keys();
    target.chunks.objects.delete(lost);
    expect((await copied(source, target)).figures.copied).to.equal(0);
    expect((await verified(source, target)).figures).to.include({ equal: chunks.length - 1, different: 1 });
    await copied(source, target, { isAgain: true });
    expectAllAt(target);
  });

  it('tells two streams apart that share a fingerprint', async () => {
    const [one] = chunks;
    if (!one) throw new Error('no chunk');
    const ref = refOf(one.key);
    const bytes = relabelled(lokiObject(one.key), ['__name__', 'logs', 'app', 'twin']);
    const keyAt = (fromMs: number, checksum: number): string => {
      return chunkKey(source.schema, { ...ref, fromMs, throughMs: fromMs, checksum });
    };
    // On another page than the chunks of the other stream: whose labels are known by then.
    for (let at = 1; at <= 1_000; at++) source.chunks.objects.set(keyAt(ref.fromMs + at, 0), Buffer.of());
    const fromMs = ref.fromMs + 1_001;
    const key = keyAt(fromMs, crc32c(bytes));
    const twin = { ...one, fromMs, throughMs: fromMs, labels: labelSetOf(['app', 'twin']), key };
    source.chunks.objects.set(key, bytes);
    await source.index.write(chunkEntries(source.schema, twin));
    const target = memorySide(V13);
    for (const expected of [
      { copied: chunks.length + 1, there: 0 },
      { copied: 0, there: chunks.length + 1 },
    ]) {
      expect((await copied(source, target)).figures).to.include({ ...expected, leftOut: 1_000 });
      expect(textsOf(target.index.entries())).to.deep.equal(rowTexts(V13, [...chunks, twin]));
    }
  });

  it('leaves out what the target is about to remove, until it is gone there: it would be removed again', async () => {
    const target = memorySide(V13);
    await copied(source, target);
    const clock = new ManualClock();
    const marks = new ChunkMarks(target.index, V13);
    const labels = new SeriesLabels(target.index);
    const removal = new ChunkRemoval({ ...target, marks, labels, clock, delayMs: 1_000 });
    const sweep = (): Promise<number> => removal.sweep(new AbortController().signal);
    const removed = targetChunk(V13, chunks[0] as IndexedChunk);
    await removal.remove([{ ref: refOf(removed.key), series: seriesIdOf(removed.labels) }]);
    const { figures, leftOut } = await copied(source, target);
    expect([...leftOut.keys()]).to.deep.equal([chunks[0]?.key]);
    expect(figures).to.include({ copied: 0, leftOut: 1, there: chunks.length - 1 });
    clock.advance(1_000);
    expect(await sweep()).to.equal(1);
    expect((await copied(source, target)).figures).to.include({ copied: 1, leftOut: 0 });
    clock.advance(1_000);
    expect(await sweep()).to.equal(0);
    expect((await verified(source, target)).figures).to.include({ equal: chunks.length, different: 0 });
  });

  it('does not care what the target has committed', async () => {
    const target = memorySide(source.schema);
    for (const { key } of chunks) await target.index.commit([`segment of ${key}`], key, []);
    expect((await copied(source, target)).figures.copied).to.equal(chunks.length);
    expectAllAt(target);
    const commits: string[] = [];
    for await (const { segment } of target.index.commits()) commits.push(segment);
    expect(commits).to.have.length(chunks.length);
  });

  describe('compared afterwards', () => {
    let target: MemorySide;
    beforeEach(async () => {
      target = memorySide(PERIODS);
      await copied(source, target);
    });

    it('is equal, with counts of rows by table', async () => {
      const { figures, problems } = await verified(source, target);
      expect([...problems]).to.deep.equal([]);
      expect(figures).to.include({ equal: chunks.length, different: 0, damaged: 0, unnamed: 0 });
      const rows = target.index.entries();
      expect([...figures.tables.keys()].sort()).to.deep.equal([...new Set(rows.map(({ table }) => table))].sort());
      for (const [table, counts] of figures.tables) {
        const count = rows.filter((row) => row.table === table && isChunkRow(row)).length;
        expect(counts.chunks, table).to.deep.equal({ expected: count, found: count });
        expect(counts.labels.found, table).to.equal(counts.labels.expected).and.to.be.greaterThan(0);
      }
    });

    it('misses every single row', async () => {
      for (const row of target.index.entries()) {
        await target.index.delete([row]);
        const { figures } = await verified(source, target);
        expect(figures.different, JSON.stringify(row)).to.be.greaterThan(0);
        const counts = figures.tables.get(row.table);
        const kind = isChunkRow(row) ? counts?.chunks : counts?.labels;
        expect(kind?.found).to.be.lessThan(kind?.expected ?? 0);
        await target.index.write([row]);
      }
    });

    it('sees a row with another value, and every object that is missing or other', async () => {
      const [row] = target.index.entries().filter(({ value }) => value !== '-');
      if (!row) throw new Error('no row');
      await target.index.write([{ ...row, value: 'other' }]);
      expect((await verified(source, target)).figures.different).to.be.greaterThan(0);
      await target.index.write([row]);
      const [missing = '', other = ''] = target.chunks.objects.keys();
      target.chunks.objects.delete(missing);
      target.chunks.objects.set(other, Buffer.from('other bytes'));
      const { figures, problems } = await verified(source, target);
      expect(figures).to.include({ equal: chunks.length - 2, different: 2 });
      expect([...problems.values()].sort()).to.deep.equal([
        'at the target: invalid chunk checksum',
        'at the target: there is no such object',
      ]);
    });

    it('asks for no object that no row of the source names', async () => {
      const [orphan] = chunks;
      if (!orphan) throw new Error('no chunk');
      await source.index.delete(source.index.entries().filter(({ rangeValue }) => rangeValue.includes(orphan.key)));
      target = memorySide(PERIODS);
      await copied(source, target);
      expect((await verified(source, target)).figures).to.include({
        equal: chunks.length - 1,
        unnamed: 1,
        different: 0,
      });
    });
  });
});
