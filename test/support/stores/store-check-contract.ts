import { expect } from 'chai';
import type { CopySide } from '../../../src/copy/copy-chunks.ts';
import { labelSetOf } from '../../../src/protocol/label-text.ts';
import { formatChunkKey } from '../../../src/storage/chunk-key.ts';
import { ChunkMarks } from '../../../src/storage/chunk-marks.ts';
import {
  chunkEntries,
  chunkEntry,
  type IndexedChunk,
  labelEntries,
  seriesIdOf,
} from '../../../src/storage/index-row.ts';
import type { IndexEntry, IndexStore } from '../../../src/storage/index-store.ts';
import { DAY_MS, dayBuckets, dayOf, type SchemaConfig } from '../../../src/storage/schema-config.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { type CheckOutcome, checked, contentOf, madeChunk } from '../check-sides.ts';
import { putLoki, refOf } from '../copy-sides.ts';
import { recordedRows } from './loki-fixtures.ts';

const LABELS = labelSetOf(['app', 'made']);
/** A noon on which Loki's chunks are. */
const NOON_MS = Date.UTC(2023, 3, 12, 12);

export interface CheckedSide extends CopySide {
  /** The same index by an earlier clock, where commits have to be settled. */
  readonly committing?: IndexStore;
  remove(): Promise<void>;
}

