import { expect } from 'chai';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import type { ChunkStore } from '../../../src/storage/chunk-store.ts';
import type { StoreHarness } from './store-harness.ts';

const V11_KEY = 'tenant-a/85ad393dc21324c:187702fedd0:187702fedd0:7299a721';
const V12_KEY = 'tenant-a/85ad393dc21324c/187702fedd0:187702fedd0:7299a721';

/** Of the hard keys, one that Cloud Storage takes from nobody. */
export const LINE_END_KEY = 'nul\0/new\nline';

/** Keys that are hard on file systems. */
const HARD_KEYS = [
  '../escape/1:2:3',
  './here/1:2:3',
  '.tmp/1:2:3',
  'a//b',
  '/leading',
  'trailing/',
  'percent%41/1:2:3',
  'A/1:2:3',
  "!-_.*'()/1:2:3",
  'ünïcode/日本/1:2:3',
  'nul\0/byte',
  LINE_END_KEY,
  `${'t'.repeat(300)}/1:2:3`,
  `${'ü'.repeat(300)}/1:2:3`,
  `${'.'.repeat(500)}/1:2:3`,
];

/**
 * What every chunk store must do.
 * @param refusedKeys those of the hard keys that the store behind it cannot have: it says so, at once
 */
export const chunkStoreContract = (
  make: () => Promise<StoreHarness<ChunkStore>>,
  refusedKeys: readonly string[] = [],
): void => {
  const hardKeys = HARD_KEYS.filter((key) => !refusedKeys.includes(key));

  describe('as a chunk store', () => {
    let harness: StoreHarness<ChunkStore>;
    let store: ChunkStore;

    beforeEach(async () => {
      harness = await make();
      store = await harness.open();
    });

    afterEach(async () => {
      await store.close();
      await harness.remove();
    });

    it('returns what was put, under both forms of key', async () => {
      await store.put(V11_KEY, Buffer.from('eleven'));
      await store.put(V12_KEY, Buffer.from('twelve'));
      expect(text(await store.get(V11_KEY))).to.equal('eleven');
      expect(text(await store.get(V12_KEY))).to.equal('twelve');
    });

    it('knows no object that was not put', async () => {
      await store.put(V12_KEY, Buffer.from('x'));
      expect(await store.get(`${V12_KEY}0`)).to.equal(undefined);
      expect(await store.get('tenant-a/85ad393dc21324c')).to.equal(undefined);
      expect(await store.get(`${V12_KEY}/below`)).to.equal(undefined);
    });

    it('keeps every byte value, and objects of no and of many bytes', async () => {
      const bytes = Uint8Array.from({ length: 3_000_000 }, (_, index) => (index * 31) >> 3);
      await store.put('t/1/1:2:3', bytes);
      await store.put('t/1/1:2:4', new Uint8Array(0));
      expect(Buffer.compare((await store.get('t/1/1:2:3')) ?? Buffer.of(), bytes)).to.equal(0);
      expect(await store.get('t/1/1:2:4')).to.have.length(0);
    });

    it('puts a part of a larger buffer, and no more', async () => {
      await store.put(V12_KEY, Buffer.from('[inner]').subarray(1, 6));
      expect(text(await store.get(V12_KEY))).to.equal('inner');
    });

    it('hands out a buffer of its own that may be transferred', async () => {
      await store.put(V12_KEY, Buffer.from('mine'));
      const bytes = await store.get(V12_KEY);
      expect(bytes?.byteOffset).to.equal(0);
      expect(bytes?.buffer.byteLength).to.equal(4);
      structuredClone(bytes, { transfer: [bytes?.buffer as ArrayBuffer] });
      expect(text(await store.get(V12_KEY))).to.equal('mine');
    });

    it('reads a part, as far as the object reaches, and says how large the whole is', async () => {
      await store.put(V12_KEY, Buffer.from('0123456789'));
      for (const [start, end, expected] of [
        [0, 10, '0123456789'],
        [0, 1, '0'],
        [3, 7, '3456'],
        [7, 100, '789'],
        [-4, undefined, '6789'],
        [-100, undefined, '0123456789'],
        [8, undefined, '89'],
      ] as const) {
        const range = end === undefined ? { start } : { start, end };
        const part = await store.getRange(V12_KEY, range);
        expect(text(part?.bytes), `${start} to ${end}`).to.equal(expected);
        expect(part).to.include({ size: 10, start: start < 0 ? Math.max(0, 10 + start) : start });
        expect(part?.bytes.byteOffset).to.equal(0);
        expect(part?.bytes.buffer.byteLength).to.equal(expected.length);
      }
    });

    it('has no part where there is no object, and none behind its end', async () => {
      await store.put(V12_KEY, Buffer.from('0123456789'));
      await store.put(V11_KEY, new Uint8Array(0));
      expect(await store.getRange(V12_KEY, { start: 10, end: 20 })).to.equal(undefined);
      expect(await store.getRange(V11_KEY, { start: -5 })).to.equal(undefined);
      expect(await store.getRange(`${V12_KEY}0`, { start: 0, end: 1 })).to.equal(undefined);
    });

    it('tells parts of one object from those of another under its key', async () => {
      await store.put(V12_KEY, Buffer.from('0123456789'));
      const first = await store.getRange(V12_KEY, { start: 0, end: 2 });
      const second = await store.getRange(V12_KEY, { start: 2, end: 4 }, first?.version);
      expect(text(second?.bytes)).to.equal('23');
      expect(second?.version).to.equal(first?.version);
      await store.delete(V12_KEY);
      await store.put(V12_KEY, Buffer.from('abcdefghij'));
      expect(await store.getRange(V12_KEY, { start: 4, end: 6 }, first?.version)).to.equal(undefined);
      const other = await store.getRange(V12_KEY, { start: 0, end: 2 });
      expect(text(other?.bytes)).to.equal('ab');
      expect(other?.version).not.to.equal(first?.version);
    });

    it('takes the same key again', async () => {
      await store.put(V12_KEY, Buffer.from('again'));
      await store.put(V12_KEY, Buffer.from('again'));
      expect(text(await store.get(V12_KEY))).to.equal('again');
      expect(await keys(store, '')).to.deep.equal([V12_KEY]);
    });

    it('takes the same and other keys at the same time', async () => {
      const puts = Array.from({ length: 60 }, (_, index) =>
        store.put(`t/${index % 7}/1:2:${index % 30}`, Buffer.from(`${index % 7}-${index % 30}`)),
      );
      await Promise.all(puts);
      for (let index = 0; index < 60; index++) {
        expect(text(await store.get(`t/${index % 7}/1:2:${index % 30}`))).to.equal(`${index % 7}-${index % 30}`);
      }
    });

    it('deletes, and says whether there was anything', async () => {
      await store.put(V12_KEY, Buffer.from('x'));
      await store.put(`${V12_KEY}0`, Buffer.from('y'));
      expect(await store.delete(V12_KEY)).to.equal(true);
      expect(await store.delete(V12_KEY)).to.equal(false);
      expect(await store.get(V12_KEY)).to.equal(undefined);
      expect(text(await store.get(`${V12_KEY}0`))).to.equal('y');
    });

    it('takes a key again after all of its folder was deleted', async () => {
      for (let round = 0; round < 3; round++) {
        await store.put(V12_KEY, Buffer.from('x'));
        expect(await store.delete(V12_KEY)).to.equal(true);
      }
      await store.put(V12_KEY, Buffer.from('last'));
      expect(text(await store.get(V12_KEY))).to.equal('last');
    });

    it('lists the keys with a prefix, wherever it ends', async () => {
      const all = ['a/1/1:2:3', 'a/1/1:2:4', 'a/12/1:2:3', 'a/1:1:2:5', 'ab/1/1:2:3'];
      for (const key of all) await store.put(key, Buffer.from(key));
      for (const prefix of ['', 'a', 'a/', 'a/1', 'a/1/', 'a/1/1:2', 'a/1/1:2:3', 'a/1:', 'ab/', 'b', 'a/1/1:2:3/']) {
        const expected = all.filter((key) => key.startsWith(prefix)).sort();
        expect(await keys(store, prefix), `prefix ${prefix}`).to.deep.equal(expected);
      }
    });

    it('lists each key once that is there all the while, though others come and go, more than a page of them', async () => {
      const staying = Array.from({ length: 2_100 }, (_, index) => `t/${index % 3}/1:2:${index.toString(16)}`);
      const going = Array.from({ length: 20 }, (_, index) => `t/${index % 3}/3:4:${index.toString(16)}`);
      await Promise.all([...staying, ...going].map((key) => store.put(key, Buffer.from(key))));
      const found: string[] = [];
      for await (const key of store.list('t/')) {
        if (found.push(key) % 100 !== 0) continue;
        const next = going.pop();
        if (next !== undefined) await Promise.all([store.delete(next), store.put(`${next}0`, Buffer.of(1))]);
      }
      expect(going).to.be.empty;
      expect(found.filter((key) => /:2:[0-9a-f]+$/.test(key)).sort()).to.deep.equal([...staying].sort());
    });

    it('knows how large an object is, and when it was put', async () => {
      expect(await store.state(V12_KEY)).to.equal(undefined);
      const beforeMs = Date.now();
      await store.put(V12_KEY, Buffer.from('12345'));
      const state = await store.state(V12_KEY);
      expect(state?.size).to.equal(5);
      // Clocks of file systems tick every few ms.
      expect(state?.storedMs).to.be.within(beforeMs - 100, Date.now() + 100);
      expect(await store.state('tenant-a/85ad393dc21324c')).to.equal(undefined);
      await store.delete(V12_KEY);
      expect(await store.state(V12_KEY)).to.equal(undefined);
    });

    it('lets who lists stop early', async () => {
      await store.put(V11_KEY, Buffer.from('x'));
      await store.put(V12_KEY, Buffer.from('x'));
      for await (const key of store.list('')) {
        expect([V11_KEY, V12_KEY]).to.include(key);
        break;
      }
      expect(await keys(store, '')).to.have.length(2);
    });

    it('keeps any key apart from any other', async () => {
      for (const key of hardKeys) await store.put(key, Buffer.from(key));
      for (const key of hardKeys) expect(text(await store.get(key)), key).to.equal(key);
      expect(await keys(store, '')).to.deep.equal([...hardKeys].sort());
      for (const key of hardKeys) expect(await store.delete(key), key).to.equal(true);
      expect(await keys(store, '')).to.deep.equal([]);
    });

    for (const key of refusedKeys) {
      it(`refuses a key it cannot have, whatever is asked: ${JSON.stringify(key)}`, async () => {
        const works = [
          () => store.put(key, Buffer.from('x')),
          () => store.get(key),
          () => store.getRange(key, { start: 0, end: 1 }),
          () => store.delete(key),
        ];
        for (const work of works) {
          expect(await refusalCode(work)).to.equal('BAD_REQUEST');
        }
      });
    }

    it('has everything when it is opened again', async () => {
      await store.put(V11_KEY, Buffer.from('eleven'));
      await store.put(V12_KEY, Buffer.from('twelve'));
      await store.delete(V11_KEY);
      await store.close();
      store = await harness.open();
      expect(await keys(store, '')).to.deep.equal([V12_KEY]);
      expect(text(await store.get(V12_KEY))).to.equal('twelve');
    });
  });
};

const text = (bytes: Uint8Array | undefined): string | undefined => bytes && Buffer.from(bytes).toString();

const refusalCode = async (work: () => Promise<unknown>): Promise<string | undefined> => {
  try {
    await work();
    return undefined;
  } catch (error) {
    return error instanceof RefusedError ? error.refusal.code : String(error);
  }
};

const keys = async (store: ChunkStore, prefix: string): Promise<string[]> => {
  const found: string[] = [];
  for await (const key of store.list(prefix)) found.push(key);
  return found.sort();
};
