import { expect } from 'chai';
import fc from 'fast-check';
import { CachedIndexStore } from '../../../src/storage/cached-index-store.ts';
import type { IndexCell } from '../../../src/storage/index-cells.ts';
import { generationsOf } from '../../../src/storage/index-generation.ts';
import type { IndexEntry } from '../../../src/storage/index-store.ts';
import { DAY_MS } from '../../../src/storage/schema-config.ts';
import { SchemaIndexReader } from '../../../src/storage/schema-index-reader.ts';
import { ManualClock } from '../../support/clock.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../support/property-runs.ts';
import { indexStoreContract } from '../../support/stores/index-store-contract.ts';
import { recordedRows } from '../../support/stores/loki-fixtures.ts';
import { lokiReaderContract } from '../../support/stores/loki-reader-contract.ts';
import { MemoryIndexStore } from '../../support/stores/memory-index-store.ts';
import { readRow } from '../../support/stores/read-row.ts';

const DAY = 19_845;
const HOUR_MS = 3_600_000;
const TABLE = 'index_2835';
const ROW = `t:d${DAY}:series`;
const GENERATIONS = 'ringlog:generations';

const entry = (rangeValue: string, value = '-', hashValue = ROW): IndexEntry => {
  return { table: TABLE, hashValue, rangeValue, value };
};

/** Tells of late changes as the store of Bigtable does. */
class TellingStore extends MemoryIndexStore {
  readonly #clock: ManualClock;
  #changes = 0;

  constructor(clock: ManualClock) {
    super();
    this.#clock = clock;
  }

  override async write(entries: readonly IndexEntry[]): Promise<void> {
    await super.write(entries);
    await this.tell(entries);
  }

  override async delete(entries: readonly Pick<IndexEntry, 'table' | 'hashValue' | 'rangeValue'>[]): Promise<void> {
    await super.delete(entries);
    await this.tell(entries);
  }

