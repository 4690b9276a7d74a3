import { expect } from 'chai';
import { BLOCK_ENCODINGS } from '../../../src/chunk/block-encoding.ts';
import { decodeChunk, encodeChunk } from '../../../src/chunk/chunk-object.ts';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import { readChunk } from '../../../src/query/fetch-chunk.ts';
import { MemoryChunkStore } from '../../support/stores/memory-chunk-store.ts';
import { chunkFixtures } from '../chunk/chunk-fixtures.ts';
import { BLOCKS, holding, type StoredChunk, storedChunk, within } from './stored-chunk.ts';

/** Whether each block can be read. */
const readable = (bytes: Uint8Array): boolean[] => {
  const view = decodeChunk(bytes);
  return [...view.blocks.keys()].map((index) => {
    try {
      return view.inflateBlock(index).length > 0;
    } catch {
      return false;
    }
  });
};

const numbersOf = (flags: readonly boolean[]): number[] => [...flags.keys()].filter((index) => flags[index]);

const bytesRead = ({ ranges }: MemoryChunkStore): number =>
  ranges.reduce((sum, { start, end }) => sum + end - start, 0);

describe('fetching a chunk', () => {
  let store: MemoryChunkStore;
  let whole: string[];

  beforeEach(() => {
    store = new MemoryChunkStore();
    whole = [];
    const get = store.get.bind(store);
    store.get = (key) => {
      whole.push(key);
      return get(key);
    };
  });

  for (const version of [3, 4] as const) {
    for (const encoding of BLOCK_ENCODINGS.filter((one) => one !== 'dumb')) {
      it(`reads the wanted blocks of one of which little is wanted: version ${version}, ${encoding}`, async () => {
        const ref = await storedChunk(store, encoding, version);
        const { bytes, isPart } = await readChunk(store, ref, within(4, 7));
        expect(isPart).to.equal(true);
        const found = readable(bytes);
        expect(numbersOf(found)).to.include.members([2, 3]);
        expect(numbersOf(found).length, 'few others, between what was read').to.be.lessThan(6);
        expect(whole).to.deep.equal([]);
        expect(bytesRead(store)).to.be.lessThan(bytes.length / 2);
        expect(decodeChunk(bytes).symbols()).to.have.length(version === 4 ? 501 : 0);
        expect(bytes.byteLength).to.equal(bytes.buffer.byteLength);
      });
    }
  }

  it('reads the blocks that may hold a text, however much of the time is wanted', async () => {
    const ref = await storedChunk(store);
    const { bytes, isPart } = await readChunk(store, ref, holding('needle 7 '));
    expect(isPart).to.equal(true);
    expect(numbersOf(readable(bytes))).to.include(7);
    expect(bytesRead(store)).to.be.lessThan(bytes.length / 2);
    const nowhere = await readChunk(store, ref, holding('no such thing'));
    expect(readable(nowhere.bytes).slice(1, 6), 'neither in the head nor in the tail').not.to.include(true);
  });

  it('reads all blocks of the range where no filter says what they hold', async () => {
    const ref = await storedChunk(store);
    const view = decodeChunk(ref.bytes);
    const blocks = [...view.blocks.keys()].map((index) => ({
      ...view.blocks[index]!,
      bytes: view.blockBytes(index),
      checksum: Buffer.from(ref.bytes).readUInt32BE(view.blockSpan(index).end - 4),
      encoding: 'gzip' as const,
      hasMetadataSections: false,
    }));
    const form = { version: 3, encoding: 'gzip', symbols: [], blocks } as const;
    const plain = encodeChunk({ tenant: 'test', fingerprint: 1n, labels: ['app', 'a'], ...form });
    await store.put('plain', plain.bytes);
    const { bytes } = await readChunk(store, { ...plain, key: 'plain' }, holding('needle 7 ', within(0, 100)));
    expect(numbersOf(readable(bytes))).to.have.length(BLOCKS);
    expect(whole).to.deep.equal([]);
  });

  it('reads the whole, in one request, if much of it is wanted', async () => {
    const ref = await storedChunk(store);
    const { bytes, isPart } = await readChunk(store, ref, within(0, 12));
    expect([isPart, bytes.length, store.ranges.length]).to.deep.equal([false, ref.bytes.length, 0]);
  });

  it('takes a small object for the whole that it is', async () => {
    for (const { bytes, checksum_hex: checksum, name, from_ms: fromMs, through_ms: throughMs } of chunkFixtures) {
      if (bytes.length > 16_000) continue;
      await store.put(name, bytes);
      const ref = { key: name, checksum: Number.parseInt(checksum, 16), fromMs, throughMs };
      const found = await readChunk(store, ref, holding('no such thing'));
      expect(found.isPart, name).to.equal(false);
      expect(Buffer.compare(found.bytes, bytes), name).to.equal(0);
    }
    expect(whole).to.deep.equal([]);
  });

  it('reads chunks that Loki wrote as it did', async () => {
    for (const { bytes, checksum_hex: checksum, name, from_ms: fromMs, through_ms: throughMs } of chunkFixtures) {
      await store.put(name, bytes);
      const view = decodeChunk(bytes);
      for (const index of view.blocks.keys()) {
        const { minTime: startNs, maxTime: endNs } = view.blocks[index]!;
        const ref = { key: name, checksum: Number.parseInt(checksum, 16), fromMs, throughMs };
        const found = decodeChunk(
          (await readChunk(store, ref, holding('text', { range: { startNs, endNs }, mayPass: undefined }))).bytes,
        );
        expect(found.labels, name).to.deep.equal(view.labels);
        expect(Buffer.compare(found.inflateBlock(index), view.inflateBlock(index)), name).to.equal(0);
      }
    }
  });

  describe('that is not what it should be', () => {
    let ref: StoredChunk;

    beforeEach(async () => {
      ref = await storedChunk(store, 'gzip', 4);
    });

    /** What `getRange` gives, changed. */
    const whenRead = (change: (bytes: Uint8Array, start: number) => void): void => {
      const getRange = store.getRange.bind(store);
      store.getRange = async (...asked) => {
        const part = await getRange(...asked);
        if (part) change(part.bytes, part.start);
        return part;
      };
    };

    it('reads the whole if any byte of what it reads in parts is damaged, but in filters, without which it reads more', async () => {
      const view = decodeChunk(ref.bytes);
      const metas = view.blockSpan(BLOCKS - 1).end;
      const { start, end } = view.blockSpan(2);
      const places = [
        0,
        5,
        100,
        300,
        2000,
        start,
        end - 5,
        end - 1,
        metas + 5000,
        ref.bytes.length - 200,
        ref.bytes.length - 40,
        ref.bytes.length - 1,
      ];
      const getRange = store.getRange;
      for (const place of places) {
        store.getRange = getRange;
        whenRead((bytes, from) => {
          if (place >= from && place < from + bytes.length) bytes[place - from]! ^= 0x10;
        });
        const { bytes } = await readChunk(store, ref, holding('needle 2 '));
        const found = decodeChunk(bytes);
        expect(found.inflateBlock(2).includes('needle 2 '), `byte ${place}`).to.equal(true);
        expect(found.labels).to.deep.equal(['app', 'a']);
      }
      expect(whole.length).to.be.within(places.length - 2, places.length);
    });

    it('reads the whole if the object is another one in the middle of it', async () => {
      let reads = 0;
      store.before = () => {
        reads += 1;
        if (reads === 3) store.objects.set(ref.key, new Uint8Array(ref.bytes));
      };
      const { bytes, isPart } = await readChunk(store, ref, within(4, 7));
      expect([isPart, whole.length]).to.deep.equal([false, 1]);
      expect(Buffer.compare(bytes, ref.bytes)).to.equal(0);
    });

    it('reads the whole if the object is cut off, however much of it is left', async () => {
      for (const size of [0, 1, 7, 50, 5000, 17_000, 100_000, ref.bytes.length - 1]) {
        store.objects.set(ref.key, ref.bytes.subarray(0, size));
        whole.length = 0;
        const { bytes, isPart } = await readChunk(store, ref, within(4, 7));
        expect([isPart, bytes.length, whole.length], `${size} bytes`).to.deep.equal([false, size, 1]);
      }
    });

    it('reads the whole if a part is shorter than was asked for', async () => {
      const getRange = store.getRange.bind(store);
      store.getRange = async (key, range, version) => {
        const part = await getRange(key, range, version);
        return part && version !== undefined ? { ...part, bytes: part.bytes.slice(0, -1) } : part;
      };
      expect((await readChunk(store, ref, within(4, 7))).isPart).to.equal(false);
    });

    it('refuses, naming it, if it is not there', async () => {
      store.objects.clear();
      for (const want of [within(4, 7), within(0, 100), holding('needle')]) {
        const refusal = await readChunk(store, ref, want).catch((error: unknown) => error);
        expect(refusal).to.be.instanceOf(RefusedError);
        expect((refusal as RefusedError).refusal).to.include({ code: 'INTERNAL' });
        expect((refusal as RefusedError).message).to.include(ref.key);
      }
    });
  });
});
