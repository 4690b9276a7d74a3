import { expect } from 'chai';
import { Suspects } from '../../../src/check/suspects.ts';
import { crc32c } from '../../../src/chunk/checksum.ts';
import { ChunkRemoval } from '../../../src/compaction/chunk-removal.ts';
import { labelSetOf } from '../../../src/protocol/label-text.ts';
import { chunkKey } from '../../../src/storage/chunk-key.ts';
import { ChunkMarks } from '../../../src/storage/chunk-marks.ts';
import {
  chunkEntries,
  chunkEntry,
  type IndexedChunk,
  labelEntries,
  seriesIdOf,
} from '../../../src/storage/index-row.ts';
import { createSchemaConfig, DAY_MS, dayBuckets } from '../../../src/storage/schema-config.ts';
import { SeriesLabels } from '../../../src/storage/series-labels.ts';
import { checked, contentOf, LATER, madeChunk } from '../../support/check-sides.ts';
import { type MemorySide, memorySide, putLoki, refOf } from '../../support/copy-sides.ts';
import { ROW_DUMPS, recordedRows } from '../../support/stores/loki-fixtures.ts';
import { MemoryChunkStore } from '../../support/stores/memory-chunk-store.ts';
import { MemoryIndexStore } from '../../support/stores/memory-index-store.ts';

const schema = createSchemaConfig([
  { from: '2023-01-01', schema: 'v12', prefix: 'index_', periodHours: 24, rowShards: 2 },
]);
const NOON_MS = Date.UTC(2023, 3, 12, 12);

const stored = async (side: MemorySide, labels = labelSetOf(['app', 'web']), atMs = NOON_MS): Promise<IndexedChunk> => {
  const { chunk, bytes } = madeChunk(side, labels, atMs);
  await side.chunks.put(chunk.key, bytes);
  return chunk;
};

const indexed = async (...of: Parameters<typeof stored>): Promise<IndexedChunk> => {
  const chunk = await stored(...of);
  await of[0].index.write(chunkEntries(schema, chunk));
  return chunk;
};

