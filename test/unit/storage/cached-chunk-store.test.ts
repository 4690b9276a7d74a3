import { expect } from 'chai';
import { CachedChunkStore } from '../../../src/storage/cached-chunk-store.ts';
import { chunkStoreContract } from '../../support/stores/chunk-store-contract.ts';
import { MemoryChunkStore } from '../../support/stores/memory-chunk-store.ts';

describe('the cached chunk store', () => {
  chunkStoreContract(async () => {
    const store = new MemoryChunkStore();
    return { open: async () => new CachedChunkStore(store, 1 << 20), remove: async () => undefined };
  });

  describe('with a small cache', () => {
    let inner: MemoryChunkStore;
    let store: CachedChunkStore;
    let gets: string[];

    beforeEach(async () => {
      inner = new MemoryChunkStore();
      store = new CachedChunkStore(inner, 100);
      gets = [];
      for (const key of ['a', 'b', 'c', 'd', 'e', 'f']) await inner.put(key, Buffer.alloc(20, key));
      inner.before = (operation, key) => {
        if (operation === 'get') gets.push(key);
      };
    });

    const get = async (...keys: readonly string[]): Promise<readonly (string | undefined)[]> => {
      const found: (string | undefined)[] = [];
      for (const key of keys) {
        const bytes = await store.get(key);
        found.push(bytes && Buffer.from(bytes).toString());
      }
      return found;
    };

    it('asks the store once, and hands out buffers of their own', async () => {
      const first = await store.get('a');
      structuredClone(first, { transfer: [first?.buffer as ArrayBuffer] });
      const second = await store.get('a');
      second?.fill(0);
      expect(await get('a')).to.deep.equal(['a'.repeat(20)]);
      expect(gets).to.deep.equal(['a']);
      expect(store.figures).to.deep.equal({ requests: 3, hits: 2, bytes: 20 });
    });

    it('forgets what was used least lately, and never has more bytes than it may', async () => {
      await get('a', 'b', 'c', 'd', 'e', 'a', 'f');
      expect(store.figures.bytes).to.equal(100);
      gets.length = 0;
      await get('a', 'c', 'd', 'e', 'f');
      expect(gets).to.deep.equal([]);
      await get('b');
      expect(gets).to.deep.equal(['b']);
      expect(store.figures.bytes).to.equal(100);
    });

    it('does not keep what would take more than a quarter, nor what is not there', async () => {
      await inner.put('large', Buffer.alloc(26));
      await get('large', 'large', 'gone', 'gone');
      expect(gets).to.deep.equal(['large', 'large', 'gone', 'gone']);
      expect(store.figures).to.deep.equal({ requests: 4, hits: 0, bytes: 0 });
    });

    it('asks once for what is wanted several times together, and fails all of them together', async () => {
      const found = await Promise.all([store.get('a'), store.get('a'), store.get('a')]);
      expect(new Set(found.map((bytes) => bytes?.buffer)).size).to.equal(3);
      expect(gets).to.deep.equal(['a']);
      inner.before = () => {
        throw new Error('away');
      };
      const outcomes = await Promise.allSettled([store.get('b'), store.get('b')]);
      expect(outcomes.map(({ status }) => status)).to.deep.equal(['rejected', 'rejected']);
      inner.before = undefined;
      expect(await get('b')).to.deep.equal(['b'.repeat(20)]);
    });

    it('keeps parts, and gives what lies in them without the store', async () => {
      await inner.put('large', Buffer.from('0123456789'.repeat(10)));
      const tail = await store.getRange('large', { start: -20 });
      expect(tail).to.include({ start: 80, size: 100 });
      gets.length = 0;
      const part = await store.getRange('large', { start: 83, end: 86 }, tail?.version);
      expect(Buffer.from(part?.bytes ?? []).toString()).to.equal('345');
      expect(part).to.include({ start: 83, size: 100, version: tail?.version });
      expect(gets).to.deep.equal([]);
      await store.getRange('large', { start: 79, end: 86 }, tail?.version);
      expect(gets).to.deep.equal(['large']);
      expect(store.figures).to.deep.equal({ requests: 3, hits: 1, bytes: 27 });
    });

    it('gives parts of objects that it has as a whole', async () => {
      await store.get('a');
      gets.length = 0;
      const first = await store.getRange('a', { start: -3 });
      const second = await store.getRange('a', { start: 0, end: 2 }, first?.version);
      expect([first?.bytes.length, second?.bytes.length, gets.length]).to.deep.equal([3, 2, 0]);
    });

    it('does not take a part for the whole, however far it reaches, and lets the whole take its place', async () => {
      await store.getRange('a', { start: 0 });
      gets.length = 0;
      expect(await get('a')).to.deep.equal(['a'.repeat(20)]);
      expect(gets).to.deep.equal(['a']);
      expect(store.figures.bytes).to.equal(20);
    });

    it('does not give a part of another version than is asked for', async () => {
      const { version } = (await store.getRange('a', { start: 0, end: 5 }))!;
      expect(await store.getRange('a', { start: 0, end: 5 }, `${version}0`)).to.equal(undefined);
    });

    it('asks once for a part that is wanted several times together', async () => {
      const found = await Promise.all([1, 2, 3].map(() => store.getRange('a', { start: 0, end: 4 })));
      expect(new Set(found.map((part) => part?.bytes.buffer)).size).to.equal(3);
      expect(gets).to.deep.equal(['a']);
      expect(store.figures.hits).to.equal(2);
    });

    it('forgets parts that were used least lately, and those of what is deleted', async () => {
      for (const key of ['a', 'b', 'c', 'd', 'e', 'f']) await store.getRange(key, { start: 0, end: 19 });
      expect(store.figures.bytes).to.equal(95);
      await store.delete('f');
      expect(store.figures.bytes).to.equal(76);
    });

    it('does not keep what is deleted while it is read', async () => {
      let goOn: () => void = () => undefined;
      inner.before = (operation) =>
        operation === 'get'
          ? new Promise((resolve) => {
              goOn = resolve;
            })
          : undefined;
      const reading = store.get('a');
      await store.delete('a');
      goOn();
      await reading;
      inner.before = undefined;
      expect(await get('a')).to.deep.equal([undefined]);
      expect(store.figures.bytes).to.equal(0);
    });
  });
});
