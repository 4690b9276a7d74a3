import { status } from '@grpc/grpc-js';
import { expect } from 'chai';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import type { BigtableIndexStore } from '../../../src/storage/bigtable-index-store.ts';
import { rowKeyOf } from '../../../src/storage/bigtable-row-key.ts';
import type { IndexEntry, IndexStore } from '../../../src/storage/index-store.ts';
import { BigtableProcess, suiteBigtable } from '../../support/bigtable-process.ts';
import { BigtableProxy, type DataMethod, type Fault, type ProxiedCall } from '../../support/bigtable-proxy.ts';
import { eventually } from '../../support/eventually.ts';
import { bigtableOptions, openBigtable } from '../../support/stores/bigtable-stores.ts';
import { RawBigtable } from '../../support/stores/raw-bigtable.ts';
import { readRow } from '../../support/stores/read-row.ts';

const TABLE = 'index_2779';
const STREAM = 't/7';

const entry = (hashValue: string, rangeValue = 'a', value = '-'): IndexEntry => {
  return { table: TABLE, hashValue, rangeValue, value };
};
const keyOf = (name: string): string => `${STREAM}/1:2:${name}`;

const placesOf = async (store: IndexStore, hashValue: string): Promise<string[]> => {
  return (await readRow(store, { table: TABLE, hashValue })).map((cell) => cell.rangeValue);
};

const refusalCode = async (work: Promise<unknown>): Promise<string> => {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).to.be.instanceOf(RefusedError);
  return (error as RefusedError).refusal.code;
};

