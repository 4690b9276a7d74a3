import { expect } from 'chai';
import type { IndexCell } from '../../../src/storage/index-cells.ts';
import type { IndexEntry, IndexLookup, IndexStore, StreamSegment } from '../../../src/storage/index-store.ts';
import { readRow } from './read-row.ts';
import type { StoreHarness } from './store-harness.ts';

const TABLE = 'index_2779';

const entry = (hashValue: string, rangeValue: string, value = '-', table = TABLE): IndexEntry => {
  return { table, hashValue, rangeValue, value };
};

const STREAM = 't/7';

/** Of a chunk of the stream; `name` in hex. */
const keyOf = (name: string): string => `${STREAM}/1:2:${name}`;

const named = (segment: string): StreamSegment => ({ stream: STREAM, segment });

/** What every index store must do. */
export const indexStoreContract = (make: () => Promise<StoreHarness<IndexStore>>): void => {
  describe('as an index store', () => {
    let harness: StoreHarness<IndexStore>;
    let store: IndexStore;

    beforeEach(async () => {
      harness = await make();
      store = await harness.open();
    });

    afterEach(async () => {
      await store.close();
      await harness.remove();
    });

    it('returns the cells of a row in order of their range values, whatever order they came in', async () => {
      await store.write([entry('row', 'c'), entry('row', 'a'), entry('row', 'ab')]);
      await store.write([entry('row', ''), entry('row', 'B')]);
      expect(await places(store, { table: TABLE, hashValue: 'row' })).to.deep.equal(['', 'B', 'a', 'ab', 'c']);
    });

    it('orders by bytes, not by UTF-16 units', async () => {
      const places8 = ['\0', 'a\0', 'a\0\0', 'z', '\u00e9', '\uffee', '\u{1f600}'];
      await store.write(places8.toReversed().map((place) => entry('row', place)));
      expect(await places(store, { table: TABLE, hashValue: 'row' })).to.deep.equal(places8);
    });

    it('replaces the value of an entry that is written again', async () => {
      await store.write([entry('row', 'a', 'old')]);
      await store.write([entry('row', 'a', 'new')]);
      expect(await cells(store, { table: TABLE, hashValue: 'row' })).to.deep.equal([{ rangeValue: 'a', value: 'new' }]);
    });

    it('takes the last of equal entries in one write', async () => {
      await store.write([entry('row', 'a', 'first'), entry('row', 'a', 'last')]);
      expect(await cells(store, { table: TABLE, hashValue: 'row' })).to.deep.equal([
        { rangeValue: 'a', value: 'last' },
      ]);
    });

    it('commits a segment once: to the chunk that came first, with its rows', async () => {
      const commit = (chunkKey: string, place: string) => store.commit(['node/1/7'], chunkKey, [entry('row', place)]);
      expect(await store.committed(named('node/1/7'))).to.equal(undefined);
      expect([...(await commit(keyOf('a'), 'a'))]).to.deep.equal([]);
      expect([...(await commit(keyOf('b'), 'b'))]).to.deep.equal([['node/1/7', keyOf('a')]]);
      expect([...(await commit(keyOf('a'), 'a'))]).to.deep.equal([['node/1/7', keyOf('a')]]);
      expect(await store.committed(named('node/1/7'))).to.equal(keyOf('a'));
      expect(await places(store, { table: TABLE, hashValue: 'row' })).to.deep.equal(['a']);
    });

    it('commits a segment once, also of two attempts at the same time', async () => {
      const keys = ['a', 'b', 'c'];
      const outcomes = await Promise.all(
        keys.map((name) => store.commit(['node/1/8'], keyOf(name), [entry('row', name)])),
      );
      const winners = keys.filter((_, index) => outcomes[index]?.size === 0);
      expect(winners.length).to.equal(1);
      for (const known of outcomes)
        if (known.size > 0) expect([...known]).to.deep.equal([['node/1/8', keyOf(winners[0]!)]]);
      expect(await places(store, { table: TABLE, hashValue: 'row' })).to.deep.equal(winners);
    });

    it('commits several segments together: all of them, or none and says which were before and where', async () => {
      const commit = (segments: readonly string[], name: string) =>
        store.commit(segments, keyOf(name), [entry('row', name)]);
      expect((await commit(['n/1/1', 'n/1/2'], 'a')).size).to.equal(0);
      expect((await commit(['n/1/3'], 'b')).size).to.equal(0);
      expect(await commit(['n/1/2', 'n/1/3', 'n/1/4'], 'c')).to.deep.equal(
        new Map([
          ['n/1/2', keyOf('a')],
          ['n/1/3', keyOf('b')],
        ]),
      );
      expect(await store.committed(named('n/1/4')), 'nothing was written').to.equal(undefined);
      expect((await commit(['n/1/4'], 'd')).size).to.equal(0);
      expect(await store.committed(named('n/1/1'))).to.equal(keyOf('a'));
      expect(await places(store, { table: TABLE, hashValue: 'row' })).to.deep.equal(['a', 'b', 'd']);
    });

    it('commits of attempts at the same time that share a segment only one', async () => {
      const attempts = [
        ['n/2/1', 'n/2/2'],
        ['n/2/2', 'n/2/3'],
        ['n/2/3', 'n/2/1'],
      ];
      const outcomes = await Promise.all(
        attempts.map((segments, index) => store.commit(segments, keyOf(`${index}`), [entry('row', `${index}`)])),
      );
      const winners = outcomes.flatMap(({ size }, index) => (size === 0 ? [`${index}`] : []));
      expect(winners.length).to.equal(1);
      expect(await places(store, { table: TABLE, hashValue: 'row' })).to.deep.equal(winners);
      const loser = attempts.flat().find((name) => !attempts[Number(winners[0])]?.includes(name));
      expect(await store.committed(named(loser!))).to.equal(undefined);
    });

    it('commits very many segments together, among others that lie between them', async () => {
      const names = Array.from({ length: 400 }, (_, number) => `n/${number % 7}/${number}`);
      const between = names.filter((_, index) => index % 2 === 0).map((name) => `${name}x`);
      await Promise.all(between.map((name) => store.commit([name], keyOf('a'), [])));
      expect((await store.commit(names, keyOf('b'), [entry('row', 'b')])).size).to.equal(0);
      expect([
        ...(await store.commit(['new', ...names.slice(7)], keyOf('c'), [entry('row', 'c')])).keys(),
      ]).to.have.members(names.slice(7));
      expect([...(await store.commit([names[3]!], keyOf('d'), [entry('row', 'd')])).values()]).to.deep.equal([
        keyOf('b'),
      ]);
      expect(await store.committed(named('new'))).to.equal(undefined);
      expect(await places(store, { table: TABLE, hashValue: 'row' })).to.deep.equal(['b']);
    });

    it('keeps its commits, lists them apart from its tables with their times, and forgets those it is told to', async () => {
      const names = Array.from({ length: 600 }, (_, number) => `node/1/${number}`);
      const chunkOf = (number: number): string => `t/${(number % 3) + 7}/1:2:${number.toString(16)}`;
      await Promise.all(
        names.map((name, number) =>
          store.commit([name], chunkOf(number), [entry('row', name)], new Set(names.slice(7, 8))),
        ),
      );
      await store.close();
      store = await harness.open();
      const listed: string[] = [];
      const forgotten: StreamSegment[] = [];
      for await (const { stream, segment, chunkKey, committedMs, isShared } of store.commits()) {
        listed.push(segment);
        expect(chunkKey).to.equal(chunkOf(names.indexOf(segment)));
        forgotten.push({ stream, segment });
        expect(isShared).to.equal(segment === names[7]);
        expect(committedMs).to.be.within(Date.now() - 600_000, Date.now());
      }
      expect(listed.sort()).to.deep.equal(names.sort());
      expect(await store.tables?.()).to.deep.equal([TABLE]);
      await store.forget(forgotten.filter(({ segment }) => segment !== names[0]));
      expect(await store.committed(named(names[0]!))).to.equal(chunkOf(0));
      expect(await store.committed({ stream: 't/8', segment: names[1]! })).to.equal(undefined);
    });

    it('keeps rows and tables apart whose names begin alike', async () => {
      const rows = ['a', 'a:', 'a:b', 'a:b\0', 'a:b\0c', 'b'];
      await store.write(rows.flatMap((row) => [entry(row, `in ${row}`), entry(row, 'x', row, 'index_277')]));
      for (const row of rows) {
        expect(await places(store, { table: TABLE, hashValue: row })).to.deep.equal([`in ${row}`]);
        expect(await cells(store, { table: 'index_277', hashValue: row })).to.deep.equal([
          { rangeValue: 'x', value: row },
        ]);
      }
      expect(await places(store, { table: 'index_', hashValue: 'a' })).to.deep.equal([]);
      expect(await places(store, { table: TABLE, hashValue: '' })).to.deep.equal([]);
    });

    it('reads the part of a row with a prefix', async () => {
      await store.write(['', 'a', 'a\0', 'a\0x', 'a\x01', 'ab', 'b'].map((place) => entry('row', place)));
      const read = (rangePrefix: string) => places(store, { table: TABLE, hashValue: 'row', rangePrefix });
      expect(await read('a\0')).to.deep.equal(['a\0', 'a\0x']);
      expect(await read('a')).to.deep.equal(['a', 'a\0', 'a\0x', 'a\x01', 'ab']);
      expect(await read('c')).to.deep.equal([]);
    });

    it('reads the part of a row from a place on, which is included', async () => {
      await store.write(['00000000', '00000010', '05265c00'].map((place) => entry('row', `${place}\0\0key\x003\0`)));
      const read = (rangeStart: string) => places(store, { table: TABLE, hashValue: 'row', rangeStart });
      expect(await read('00000000\0')).to.have.length(3);
      expect(await read('00000010\0')).to.have.length(2);
      expect(await read('00000010\0\0key\x003\0')).to.have.length(2);
      expect(await read('00000011\0')).to.have.length(1);
      expect(await read('05265c01\0')).to.have.length(0);
    });

    it('reads with a prefix and a start together', async () => {
      await store.write(['a1', 'a2', 'a3', 'b1'].map((place) => entry('row', place)));
      const read = (rangePrefix: string, rangeStart: string) =>
        places(store, { table: TABLE, hashValue: 'row', rangePrefix, rangeStart });
      expect(await read('a', 'a2')).to.deep.equal(['a2', 'a3']);
      expect(await read('b', 'a2')).to.deep.equal(['b1']);
      expect(await read('a', 'b')).to.deep.equal([]);
    });

    it('keeps values byte for byte: empty, with zero bytes, not UTF-8', async () => {
      const values = ['', '\0', 'a\0b', '\udcff\udcfe', 'bad\udcff\udcfeutf8', '日本 \u{1f600}', 'v'.repeat(70_000)];
      await store.write(values.map((value, index) => entry('row', `${index}`, value)));
      const found = await cells(store, { table: TABLE, hashValue: 'row' });
      expect(found.map((cell) => cell.value)).to.deep.equal(values);
    });

    it('keeps hash and range values byte for byte', async () => {
      await store.write([entry('row\udcff', 'place\udcfe\0', 'x')]);
      expect(await cells(store, { table: TABLE, hashValue: 'row\udcff' })).to.deep.equal([
        { rangeValue: 'place\udcfe\0', value: 'x' },
      ]);
    });

    it('takes the longest rows and places there can be', async () => {
      const tenant = 't'.repeat(150);
      const rows = [600, 700, 1_024, 4_000].map((size) => `03:${tenant}:d19458:logs:${'n'.repeat(size)}`);
      const place = `05265c00\0\0${tenant}/d9acb2875e7735f5:18772be8020:18772c7a7e0:dc62ce11\x003\0`.padEnd(900, 'p');
      await store.write(
        rows.flatMap((row) => [entry(row, place, row.slice(0, 2_048)), entry(row, 'a', '\udc80'), entry(row, 'b', '')]),
      );
      for (const row of rows) {
        expect(await cells(store, { table: TABLE, hashValue: row }), `${row.length}`).to.deep.equal([
          { rangeValue: place, value: row.slice(0, 2_048) },
          { rangeValue: 'a', value: '\udc80' },
          { rangeValue: 'b', value: '' },
        ]);
        expect(await places(store, { table: TABLE, hashValue: row, rangeStart: 'b' })).to.deep.equal(['b']);
        expect(await places(store, { table: TABLE, hashValue: `${row}n` })).to.deep.equal([]);
      }
    });

    it('deletes entries, and nothing else', async () => {
      await store.write([entry('row', 'a'), entry('row', 'ab'), entry('long'.repeat(400), 'a')]);
      await store.delete([entry('row', 'a'), entry('row', 'missing'), entry('long'.repeat(400), 'a')]);
      expect(await places(store, { table: TABLE, hashValue: 'row' })).to.deep.equal(['ab']);
      expect(await places(store, { table: TABLE, hashValue: 'long'.repeat(400) })).to.deep.equal([]);
    });

    it('takes writes of nothing', async () => {
      await store.write([]);
      await store.delete([]);
      expect(await places(store, { table: TABLE, hashValue: 'row' })).to.deep.equal([]);
    });

    it('takes many writes at the same time', async () => {
      const writes = Array.from({ length: 200 }, (_, write) =>
        store.write(Array.from({ length: 20 }, (_, place) => entry(`row${write % 10}`, key(write * 20 + place)))),
      );
      await Promise.all(writes);
      let cellCount = 0;
      for (let row = 0; row < 10; row++) {
        const found = await places(store, { table: TABLE, hashValue: `row${row}` });
        expect(found).to.deep.equal([...found].sort());
        cellCount += found.length;
      }
      expect(cellCount).to.equal(4_000);
    });

    it('reads a long row in batches, each place once', async () => {
      await store.write(Array.from({ length: 5_000 }, (_, place) => entry('row', key(place), `${place}`)));
      let batchCount = 0;
      const found: IndexCell[] = [];
      await store.scan([{ table: TABLE, hashValue: 'row' }], (batch) => {
        batchCount += 1;
        found.push(...batch);
        return false;
      });
      expect(batchCount).to.be.greaterThan(4);
      expect(found.map((cell) => cell.value)).to.deep.equal(Array.from({ length: 5_000 }, (_, place) => `${place}`));
    });

    it('lets a reader leave early, and another go on', async () => {
      await store.write(Array.from({ length: 3_000 }, (_, place) => entry('row', key(place))));
      let batchCount = 0;
      await store.scan([{ table: TABLE, hashValue: 'row' }], (batch) => {
        batchCount += 1;
        expect(batch.length).to.be.within(1, 2_999);
        return true;
      });
      expect(batchCount).to.equal(1);
      expect(await places(store, { table: TABLE, hashValue: 'row' })).to.have.length(3_000);
    });

    it('shows a reader at least what was written before it began, while others write', async () => {
      await store.write(Array.from({ length: 2_000 }, (_, place) => entry('row', key(place * 2))));
      // Between those that are there, or where that cannot be told from a fault of the emulator, the same again.
      const offset = harness.losesPlacesWhileRead ? 0 : 1;
      const writing = Promise.all(
        Array.from({ length: 50 }, (_, place) => store.write([entry('row', key(place * 80 + offset))])),
      );
      const found = new Set(await places(store, { table: TABLE, hashValue: 'row' }));
      await writing;
      for (let place = 0; place < 2_000; place++) expect(found.has(key(place * 2)), `${place}`).to.equal(true);
    });

    it('walks a table by rows, with the cells that end as asked', async () => {
      const rows = Array.from({ length: 450 }, (_, number) => `t:d1:${key(number)}`);
      await store.write([
        ...rows.flatMap((row) => [entry(row, 'a\0\x003\0', 'é'), entry(row, 'b\0\x003\0'), entry(row, 'c\0\x007\0')]),
        entry('other', 'a\0\x007\0'),
        entry('long'.repeat(1_100), 'a\0\x003\0'),
        entry(rows[0]!, 'a\0\x003\0', '-', 'index_277'),
      ]);
      const found = await walked(store, TABLE, '\0\x003\0');
      expect([...found.keys()].sort()).to.deep.equal(rows);
      for (const row of rows) {
        expect(found.get(row)).to.deep.equal([
          { rangeValue: 'a\0\x003\0', value: 'é' },
          { rangeValue: 'b\0\x003\0', value: '-' },
        ]);
      }
      expect([...(await walked(store, 'index_277', '\0')).keys()]).to.deep.equal([rows[0]]);
      expect(await walked(store, 'index_27', '\0')).to.deep.equal(new Map());
    });

    it('walks a long row in parts, each cell once', async () => {
      const cellsOfRow = Array.from({ length: 1_500 }, (_, place) => entry('t:long', `${key(place)}!`, `${place}`));
      await store.write([entry('t:a', 'x!'), ...cellsOfRow, entry('t:long', 'y'), entry('t:z', 'x!')]);
      const found = await walked(store, TABLE, '!');
      expect(found.get('t:long')?.map(({ value }) => value)).to.deep.equal(cellsOfRow.map(({ value }) => value));
      expect([...found.keys()].sort()).to.deep.equal(['t:a', 't:long', 't:z']);
    });

    it('walks on while the rows it has shown are deleted', async () => {
      const rows = Array.from({ length: 700 }, (_, number) => key(number));
      await store.write(rows.map((row) => entry(row, 'x!')));
      const seen: string[] = [];
      for await (const part of store.rows(TABLE, '!')) {
        seen.push(...part.map(({ hashValue }) => hashValue));
        await store.delete(part.map(({ hashValue }) => entry(hashValue, 'x!')));
      }
      expect(seen.sort()).to.deep.equal(rows);
      expect(await walked(store, TABLE, '!')).to.deep.equal(new Map());
    });

    it('names the tables that hold anything, if it can', async () => {
      if (!store.tables) return;
      expect(await store.tables()).to.deep.equal([]);
      await store.write([
        entry('r', 'a'),
        entry('r', 'a', '-', 'a_1'),
        entry('r', 'b', '-', 'a_1'),
        entry('r', 'a', '-', 'a_12'),
      ]);
      expect([...(await store.tables())].sort()).to.deep.equal(['a_1', 'a_12', TABLE]);
    });

    it('has everything when it is opened again', async () => {
      await store.write([entry('row', 'a', 'kept'), entry('row', 'b')]);
      await store.delete([entry('row', 'b')]);
      await store.close();
      store = await harness.open();
      expect(await cells(store, { table: TABLE, hashValue: 'row' })).to.deep.equal([
        { rangeValue: 'a', value: 'kept' },
      ]);
    });

    it('finishes the writes it took before it closes', async () => {
      const writes = Array.from({ length: 30 }, (_, place) => store.write([entry('row', key(place))]));
      await store.close();
      await Promise.all(writes);
      store = await harness.open();
      expect(await places(store, { table: TABLE, hashValue: 'row' })).to.have.length(30);
    });
  });
};

const key = (place: number): string => place.toString().padStart(8, '0');

const cells = readRow;

const walked = async (store: IndexStore, table: string, rangeEnd: string): Promise<Map<string, IndexCell[]>> => {
  const found = new Map<string, IndexCell[]>();
  for await (const rows of store.rows(table, rangeEnd)) {
    for (const { hashValue, cells: part } of rows) found.set(hashValue, [...(found.get(hashValue) ?? []), ...part]);
  }
  return found;
};

const places = async (store: IndexStore, lookup: IndexLookup): Promise<string[]> =>
  (await cells(store, lookup)).map((cell) => cell.rangeValue);