  async tell(entries: readonly Pick<IndexEntry, 'table' | 'hashValue'>[]): Promise<void> {
    await super.write(generationsOf(entries, this.#clock.nowMs(), `${++this.#changes}`));
  }
}

describe('the cached index store', () => {
  indexStoreContract(async () => {
    const store = new MemoryIndexStore();
    return {
      open: async () => new CachedIndexStore(store, { nowMs: Date.now }, 1 << 20),
      remove: async () => undefined,
    };
  });

  for (const pass of ['cold', 'with all rows kept']) {
    describe(`on what Loki wrote, ${pass}`, () => {
      const { schema, chunks, entries } = recordedRows('v12-bigtable.json');
      const inner = new MemoryIndexStore();
      const store = new CachedIndexStore(inner, { nowMs: Date.now }, 64 << 20);
      before(async () => {
        await inner.write(entries);
        if (pass === 'cold') return;
        const range = { startNs: 0n, endNs: 2n ** 60n };
        await new SchemaIndexReader(store, schema).chunkRefs('tenant-a', [], range);
      });
      lokiReaderContract({ schema, chunks }, () => new SchemaIndexReader(store, schema));

      it('was asked', () => {
        expect(store.figures.hits).to.be.above(0);
      });
    });
  }

  describe('of past days', () => {
    let clock: ManualClock;
    let inner: TellingStore;
    let store: CachedIndexStore;

    beforeEach(async () => {
      clock = new ManualClock((DAY + 1) * DAY_MS + 6 * HOUR_MS);
      inner = new TellingStore(clock);
      store = new CachedIndexStore(inner, clock, 100_000);
      await inner.write([entry('a'), entry('b', 'é')]);
      inner.lookups.length = 0;
    });

    const places = async (hashValue = ROW): Promise<readonly string[]> =>
      (await readRow(store, { table: TABLE, hashValue })).map(({ rangeValue }) => rangeValue);

    const rowsRead = (): readonly string[] =>
      inner.lookups
        .splice(0)
        .map(({ hashValue }) => hashValue)
        .filter((row) => row !== GENERATIONS);

    it('asks for a row once, and for nothing but the generation after that', async () => {
      const first = await readRow(store, { table: TABLE, hashValue: ROW });
      expect(rowsRead()).to.deep.equal([ROW]);
      expect(await readRow(store, { table: TABLE, hashValue: ROW })).to.deep.equal(first);
      expect(rowsRead()).to.deep.equal([]);
      expect(store.figures).to.deep.include({ requests: 2, hits: 1 });
    });

    it('keeps a row that came in several batches, and shows it so', async () => {
      store = new CachedIndexStore(inner, clock, 10 << 20);
      const row = `t:d${DAY}:long`;
      await inner.write(Array.from({ length: 5_000 }, (_, place) => entry(`${10_000 + place}`, `v${place}`, row)));
      const first = await readRow(store, { table: TABLE, hashValue: row });
      expect(first).to.have.length(5_000);
      let batches = 0;
      const found: IndexCell[] = [];
      await store.scan([{ table: TABLE, hashValue: row }], (cells) => {
        batches += 1;
        found.push(...cells);
        return false;
      });
      expect(found).to.deep.equal(first);
      expect(batches).to.be.above(1);
      expect(store.figures.hits).to.equal(1);
    });

    it('remembers that there is nothing', async () => {
      expect(await places('t:d19845:other')).to.deep.equal([]);
      expect(await places('t:d19845:other')).to.deep.equal([]);
      expect(rowsRead()).to.deep.equal(['t:d19845:other']);
    });

    it('shows what was stored late, or deleted, as soon as that was told', async () => {
      await places();
      await inner.write([entry('late')]);
      expect(await places()).to.deep.equal(['a', 'b', 'late']);
      await inner.delete([entry('a')]);
      expect(await places()).to.deep.equal(['b', 'late']);
    });

    it('reads anew what it read between a late row and the word of it', async () => {
      await MemoryIndexStore.prototype.write.call(inner, [entry('one')]);
      expect(await places()).to.include('one');
      await MemoryIndexStore.prototype.write.call(inner, [entry('two')]);
      await inner.tell([entry('two')]);
      expect(await places()).to.include.members(['one', 'two']);
    });

    it('keeps nothing of days that ended lately, of rows without a day and of a part of a day', async () => {
      clock.advance(-1);
      await places();
      await places();
      expect(rowsRead()).to.deep.equal([ROW, ROW]);
      clock.advance(1);
      for (let time = 0; time < 2; time++) {
        await places('series');
        await readRow(store, { table: TABLE, hashValue: ROW, rangeStart: 'b' });
      }
      expect(rowsRead()).to.deep.equal(['series', ROW, 'series', ROW]);
    });

    it('keeps no row whose reader had enough before its end', async () => {
      await store.scan([{ table: TABLE, hashValue: ROW }], () => true);
      expect(await places()).to.deep.equal(['a', 'b']);
      expect(rowsRead()).to.deep.equal([ROW, ROW]);
    });

    it('stays within its size, and lets go of what was used least lately; a large row is not kept', async () => {
      const rows = Array.from({ length: 100 }, (_, row) => `t:d${DAY}:series${row}`);
      await inner.write(rows.map((row) => entry('a', 'v'.repeat(2_000), row)));
      for (const row of rows) {
        await places(row);
        expect(store.figures.bytes).to.be.at.most(100_000);
      }
      rowsRead();
      await places(rows[99]);
      await places(rows[0]);
      expect(rowsRead()).to.deep.equal([rows[0]]);
      await inner.write([entry('a', 'v'.repeat(20_000))]);
      await places();
      await places();
      expect(rowsRead()).to.deep.equal([ROW, ROW]);
    });

    it('shows what the store holds, whatever is written, deleted and read in which order', async () => {
      const step = fc.record({
        kind: fc.constantFrom('write', 'delete', 'read', 'read'),
        row: fc.constantFrom(ROW, `t:d${DAY}:x`, `t:d${DAY + 1}:x`),
        place: fc.constantFrom('a', 'b', 'c'),
      });
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
          const plain = new TellingStore(clock);
          const cached = new CachedIndexStore(plain, clock, 3_000);
          for (const { kind, row, place } of steps) {
            if (kind === 'write') await plain.write([entry(place, place, row)]);
            else if (kind === 'delete') await plain.delete([entry(place, '', row)]);
            const lookup = { table: TABLE, hashValue: row };
            if (kind === 'read') expect(await readRow(cached, lookup)).to.deep.equal(await readRow(plain, lookup));
          }
        }),
        { numRuns: propertyRuns(10) },
      );
    }).timeout(PROPERTY_TIMEOUT_MS);
  });

  it('is told by who writes from 3 h after a day on: a clock that is less behind keeps no change quiet', () => {
    const told = (hours: number) => generationsOf([entry('a')], (DAY + 1) * DAY_MS + hours * HOUR_MS, 'g').length;
    expect([told(0), told(2.9), told(3), told(6)]).to.deep.equal([0, 0, 1, 1]);
  });
});