/** What a check finds and mends in a store that Loki wrote. */
export const storeCheckContract = (dump: string, open: (schema: SchemaConfig) => Promise<CheckedSide>): void => {
  describe(`over what Loki wrote to ${dump}`, () => {
    let side: CheckedSide;
    let chunks: readonly IndexedChunk[];
    let clean: Awaited<ReturnType<typeof contentOf>>;

    beforeEach(async () => {
      side = await open(recordedRows(dump).schema);
      chunks = await putLoki(side, dump);
      clean = await contentOf(side);
    });

    afterEach(() => side.remove());

    const stored = async (labels = LABELS, atMs = NOON_MS): Promise<IndexedChunk> => {
      const { chunk, bytes } = madeChunk(side, labels, atMs);
      await side.chunks.put(chunk.key, bytes);
      return chunk;
    };

    /** Rows of kind 4. */
    const rowsOf = (chunk: IndexedChunk): readonly IndexEntry[] =>
      chunkEntries(side.schema, chunk).filter(({ rangeValue }) => rangeValue.includes(chunk.key));

    /** Everything of the chunk in the rows of one of its days. */
    const ofDay = (chunk: IndexedChunk, at: number): readonly IndexEntry[] => {
      const day = dayBuckets(side.schema, chunk.fromMs, chunk.throughMs)[at]?.day;
      return chunkEntries(side.schema, chunk).filter(({ hashValue }) => hashValue.includes(`:d${day}:`));
    };

    const overMidnight = (): IndexedChunk =>
      chunks.find((one) => dayBuckets(side.schema, one.fromMs, one.throughMs).length === 2) as IndexedChunk;

    /** Found by a look that changes nothing, then mended; nothing is left to find. */
    const expectMended = async (
      kind: string,
      count: number,
      options: Parameters<typeof checked>[1] = {},
    ): Promise<CheckOutcome> => {
      const before = await contentOf(side);
      const look = await checked(side);
      expect(look.kinds).to.deep.equal(Array(count).fill(kind));
      expect(look.figures.left).to.equal(count);
      expect(await contentOf(side)).to.deep.equal(before);
      const mended = await checked(side, { fixes: true, ...options });
      expect(mended.kinds).to.deep.equal(Array(count).fill(kind));
      expect(mended.figures.left, 'left').to.equal(0);
      const { kinds, figures } = await checked(side);
      expect([kinds, figures.restored]).to.deep.equal([[], 0]);
      return look;
    };

    it('finds nothing, and with everything asked for changes nothing', async () => {
      for (const isQuick of [false, true]) {
        const { findings, figures } = await checked(side, {
          isQuick,
          fixes: true,
          deletesOrphans: true,
          unindexesCorrupt: true,
        });
        expect(findings).to.deep.equal([]);
        expect(figures).to.include({ objects: chunks.length, marked: 0, young: 0, dropped: 0, gone: 0, others: 0 });
      }
      expect(await contentOf(side)).to.deep.equal(clean);
    });

    it('finds rows whose object is not there, and removes them with what found their series', async () => {
      const chunk = overMidnight();
      const days = dayBuckets(side.schema, chunk.fromMs, chunk.throughMs).length;
      await side.chunks.delete(chunk.key);
      const { findings } = await checked(side);
      const dangling = findings.filter(({ kind }) => kind === 'dangling-row');
      expect(dangling).to.have.length(days);
      expect(dangling[0]).to.include({ chunk: chunk.key, isMended: false });
      const mended = await checked(side, { fixes: true });
      expect(mended.figures.left).to.equal(0);
      expect((await checked(side)).kinds).to.deep.equal([]);
      const { rows } = await contentOf(side);
      expect(rows.filter((row) => row.includes(chunk.key))).to.deep.equal([]);
      const others = clean.rows.filter((row) => !row.includes(seriesIdOf(chunk.labels)));
      expect(rows).to.include.members(others);
    });

    it('finds objects that no row names, and deletes them only if that is asked for', async () => {
      const orphan = await stored();
      const { findings } = await checked(side, { fixes: true });
      expect(findings).to.deep.equal([
        { kind: 'orphan-object', chunk: orphan.key, why: 'no row names it', isMended: false },
      ]);
      await expectMended('orphan-object', 1, { deletesOrphans: true });
      expect(await contentOf(side)).to.deep.equal(clean);
    });

    it('deletes none if too many are orphans: the index may be another one', async () => {
      const orphan = await stored();
      const { findings } = await checked(side, { fixes: true, deletesOrphans: true, removalShareMax: 0.01 });
      expect(findings[0]).to.include({ kind: 'orphan-object', chunk: orphan.key, isMended: false });
      expect(findings[0]?.why).to.include('is this their index?');
      expect(await side.chunks.state(orphan.key)).to.not.equal(undefined);
    });

    it('leaves young objects alone', async () => {
      await stored();
      const { findings, figures } = await checked(side, { fixes: true, deletesOrphans: true }, { clock: systemClock });
      expect(findings).to.deep.equal([]);
      expect(figures.young).to.equal(1);
    });

    it('leaves chunks alone that compaction marked, and counts them', async () => {
      const orphan = await stored();
      const { key } = chunks[0] as IndexedChunk;
      const marks = new ChunkMarks(side.index, side.schema);
      const series = seriesIdOf(LABELS);
      const [half, unlabelled] = [overMidnight(), await stored(labelSetOf(['app', 'unlabelled']))];
      const keys = [key, orphan.key, half.key, unlabelled.key];
      await marks.add(keys.map((marked) => ({ key: marked, series, markedMs: 1 })));
      await side.chunks.delete(key);
      await side.index.delete(ofDay(half, 1));
      await side.index.write(rowsOf(unlabelled));
      const before = await contentOf(side);
      const { findings, figures } = await checked(side, { fixes: true, deletesOrphans: true });
      expect(findings).to.deep.equal([]);
      expect(figures.marked).to.be.greaterThan(1);
      expect(await contentOf(side)).to.deep.equal(before);
    });

    it('writes the rows of a chunk that some days lack, and of one that a commit names', async () => {
      const chunk = overMidnight();
      await side.index.delete(ofDay(chunk, 0));
      await expectMended('missing-rows', 1);
      expect(await contentOf(side)).to.deep.equal(clean);
      const lost = await stored();
      await (side.committing ?? side.index).commit(['node/1/1'], lost.key, []);
      await expectMended('missing-rows', 1);
      const { rows: after } = await contentOf(side);
      expect(after).to.have.length(clean.rows.length + chunkEntries(side.schema, lost).length);
    });

    it('finds every single row that a matcher needs, and writes it again', async () => {
      const chunk = await stored();
      const entries = chunkEntries(side.schema, chunk);
      await side.index.write(entries);
      clean = await contentOf(side);
      const labels = entries.filter(({ rangeValue }) => !rangeValue.includes(chunk.key));
      expect(labels).to.have.length(side.schema[0].schema === 'v9' || side.schema[0].schema === 'v10' ? 2 : 3);
      for (const entry of labels) {
        await side.index.delete([entry]);
        const { findings } = await expectMended('missing-label-rows', 1);
        expect(findings[0]?.row).to.include({ hashValue: entry.hashValue, rangeValue: entry.rangeValue });
        expect(await contentOf(side)).to.deep.equal(clean);
      }
    });

    it('finds rows of series without chunks on their day, and removes them', async () => {
      const [bucket] = dayBuckets(side.schema, NOON_MS, NOON_MS);
      if (!bucket) throw new Error('no day');
      const rows = labelEntries(bucket, 'tenant-a', LABELS, seriesIdOf(LABELS));
      // Kind 3 belongs to all days.
      const names = rows.filter(({ hashValue }) => hashValue === seriesIdOf(LABELS));
      await side.index.write(rows);
      await expectMended('stale-label-row', 2);
      expect((await contentOf(side)).rows).to.have.length(clean.rows.length + names.length);
    });

    it('replaces rows that are in the row of another series, on another day, or at another time', async () => {
      // Of a day whose next one is in the same table.
      const ofDay = chunks.filter(({ tenant, throughMs }) => tenant === 'tenant-a' && dayOf(throughMs) === 19_458);
      const [chunk, other] = ofDay as [IndexedChunk, IndexedChunk];
      expect(seriesIdOf(other.labels)).to.not.equal(seriesIdOf(chunk.labels));
      const [bucket] = dayBuckets(side.schema, chunk.fromMs, chunk.throughMs);
      if (!bucket) throw new Error('no day');
      const series = seriesIdOf(chunk.labels);
      const right = chunkEntry(bucket, chunk.tenant, series, chunk.key);
      const wrong = [
        chunkEntry(bucket, chunk.tenant, seriesIdOf(other.labels), chunk.key),
        chunkEntry({ ...bucket, day: bucket.day + 1 }, chunk.tenant, series, chunk.key),
        chunkEntry({ ...bucket, throughInDayMs: 1 }, chunk.tenant, series, chunk.key),
      ];
      for (const entry of wrong) {
        await side.index.write([entry]);
        await expectMended('misplaced-row', 1);
        expect(await contentOf(side)).to.deep.equal(clean);
        // Also if it is the only one that names the chunk.
        await side.index.delete([right]);
        await side.index.write([entry]);
        const { figures } = await checked(side, { fixes: true });
        expect(figures.left).to.equal(0);
        expect(await contentOf(side)).to.deep.equal(clean);
      }
    });

    it('tells of rows that name no chunk, and keeps them', async () => {
      const [entry] = rowsOf(chunks[0] as IndexedChunk) as [IndexEntry];
      await side.index.write([{ ...entry, rangeValue: entry.rangeValue.replace('/', '_') }]);
      const before = await contentOf(side);
      const { kinds } = await checked(side, { fixes: true });
      expect(kinds).to.deep.equal(['unreadable-row']);
      expect(await contentOf(side)).to.deep.equal(before);
    });

    it('finds objects that are not what their keys say, keeps them, and their rows unless asked', async () => {
      const [first, second] = chunks.slice(-2) as [IndexedChunk, IndexedChunk];
      const bytes = (await side.chunks.get(first.key)) as Uint8Array;
      const damaged = Uint8Array.from(bytes);
      damaged[40] = (damaged[40] ?? 0) ^ 1;
      for (const [key, other] of [
        [first.key, damaged],
        [second.key, bytes.subarray(0, 10)],
      ] as const) {
        await side.chunks.delete(key);
        await side.chunks.put(key, other);
      }
      const before = await contentOf(side);
      const { kinds } = await checked(side, { fixes: true, deletesOrphans: true });
      expect(kinds).to.deep.equal(['corrupt-object', 'corrupt-object']);
      expect(await contentOf(side)).to.deep.equal(before);
      const { figures } = await checked(side, { fixes: true, unindexesCorrupt: true });
      expect(figures.unindexed).to.be.greaterThan(1);
      const { keys, rows } = await contentOf(side);
      expect(keys).to.deep.equal(before.keys);
      expect(rows.filter((row) => row.includes(first.key) || row.includes(second.key))).to.deep.equal([]);
    });

    it('finds objects that belong to another stream or time than their keys', async () => {
      const { key } = chunks[0] as IndexedChunk;
      const bytes = (await side.chunks.get(key)) as Uint8Array;
      const ref = refOf(key);
      const wrong = [
        { ...ref, tenant: 'tenant-z' },
        { ...ref, fingerprint: ref.fingerprint + 1n },
        { ...ref, throughMs: ref.throughMs + 5 },
      ].map((one) => formatChunkKey(side.schema[0].schema, one));
      for (const one of wrong) await side.chunks.put(one, bytes);
      const { findings } = await checked(side, { fixes: true });
      expect(findings.map(({ chunk }) => chunk).sort()).to.deep.equal([...wrong].sort());
      expect(new Set(findings.map(({ kind }) => kind))).to.deep.equal(new Set(['corrupt-object']));
    });

    it('counts objects of days before the first table: they are neither told nor deleted nor indexed', async () => {
      await stored(LABELS, NOON_MS - 400 * DAY_MS);
      const before = await contentOf(side);
      const { findings, figures } = await checked(side, { fixes: true, deletesOrphans: true });
      expect(findings).to.deep.equal([]);
      expect(figures.dropped).to.equal(1);
      expect(await contentOf(side)).to.deep.equal(before);
    });

    it('looks at one tenant and a stretch of time', async () => {
      const [mine, late] = [await stored(), await stored(LABELS, NOON_MS + DAY_MS / 2)];
      const { chunk: others, bytes } = madeChunk(side, LABELS, NOON_MS, { tenant: 'tenant-b' });
      await side.chunks.put(others.key, bytes);
      const found = async (scope: object): Promise<readonly (string | undefined)[]> => {
        const whole = { tenants: [], fromMs: Number.NEGATIVE_INFINITY, throughMs: Number.POSITIVE_INFINITY };
        return (await checked(side, { scope: { ...whole, ...scope } })).findings.map(({ chunk }) => chunk).sort();
      };
      expect(await found({})).to.deep.equal([mine.key, late.key, others.key].sort());
      expect(await found({ tenants: ['tenant-b'] })).to.deep.equal([others.key]);
      expect(await found({ tenants: ['tenant-a'], fromMs: NOON_MS + 1 })).to.deep.equal([late.key]);
      expect(await found({ throughMs: NOON_MS })).to.deep.equal([mine.key, others.key].sort());
    });
  });
};