describe('a check of a store that is in use', () => {
  let side: MemorySide;

  beforeEach(() => {
    side = memorySide(schema);
  });

  for (const dump of ROW_DUMPS) {
    it(`finds nothing in what Loki wrote to ${dump}`, async () => {
      const loki = memorySide(recordedRows(dump).schema);
      const chunks = await putLoki(loki, dump);
      const { findings, figures } = await checked(loki);
      expect(findings).to.deep.equal([]);
      expect(figures.objects).to.equal(chunks.length);
    });
  }

  /** Does each action before one of the operations of a check that mends all it finds. @returns what it found, and how many operations there were */
  const checkedBeside = async (actions: readonly (() => Promise<unknown>)[], steps: readonly number[]) => {
    let seen = 0;
    let done = 0;
    let isActing = false;
    const act = async (): Promise<void> => {
      if (isActing) return;
      isActing = true;
      while (done < actions.length && seen >= (steps[done] ?? 0)) await actions[done++]?.();
      isActing = false;
      seen += 1;
    };
    side.index.before = act;
    side.chunks.before = act;
    const options = { fixes: true, deletesOrphans: true, removalShareMax: 1, concurrency: 1 };
    const { findings, figures } = await checked(side, options);
    isActing = true;
    while (done < actions.length) await actions[done++]?.();
    side.index.before = undefined;
    side.chunks.before = undefined;
    return { findings, figures, seen };
  };

  it('finds nothing wrong with a removal that runs beside it, at whichever steps', async () => {
    let runs = 0;
    for (let first = 0, steps = 1; first < steps; first += 1) {
      for (let second = first; second < steps; second += 1, runs += 1) {
        side = memorySide(schema);
        const chunks = [await indexed(side), await indexed(side, labelSetOf(['app', 'db']), NOON_MS + DAY_MS / 2)];
        await side.index.commit(['node/1/1'], chunks[0]?.key ?? '', []);
        const removal = new ChunkRemoval({
          index: side.index,
          chunks: side.chunks,
          schema,
          marks: new ChunkMarks(side.index, schema),
          labels: new SeriesLabels(side.index),
          clock: LATER,
          delayMs: 0,
        });
        const gone = chunks.map((chunk) => ({ ref: refOf(chunk.key), series: seriesIdOf(chunk.labels) }));
        const actions = [() => removal.remove(gone), () => removal.sweep(new AbortController().signal)];
        const { findings, seen } = await checkedBeside(actions, [first, second]);
        expect(findings, `removed at steps ${first} and ${second}`).to.deep.equal([]);
        steps = Math.max(steps, seen);
        const { keys, rows } = await contentOf(side);
        expect(keys).to.deep.equal([]);
        expect(
          rows.filter((row) => !row.includes('\\"app\\"')),
          `left of ${first}, ${second}`,
        ).to.deep.equal([]);
      }
    }
    expect(runs).to.be.greaterThan(90);
  });

  it('finds nothing wrong with a late flush that runs beside it, at whichever steps', async () => {
    let runs = 0;
    const late = labelSetOf(['app', 'late']);
    for (let first = 0, steps = 1; first < steps; first += 1) {
      for (let second = first; second < steps; second += 1, runs += 1) {
        side = memorySide(schema);
        side.chunks.nowMs = LATER.nowMs;
        await indexed(side);
        const { chunk, bytes } = madeChunk(side, late, NOON_MS);
        const entries = chunkEntries(schema, chunk);
        const isOfChunk = ({ rangeValue }: { readonly rangeValue: string }): boolean => rangeValue.includes(chunk.key);
        // In Bigtable rows of one write come in any order.
        const actions = [
          async () => {
            await side.chunks.put(chunk.key, bytes);
            await side.index.write(entries.filter((entry) => isOfChunk(entry) === (first % 2 === 0)));
          },
          () => side.index.write(entries),
        ];
        const { findings, seen } = await checkedBeside(actions, [first, second]);
        const dayRows = findings.filter(({ kind }) => kind !== 'stale-label-row');
        expect(dayRows, `flushed at steps ${first} and ${second}`).to.deep.equal([]);
        steps = Math.max(steps, seen);
        side.chunks.nowMs = Date.now;
        expect((await checked(side)).findings, `left of ${first}, ${second}`).to.deep.equal([]);
      }
    }
    expect(runs).to.be.greaterThan(90);
  });

  it('puts an orphan back whose rows come in the moment it goes', async () => {
    await indexed(side, labelSetOf(['app', 'other']));
    const orphan = await stored(side);
    side.chunks.before = async (operation, key) => {
      if (operation === 'delete' && key === orphan.key) await side.index.write(chunkEntries(schema, orphan));
    };
    const { figures } = await checked(side, { fixes: true, deletesOrphans: true });
    expect(figures.restored).to.equal(1);
    expect((await checked(side)).findings).to.deep.equal([]);
  });

  it('puts an orphan back of which a commit is under way the moment it goes', async () => {
    await indexed(side, labelSetOf(['app', 'other']));
    const orphan = await stored(side);
    const [elsewhere] = chunkEntries(schema, orphan);
    side.chunks.before = (operation) => {
      // None of its own rows: those may still be on their way.
      if (operation === 'delete' && elsewhere) side.index.unfinished.set(orphan.key, [elsewhere]);
    };
    const { figures } = await checked(side, { fixes: true, deletesOrphans: true });
    expect(figures.restored).to.equal(1);
    expect(await side.chunks.state(orphan.key)).to.not.equal(undefined);
  });

  it('keeps the bytes of an orphan that cannot be put back, and names their file', async () => {
    await indexed(side, labelSetOf(['app', 'other']));
    await indexed(side, labelSetOf(['app', 'third']));
    const orphans = [await stored(side), await stored(side, labelSetOf(['app', 'db']))];
    const bytes = orphans.map(({ key }) => side.chunks.objects.get(key));
    side.chunks.before = async (operation, key) => {
      if (operation === 'put') throw new Error('no room');
      const orphan = orphans.find((one) => one.key === key);
      if (operation === 'delete' && orphan) await side.index.write(chunkEntries(schema, orphan));
    };
    const kept = new Map<string, Uint8Array>();
    const keepBytes = async (key: string, held: Uint8Array): Promise<string> => {
      kept.set(key, held);
      return `/kept/${key}`;
    };
    const { findings, figures } = await checked(side, { fixes: true, deletesOrphans: true }, { keepBytes });
    expect(orphans.map(({ key }) => kept.get(key))).to.deep.equal(bytes);
    const left = findings.filter(({ isMended }) => !isMended);
    expect(left.map(({ why }) => why).sort()).to.deep.equal(
      orphans
        .map(({ key }) => `it may have got rows, and could not be put back (no room): its bytes are in /kept/${key}`)
        .sort(),
    );
    expect(figures.restored).to.equal(0);
  });

  it('puts back what it deleted if it fails afterwards, or cannot tell whether that got rows', async () => {
    await indexed(side, labelSetOf(['app', 'other']));
    const orphan = await stored(side);
    side.chunks.before = (operation) => {
      if (operation !== 'delete') return;
      side.chunks.before = undefined;
      side.chunks.objects.delete(orphan.key);
      side.index.before = () => {
        throw new Error('the index is away');
      };
      throw new Error('no answer');
    };
    let failure = '';
    await checked(side, { fixes: true, deletesOrphans: true }).catch((error: Error) => {
      failure = error.message;
    });
    expect(failure).to.equal('no answer');
    expect(await side.chunks.state(orphan.key)).to.not.equal(undefined);
  });

  it('puts a dangling row back whose object comes in the moment it goes', async () => {
    await indexed(side, labelSetOf(['app', 'other']));
    const chunk = await indexed(side);
    const bytes = side.chunks.objects.get(chunk.key) as Uint8Array;
    side.chunks.objects.delete(chunk.key);
    side.index.before = async (operation) => {
      if (operation === 'delete') await side.chunks.put(chunk.key, bytes);
    };
    const { findings } = await checked(side, { fixes: true });
    expect(findings.map(({ kind, isMended }) => [kind, isMended])).to.deep.equal([['dangling-row', false]]);
    side.index.before = undefined;
    expect((await checked(side)).findings).to.deep.equal([]);
  });

  it('tells of no row whose object was put again meanwhile, and of no orphan that was deleted', async () => {
    const chunk = await indexed(side);
    const orphan = await stored(side, labelSetOf(['app', 'orphan']));
    const { state } = MemoryChunkStore.prototype;
    let isFirst = true;
    side.chunks.state = async (key) => {
      if (key === chunk.key && isFirst) {
        isFirst = false;
        return undefined;
      }
      const found = await state.call(side.chunks, key);
      // After the look at its rows.
      if (key === orphan.key) side.chunks.objects.delete(key);
      return found;
    };
    const { findings, figures } = await checked(side, { fixes: true });
    expect(findings).to.deep.equal([]);
    expect(figures.gone).to.equal(1);
  });

  it('looks twice for the chunks of a series before it takes its labels off a day', async () => {
    await indexed(side);
    const late = await stored(side, labelSetOf(['app', 'late']));
    const entries = chunkEntries(schema, late);
    const ofChunk = entries.filter(({ rangeValue }) => rangeValue.includes(late.key));
    await side.index.write(entries.filter((entry) => !ofChunk.includes(entry)));
    const { scan } = MemoryIndexStore.prototype;
    let looks = 0;
    side.index.scan = async (lookups, visit) => {
      const asked = [...lookups];
      await scan.call(side.index, asked, visit as never);
      const [first] = asked;
      // The row comes right after the first look for chunks of a series that has labels.
      if (looks === 0 && first?.hashValue === ofChunk[0]?.hashValue && first?.rangePrefix === undefined) {
        looks += 1;
        await side.index.write(ofChunk);
      }
    };
    const { findings } = await checked(side);
    expect([looks, findings]).to.deep.equal([1, []]);
  });

  it('keeps dangling rows of the last day: nobody knows how old they are', async () => {
    await indexed(side);
    const young = await indexed(side, labelSetOf(['app', 'new']), LATER.nowMs() - DAY_MS / 2);
    side.chunks.objects.delete(young.key);
    const { findings } = await checked(side, { fixes: true });
    expect(findings.map(({ kind, isMended }) => [kind, isMended])).to.deep.equal([['dangling-row', false]]);
  });

  it('keeps label rows of days of which a flush may take them for written', async () => {
    await indexed(side);
    const [bucket] = dayBuckets(schema, LATER.nowMs() - 2 * DAY_MS, LATER.nowMs() - 2 * DAY_MS);
    if (!bucket) throw new Error('no day');
    const labels = labelSetOf(['app', 'new']);
    await side.index.write(labelEntries(bucket, 'tenant-a', labels, seriesIdOf(labels)));
    expect((await checked(side, { fixes: true })).findings).to.deep.equal([]);
  });

  it('keeps label rows of a commit that has not written its chunk rows yet', async () => {
    await indexed(side, labelSetOf(['app', 'other']));
    const late = await stored(side);
    const entries = chunkEntries(schema, late);
    const ofChunk = entries.filter(({ rangeValue }) => rangeValue.includes(late.key));
    await side.index.write(entries.filter((entry) => !ofChunk.includes(entry)));
    side.index.nowMs = LATER.nowMs;
    await side.index.commit(['node/1/1'], late.key, []);
    side.index.unfinished.set(late.key, ofChunk);
    const { findings } = await checked(side, { fixes: true });
    expect(findings).to.deep.equal([]);
    await side.index.unsettled([late.key]);
    expect((await checked(side)).findings).to.deep.equal([]);
  });

  it('tells of commits that were cut, and finishes them', async () => {
    await indexed(side, labelSetOf(['app', 'other']));
    const chunk = await stored(side);
    await side.index.commit(['node/1/1'], chunk.key, []);
    side.index.unfinished.set(chunk.key, chunkEntries(schema, chunk));
    const before = await contentOf(side);
    const look = await checked(side);
    expect(look.kinds).to.deep.equal(['unsettled-commit']);
    expect(await contentOf(side)).to.deep.equal(before);
    expect((await checked(side, { fixes: true })).figures.left).to.equal(0);
    expect((await checked(side)).findings).to.deep.equal([]);
  });

  it('takes a stream whose fingerprint clashed, or whose labels were quoted by a later Unicode, for what it is', async () => {
    const clashed = madeChunk(side, labelSetOf(['app', 'web']), NOON_MS, { fingerprint: 1n });
    await side.chunks.put(clashed.chunk.key, clashed.bytes);
    await side.index.write(chunkEntries(schema, clashed.chunk));
    // U+1FAE0 is printable from Unicode 14 on: a Loki built with it gives the series another id.
    const labels = labelSetOf(['app', '\u{1fae0}']);
    const quoted = await stored(side, labels);
    const series = 'A'.repeat(43);
    const entries = dayBuckets(schema, quoted.fromMs, quoted.throughMs).flatMap((bucket) => [
      ...labelEntries(bucket, quoted.tenant, labels, series),
      chunkEntry(bucket, quoted.tenant, series, quoted.key),
    ]);
    await side.index.write(entries);
    const { findings } = await checked(side, { fixes: true, deletesOrphans: true, removalShareMax: 1 });
    expect(findings).to.deep.equal([]);
  });

  it('reads one object of each stream when it is to be quick, and still finds what has no rows', async () => {
    for (let hour = 0; hour < 10; hour += 1) await indexed(side, undefined, NOON_MS + hour * 60_000);
    await stored(side, undefined, NOON_MS - 60_000);
    const read = new Set<string>();
    const get = side.chunks.get.bind(side.chunks);
    side.chunks.get = (key) => {
      read.add(key);
      return get(key);
    };
    const { kinds, figures } = await checked(side, { isQuick: true });
    expect(kinds).to.deep.equal(['orphan-object']);
    expect(figures.objects).to.equal(11);
    expect(read.size).to.be.at.most(2);
  });

  it('ends early when it is told to', async () => {
    for (let hour = 0; hour < 10; hour += 1) await indexed(side, undefined, NOON_MS + hour * 60_000);
    const ending = new AbortController();
    side.chunks.before = () => ending.abort();
    const { figures } = await checked(side, {}, { signal: ending.signal });
    expect(figures.objects).to.be.lessThan(10);
  });

  it('keeps a misplaced row whose chunk is only of days whose tables were dropped: nothing takes its place', async () => {
    await indexed(side);
    const old = await stored(side, undefined, NOON_MS - 400 * DAY_MS);
    const [bucket] = dayBuckets(schema, NOON_MS, NOON_MS);
    if (!bucket) throw new Error('no day');
    await side.index.write([chunkEntry(bucket, old.tenant, seriesIdOf(old.labels), old.key)]);
    const before = await contentOf(side);
    const { findings } = await checked(side, { fixes: true });
    expect(findings.map(({ kind, isMended }) => [kind, isMended])).to.deep.equal([['misplaced-row', false]]);
    expect(await contentOf(side)).to.deep.equal(before);
  });

  it('keeps rows of chunks of a later version among those of corrupt ones', async () => {
    const { chunk, bytes } = madeChunk(side, labelSetOf(['app', 'later']), NOON_MS);
    const later = Buffer.from(bytes);
    // The version stands behind the length of the metadata, the metadata, the length of the rest, and the magic number.
    later[later.readUInt32BE(0) + 8] = 9;
    const key = chunkKey(schema, { ...refOf(chunk.key), checksum: crc32c(later) });
    await side.chunks.put(key, later);
    await side.index.write(chunkEntries(schema, { ...chunk, key }));
    const corrupt = await indexed(side);
    await side.chunks.put(corrupt.key, new Uint8Array(10));
    const { findings, figures } = await checked(side, { fixes: true, unindexesCorrupt: true, removalShareMax: 1 });
    const told = findings.filter(({ kind }) => kind === 'corrupt-object');
    expect(told.map(({ why }) => why).sort())
      .to.include('unknown chunk version 9')
      .and.have.length(2);
    expect(figures.unindexed).to.equal(1);
    const { rows } = await contentOf(side);
    expect(rows.filter((row) => row.includes(key))).to.have.length(1);
  });

  it('keeps the rows of corrupt objects where they are a large share of a tenant, and says why', async () => {
    const chunks = [];
    for (let index = 0; index < 8; index += 1) {
      chunks.push(await indexed(side, labelSetOf(['app', `a${index}`]), NOON_MS));
    }
    for (const { key } of chunks.slice(0, 2)) await side.chunks.put(key, new Uint8Array(10));
    const before = await contentOf(side);
    const options = { fixes: true, unindexesCorrupt: true };
    const held = await checked(side, { ...options, removalShareMax: 0.1 });
    expect(await contentOf(side)).to.deep.equal(before);
    expect([held.kinds, held.figures.left, held.figures.unindexed]).to.deep.equal([
      ['corrupt-object', 'corrupt-object'],
      2,
      0,
    ]);
    const why =
      'kept: 2 of 8 objects that were read are corrupt: is the store in order? If it is, add --removals-max 25';
    expect([...held.figures.held]).to.deep.equal([[why, 2]]);
    const { figures } = await checked(side, { ...options, removalShareMax: 0.25 });
    expect([figures.unindexed, figures.held.size]).to.deep.equal([2, 0]);
  });

  it('remembers a bounded number of orphans', () => {
    const suspects = new Suspects(1);
    const refs = ['t/1/1:2:3', 't/1/1:2:4'].map(refOf);
    expect(refs.map((ref) => suspects.addOrphan(ref))).to.deep.equal([true, false]);
    expect(suspects.takeOrphan('t/1/1:2:3')).to.deep.equal(refs[0]);
    expect([...suspects.orphans]).to.deep.equal([]);
  });
});