describe('the Bigtable index store under faults', function () {
  this.timeout(90_000);
  const emulator = suiteBigtable();
  let proxy: BigtableProxy;
  let store: BigtableIndexStore;
  let other: BigtableIndexStore;
  let instance: string;

  beforeEach(async () => {
    proxy = await BigtableProxy.start(emulator().host);
    const options = bigtableOptions(proxy.host);
    ({ instance } = options);
    store = await openBigtable(options);
    other = await openBigtable({ ...options, emulatorHost: emulator().host });
    // The table is there: what follows counts calls.
    await store.write([entry('first')]);
    proxy.calls.length = 0;
  });

  afterEach(async () => {
    proxy.fault = () => undefined;
    await Promise.all([store.close(), other.close()]);
    proxy.stop();
  });

  /** Does this to the calls of a kind, by their number. */
  const faultyCalls = (method: DataMethod, table: string, faults: readonly (Fault | undefined)[]): void => {
    let count = 0;
    proxy.fault = (call: ProxiedCall) => (call.method === method && call.table === table ? faults[count++] : undefined);
  };

  const callsOf = (method: DataMethod, table = TABLE): readonly ProxiedCall[] =>
    proxy.calls.filter((call) => call.method === method && call.table === table);

  describe('in writes', () => {
    it('tries only the rows again that failed', async () => {
      faultyCalls('MutateRows', TABLE, [
        { kind: 'fail-rows', rows: [3, 7], code: status.UNAVAILABLE },
        { kind: 'fail-rows', rows: [1], code: status.ABORTED },
      ]);
      await store.write(Array.from({ length: 10 }, (_, row) => entry(`row${row}`)));
      expect(callsOf('MutateRows').map(({ rowCount }) => rowCount)).to.deep.equal([10, 2, 1]);
      for (let row = 0; row < 10; row++) expect(await placesOf(store, `row${row}`), `${row}`).to.deep.equal(['a']);
    });

    it('fails a write whose row Bigtable never takes, and not those that share its call', async () => {
      faultyCalls('MutateRows', TABLE, [{ kind: 'fail-rows', rows: [0], code: status.INVALID_ARGUMENT }]);
      const [bad, good] = [store.write([entry('bad')]), store.write([entry('good')])];
      expect(await refusalCode(bad)).to.equal('BAD_REQUEST');
      await good;
      expect(callsOf('MutateRows').map(({ rowCount }) => rowCount)).to.deep.equal([2]);
      expect(await placesOf(store, 'good')).to.deep.equal(['a']);
    });

    it('gives up after some tries, and goes on with the next write', async () => {
      proxy.fault = ({ method }) =>
        method === 'MutateRows' ? { kind: 'refuse', code: status.UNAVAILABLE } : undefined;
      expect(await refusalCode(store.write([entry('row')]))).to.equal('STORAGE_UNAVAILABLE');
      expect(callsOf('MutateRows').length).to.be.within(2, 10);
      proxy.fault = () => undefined;
      await store.write([entry('row')]);
      expect(await placesOf(store, 'row')).to.deep.equal(['a']);
    });

    it('does not try again what cannot pass by itself', async () => {
      faultyCalls('MutateRows', TABLE, [{ kind: 'refuse', code: status.PERMISSION_DENIED }]);
      expect(await refusalCode(store.write([entry('row')]))).to.equal('STORAGE_UNAVAILABLE');
      expect(callsOf('MutateRows').length).to.equal(1);
    });

    it('writes again what was written when the answer was lost', async () => {
      faultyCalls('MutateRows', TABLE, [{ kind: 'lose-answer' }]);
      await store.write([entry('row', 'a', 'value')]);
      expect(callsOf('MutateRows').length).to.equal(2);
      expect(await placesOf(store, 'row')).to.deep.equal(['a']);
    });

    it('sends rows in calls of 100 to 500 while others are under way', async () => {
      let release = (): void => {};
      const held = new Promise<void>((resolve) => {
        release = resolve;
      });
      faultyCalls('MutateRows', TABLE, [{ kind: 'delay', until: held }]);
      const writes = [store.write([entry('row')])];
      await eventually('the first call', () => callsOf('MutateRows').length === 1);
      for (let write = 0; write < 99; write++) writes.push(store.write([entry(`row${write}`)]));
      await new Promise((resolve) => setImmediate(resolve));
      expect(callsOf('MutateRows').length, 'too few to send beside another call').to.equal(1);
      for (let write = 99; write < 1_300; write++) writes.push(store.write([entry(`row${write}`)]));
      release();
      await Promise.all(writes);
      const sizes = callsOf('MutateRows').map(({ rowCount }) => rowCount);
      expect(Math.max(...sizes)).to.be.at.most(500);
      expect(sizes.length).to.be.at.most(8);
      expect(sizes.reduce((sum, size) => sum + size, 0)).to.equal(1_301);
    });

    it('refuses to queue more than it can hold, and takes writes again later', async () => {
      let release = (): void => {};
      const held = new Promise<void>((resolve) => {
        release = resolve;
      });
      proxy.fault = ({ method }) => (method === 'MutateRows' ? { kind: 'delay', until: held } : undefined);
      const many = Array.from({ length: 30_000 }, (_, index) => entry(`row${index % 50}`, `${index}`));
      const outcomes = Promise.allSettled([1, 2, 3, 4, 5].map(() => store.write(many)));
      release();
      const refused = (await outcomes).filter((outcome) => outcome.status === 'rejected');
      expect(refused.length).to.equal(2);
      for (const { reason } of refused) expect((reason as RefusedError).refusal.code).to.equal('OVERLOADED');
      await store.write([entry('row')]);
    });
  });

  describe('in reads', () => {
    it('asks again after an error, and shows every place once', async () => {
      await store.write(Array.from({ length: 500 }, (_, place) => entry('row', place.toString().padStart(4, '0'))));
      faultyCalls('ReadRows', TABLE, [
        { kind: 'refuse', code: status.UNAVAILABLE },
        { kind: 'lose-answer' },
        { kind: 'refuse', code: status.ABORTED },
      ]);
      const found = await placesOf(store, 'row');
      expect(found).to.have.length(500);
      expect(new Set(found).size).to.equal(500);
      expect(callsOf('ReadRows').length).to.equal(4);
    });

    it('asks for nothing again when all rows came and only the end was lost: no keys are all keys', async () => {
      await store.write([entry('row'), entry('another'), entry('third')]);
      const rows = ['row', 'third'];
      faultyCalls('ReadRows', TABLE, [{ kind: 'lose-end' }]);
      expect(await placesOf(store, 'row')).to.deep.equal(['a']);
      faultyCalls('ReadRows', TABLE, [{ kind: 'lose-end' }]);
      const found: string[] = [];
      await store.scan(
        rows.map((hashValue) => ({ table: TABLE, hashValue })),
        (_, { hashValue }) => {
          found.push(hashValue);
          return false;
        },
      );
      expect(found.sort()).to.deep.equal(rows);
      expect(callsOf('ReadRows').length).to.equal(2);
    });

    it('reads many rows in few calls, and each of them once when some fail', async () => {
      const rows = Array.from({ length: 1_450 }, (_, row) => `row${row}`);
      await store.write(rows.flatMap((row) => [entry(row, 'a'), entry(row, 'b')]));
      faultyCalls('ReadRows', TABLE, [{ kind: 'refuse', code: status.UNAVAILABLE }]);
      const found: string[] = [];
      await store.scan(
        [...rows, 'missing'].map((hashValue) => ({ table: TABLE, hashValue })),
        (cells, { hashValue }) => {
          for (const { rangeValue } of cells) found.push(`${hashValue}:${rangeValue}`);
          return false;
        },
      );
      expect(found.sort()).to.deep.equal(rows.flatMap((row) => [`${row}:a`, `${row}:b`]).sort());
      expect(callsOf('ReadRows').length).to.equal(3);
    });

    it('reads rows longer than a page to their end, and stops a lookup that has enough', async () => {
      const place = (number: number): string => number.toString().padStart(6, '0');
      await store.write(Array.from({ length: 20_000 }, (_, number) => entry('long', place(number))));
      await store.write([entry('short')]);
      const counts = new Map<string, number>();
      const lookups = ['long', 'short'].map((hashValue) => ({ table: TABLE, hashValue }));
      await store.scan(lookups, (cells, { hashValue }) => {
        counts.set(hashValue, (counts.get(hashValue) ?? 0) + cells.length);
        return false;
      });
      expect([...counts].sort()).to.deep.equal([
        ['long', 20_000],
        ['short', 1],
      ]);
      counts.clear();
      await store.scan(lookups, (cells, { hashValue }) => {
        counts.set(hashValue, (counts.get(hashValue) ?? 0) + cells.length);
        return true;
      });
      expect(counts.get('long')).to.be.below(1_000);
      expect(await placesOf(store, 'long')).to.deep.equal(Array.from({ length: 20_000 }, (_, number) => place(number)));
    });

    it('fails with a refusal when Bigtable says no', async () => {
      faultyCalls('ReadRows', TABLE, [{ kind: 'refuse', code: status.PERMISSION_DENIED }]);
      expect(await refusalCode(placesOf(store, 'row'))).to.equal('STORAGE_UNAVAILABLE');
    });

    it('takes a table that is not there for empty', async () => {
      expect(await readRow(store, { table: 'index_1', hashValue: 'row' })).to.deep.equal([]);
    });

    it('takes nothing for empty when not even its own table is found: then it is the app profile', async () => {
      await store.write([entry('row')]);
      proxy.fault = ({ method }) => (method === 'ReadRows' ? { kind: 'refuse', code: status.NOT_FOUND } : undefined);
      expect(await refusalCode(placesOf(store, 'row'))).to.equal('STORAGE_UNAVAILABLE');
      const opening = openBigtable(bigtableOptions(proxy.host, { appProfile: 'gone' })).catch(String);
      expect(await opening).to.contain('does not find the app profile gone');
    });
  });

  describe('in commits', () => {
    const commit = (by: IndexStore, segments: readonly string[], name: string) =>
      by.commit(segments, keyOf(name), [entry(`row ${name}`), entry(`row ${name}`, 'b')]);
    const committed = (by: IndexStore, segment: string) => by.committed({ stream: STREAM, segment });
    const COMMITS = 'ringlog-commits';

    it('finds its own commit when the answer to it was lost, with all rows', async () => {
      faultyCalls('CheckAndMutateRow', COMMITS, [{ kind: 'lose-answer' }]);
      expect([...(await commit(store, ['n/1/1'], 'a'))]).to.deep.equal([['n/1/1', keyOf('a')]]);
      expect(await placesOf(other, 'row a')).to.deep.equal(['a', 'b']);
    });

    it('leaves nothing behind when the process ends before the commit', async () => {
      faultyCalls('CheckAndMutateRow', COMMITS, [{ kind: 'refuse', code: status.PERMISSION_DENIED }]);
      expect(await refusalCode(commit(store, ['n/1/1'], 'a'))).to.equal('STORAGE_UNAVAILABLE');
      expect(await committed(other, 'n/1/1')).to.equal(undefined);
      expect(await placesOf(other, 'row a')).to.deep.equal([]);
      expect((await commit(other, ['n/1/1'], 'b')).size).to.equal(0);
    });

    /** The first step of a commit is done, and its process ends: none of the rows is written by it. */
    const endAfterFirstStep = async (segments: readonly string[], name: string): Promise<void> => {
      faultyCalls('MutateRows', TABLE, [{ kind: 'refuse', code: status.PERMISSION_DENIED }]);
      expect(await refusalCode(commit(store, segments, name))).to.equal('STORAGE_UNAVAILABLE');
      expect(await placesOf(other, `row ${name}`), 'no row yet').to.deep.equal([]);
    };

    it('writes the rows of a commit that its process did not finish before anybody is told of it', async () => {
      await endAfterFirstStep(['n/1/1', 'n/1/2'], 'a');
      expect(await committed(other, 'n/1/2')).to.equal(keyOf('a'));
      expect(await placesOf(other, 'row a')).to.deep.equal(['a', 'b']);
    });

    it('commits and forgets beside a commit whose rows nobody can read', async () => {
      await endAfterFirstStep(['n/1/1', 'n/1/2'], 'a');
      const raw = new RawBigtable(emulator().host, instance);
      const rowKey = rowKeyOf('bigtable-hashed', STREAM).toString('latin1');
      await raw.put({ table: COMMITS, rowKey, family: 'r', qualifier: 'n/1/1', value: `${keyOf('a')}\0later\0[]` });
      await raw.close();
      expect((await commit(other, ['n/1/3'], 'b')).size).to.equal(0);
      expect(await placesOf(other, 'row b')).to.deep.equal(['a', 'b']);
      expect(await refusalCode(committed(other, 'n/1/2')), 'whose rows are not there').to.equal('INTERNAL');
      expect(await refusalCode(commit(other, ['n/1/2'], 'c'))).to.equal('INTERNAL');
      await other.forget(['n/1/1', 'n/1/2', 'n/1/3'].map((segment) => ({ stream: STREAM, segment })));
      expect(await committed(other, 'n/1/3')).to.equal(undefined);
      expect(await refusalCode(committed(other, 'n/1/1'))).to.equal('INTERNAL');
    });

    it('writes them for whoever commits some of the segments to another chunk, which stays without rows', async () => {
      await endAfterFirstStep(['n/1/1', 'n/1/2'], 'a');
      expect([...(await commit(other, ['n/1/2', 'n/1/3'], 'b'))]).to.deep.equal([['n/1/2', keyOf('a')]]);
      expect(await placesOf(other, 'row a')).to.deep.equal(['a', 'b']);
      expect(await placesOf(other, 'row b')).to.deep.equal([]);
      expect(await committed(other, 'n/1/3')).to.equal(undefined);
    });

    it('tells nobody of a commit whose rows cannot be written', async () => {
      await endAfterFirstStep(['n/1/1'], 'a');
      faultyCalls('MutateRows', TABLE, [{ kind: 'refuse', code: status.PERMISSION_DENIED }]);
      expect(await refusalCode(committed(store, 'n/1/1'))).to.equal('STORAGE_UNAVAILABLE');
      expect(await committed(store, 'n/1/1')).to.equal(keyOf('a'));
      expect(await placesOf(store, 'row a')).to.deep.equal(['a', 'b']);
    });

    it('comes through when only some of its rows were written', async () => {
      faultyCalls('MutateRows', TABLE, [{ kind: 'fail-rows', rows: [0], code: status.PERMISSION_DENIED }]);
      const entries = [entry('row 1'), entry('row 2')];
      expect(await refusalCode(store.commit(['n/1/1'], keyOf('a'), entries))).to.equal('STORAGE_UNAVAILABLE');
      expect([...(await store.commit(['n/1/1'], keyOf('a'), entries))]).to.deep.equal([['n/1/1', keyOf('a')]]);
      expect([await placesOf(store, 'row 1'), await placesOf(store, 'row 2')]).to.deep.equal([['a'], ['a']]);
    });

    it('writes no rows again once its last step is done', async () => {
      expect((await commit(store, ['n/1/1'], 'a')).size).to.equal(0);
      await eventually('the last step', () => callsOf('MutateRows', COMMITS).length === 1);
      await store.close();
      await other.delete([entry('row a'), entry('row a', 'b')]);
      expect(await committed(other, 'n/1/1')).to.equal(keyOf('a'));
      expect(await placesOf(other, 'row a')).to.deep.equal([]);
    });

    it('forgets what is left to write together with the commit', async () => {
      proxy.fault = ({ method, table }) =>
        method === 'MutateRows' && table === COMMITS ? { kind: 'refuse', code: status.PERMISSION_DENIED } : undefined;
      expect((await commit(store, ['n/1/1'], 'a')).size).to.equal(0);
      await eventually('the last step', () => callsOf('MutateRows', COMMITS).length === 1);
      await other.forget([{ stream: STREAM, segment: 'n/1/1' }]);
      await other.delete([entry('row a'), entry('row a', 'b')]);
      expect((await commit(other, ['n/1/1'], 'b')).size).to.equal(0);
      expect(await placesOf(other, 'row a')).to.deep.equal([]);
    });

    it('looks at nothing to forget what it committed itself', async () => {
      expect((await commit(store, ['n/1/1', 'n/1/2'], 'a')).size).to.equal(0);
      await store.forget([{ stream: STREAM, segment: 'n/1/1' }]);
      expect(callsOf('ReadRows', COMMITS)).to.have.lengthOf(0);
      expect(await committed(other, 'n/1/1')).to.equal(undefined);
      expect(await committed(other, 'n/1/2')).to.equal(keyOf('a'));
    });

    it('writes what is left of a commit before one of its segments is forgotten: the others may still be asked for', async () => {
      await endAfterFirstStep(['n/1/1', 'n/1/2'], 'a');
      await other.forget([{ stream: STREAM, segment: 'n/1/1' }]);
      expect(await placesOf(other, 'row a')).to.deep.equal(['a', 'b']);
      expect(await committed(other, 'n/1/1')).to.equal(undefined);
      expect(await committed(other, 'n/1/2')).to.equal(keyOf('a'));
    });

    it('says of which chunks a commit may still write rows, and writes those of one whose process ended', async () => {
      await endAfterFirstStep(['n/1/1', 'n/1/2'], 'a');
      expect((await commit(store, ['n/1/3'], 'b')).size).to.equal(0);
      const keys = ['a', 'b', 'c'].map(keyOf);
      expect([...(await other.unsettled(keys))].sort()).to.deep.equal([keyOf('a'), keyOf('b')]);
      expect(await placesOf(other, 'row a'), 'written now').to.deep.equal(['a', 'b']);
      await other.forget(['n/1/1', 'n/1/2', 'n/1/3'].map((segment) => ({ stream: STREAM, segment })));
      expect([...(await other.unsettled(keys))]).to.deep.equal([]);
    });

    it('lists which commits may lack rows, and writes none for that', async () => {
      await endAfterFirstStep(['n/1/1', 'n/1/2'], 'a');
      expect((await commit(store, ['n/1/3'], 'b')).size).to.equal(0);
      const listed = async (): Promise<readonly unknown[]> => {
        const commits = [];
        for await (const { segment, chunkKey, isUnfinished } of other.commits()) {
          // What is left of a commit that came through is deleted with others, later.
          if (chunkKey === keyOf('a')) commits.push([segment, isUnfinished]);
        }
        return commits;
      };
      expect(await listed()).to.deep.equal([
        ['n/1/1', true],
        ['n/1/2', true],
      ]);
      expect(await placesOf(other, 'row a'), 'not written').to.deep.equal([]);
      await committed(other, 'n/1/1');
      await other.close();
      other = await openBigtable(bigtableOptions(emulator().host, { instance }));
      expect(await listed()).to.deep.equal([
        ['n/1/1', false],
        ['n/1/2', false],
      ]);
    });

    it('lets a late attempt change nothing', async () => {
      let release = (): void => {};
      const held = new Promise<void>((resolve) => {
        release = resolve;
      });
      faultyCalls('CheckAndMutateRow', COMMITS, [{ kind: 'delay', until: held }]);
      const late = commit(store, ['n/1/1', 'n/1/2'], 'a');
      await eventually('the late attempt', () => callsOf('CheckAndMutateRow', COMMITS).length === 1);
      expect((await commit(other, ['n/1/2'], 'b')).size).to.equal(0);
      release();
      expect([...(await late)]).to.deep.equal([['n/1/2', keyOf('b')]]);
      expect(await committed(other, 'n/1/1')).to.equal(undefined);
      expect(await placesOf(other, 'row a')).to.deep.equal([]);
    });

    it('commits each segment once when two stores race for all of them', async () => {
      // Each pair shares a segment with the pair before and the pair after of its stream.
      const race = async (by: IndexStore, name: string): Promise<string[]> => {
        const segments: string[] = [];
        await Promise.all(
          Array.from({ length: 150 }, async (_, number) => {
            const stream = number % 5;
            const pair = [`n/${stream}/${number}`, `n/${stream}/${number + 5}`];
            const entries = pair.map((segment) => entry(segment, name));
            const before = await by.commit(pair, `t/${stream}/1:2:${name}`, entries);
            if (before.size === 0) segments.push(...pair);
          }),
        );
        return segments;
      };
      const [one, two] = await Promise.all([race(store, 'a'), race(other, 'b')]);
      expect(new Set([...one, ...two]).size, 'no segment is in two chunks').to.equal(one.length + two.length);
      for (const segment of one) expect(await placesOf(store, segment), segment).to.deep.equal(['a']);
      for (const segment of two) expect(await placesOf(store, segment), segment).to.deep.equal(['b']);
      expect(one.length + two.length).to.be.above(100);
    });
  });

  describe('when the server goes away', () => {
    it('refuses within its time, and goes on when the server is back', async () => {
      const own = await BigtableProcess.start();
      const alone = await openBigtable(bigtableOptions(own.host));
      try {
        await alone.write([entry('row')]);
        await own.kill();
        const work = [
          alone.write([entry('row', 'b')]),
          placesOf(alone, 'row'),
          alone.commit(['n/1/1'], keyOf('a'), [entry('row', 'c')]),
          alone.committed({ stream: STREAM, segment: 'n/1/1' }),
          alone.tables(),
        ];
        expect(await Promise.all(work.map(refusalCode))).to.deep.equal(work.map(() => 'STORAGE_UNAVAILABLE'));
        await own.restart();
        // With nothing in it: the tables are made anew.
        await alone.write([entry('row', 'd')]);
        expect(await placesOf(alone, 'row')).to.deep.equal(['d']);
        expect((await alone.commit(['n/1/1'], keyOf('a'), [entry('row', 'e')])).size).to.equal(0);
        expect(await alone.committed({ stream: STREAM, segment: 'n/1/1' })).to.equal(keyOf('a'));
      } finally {
        await alone.close();
        await own.kill();
      }
    });

    it('comes through an absence that is shorter than its tries', async () => {
      const own = await BigtableProcess.start();
      const alone = await openBigtable(bigtableOptions(own.host));
      try {
        await alone.write([entry('row')]);
        await own.kill();
        const write = alone.write([entry('row', 'b')]);
        await own.restart();
        await write;
        expect(await placesOf(alone, 'row')).to.deep.equal(['b']);
      } finally {
        await alone.close();
        await own.kill();
      }
    });

    it('does not open', async () => {
      const own = await BigtableProcess.start();
      await own.kill();
      expect(await refusalCode(openBigtable(bigtableOptions(own.host)))).to.equal('STORAGE_UNAVAILABLE');
    });
  });

  it('refuses writes once closed', async () => {
    await store.close();
    expect(await refusalCode(store.write([entry('row')]))).to.equal('STORAGE_UNAVAILABLE');
    expect(await refusalCode(store.commit(['n/1/1'], keyOf('a'), []))).to.equal('STORAGE_UNAVAILABLE');
    expect(await refusalCode(placesOf(store, 'row'))).to.equal('STORAGE_UNAVAILABLE');
  });
});
