import { expect } from 'chai';
import fc from 'fast-check';
import { decompressBlock } from '../../../src/chunk/block-codec.ts';
import { decodeChunk, encodeChunk } from '../../../src/chunk/chunk-object.ts';
import { cutBlock } from '../../../src/chunk/cut-block.ts';
import { HeadMemory } from '../../../src/chunk/head-memory.ts';
import type { SegmentSnapshot } from '../../../src/chunk/memory-format.ts';
import { areBlocksAscending, rebuildBlocks } from '../../../src/chunk/rebuild-blocks.ts';
import { type HeadCut, Segment } from '../../../src/chunk/segment.ts';
import type { SegmentLimits } from '../../../src/chunk/segment-limits.ts';
import type { MemoryRegion } from '../../../src/chunk/slab-memory.ts';
import { entriesOf } from './chunk-fixtures.ts';
import {
  anyEntries,
  columnsOf,
  type Entry,
  entriesOfHead,
  PROPERTY_TIMEOUT_MS,
  propertyRuns,
  rangeOf,
  sortedDistinct,
} from './entries.ts';

const T = 1_700_000_000_000_000_000n;
const ID = { nodeId: 'node-1', incarnation: 7, counter: 1 };
const LARGE: SegmentLimits = { blockSize: 262_144, targetSize: 1_572_864 };
const FORM = { encoding: 'gzip', withMetadataSections: true } as const;
const ROOM = { maxBytes: 64 << 20 };

const numbered = (count: number, start = 0, size = 10): Entry[] =>
  Array.from({ length: count }, (_, n) => ({
    time: T + BigInt(start + n),
    line: `${start + n}`.padEnd(size, '.'),
  }));

const compress = (segment: Segment, cut: HeadCut): void => segment.headCut(cut.number, cutBlock(cut.head, FORM));

const cutAll = (segment: Segment): void => {
  for (let cut = segment.cutHead(); cut; cut = segment.cutHead()) compress(segment, cut);
};

/** Everything a reader of the snapshot sees. */
const entriesOfSnapshot = ({ blocks, heads, symbols }: SegmentSnapshot): Entry[] => [
  ...blocks.flatMap((block) =>
    entriesOf(decompressBlock(block.bytes, block.encoding, ROOM), block.hasMetadataSections, symbols).map(
      ({ time, line, metadata }) =>
        metadata.length > 0 ? { time: BigInt(time), line, metadata } : { time: BigInt(time), line },
    ),
  ),
  ...heads.flatMap((head) => entriesOfHead(head, symbols)),
];

describe('segment', function () {
  this.timeout(PROPERTY_TIMEOUT_MS);
  it('drops what repeats entries at the border of a closed head, whatever came after them', () => {
    const segment = new Segment(ID, { blockSize: 40, targetSize: 1 << 20 });
    const border: Entry[] = [
      ...numbered(2),
      { time: T + 2n, line: 'x'.repeat(10) },
      { time: T + 2n, line: 'y'.repeat(10), metadata: ['a', 'b'] },
    ];
    segment.append(rangeOf(border));
    expect(segment.cutsInFlight).to.equal(1);
    expect(
      segment.append(rangeOf([{ time: T + 2n, line: 'z'.repeat(10) }, ...numbered(1, 3), ...border.slice(2)])),
    ).to.include({
      accepted: 2,
      duplicates: 2,
    });
    cutAll(segment);
    expect(segment.isOverlapping).to.equal(false);
    expect(entriesOfSnapshot(segment.snapshot()).map(({ line }) => line[0])).to.deep.equal([
      '0',
      '1',
      'x',
      'y',
      'z',
      '3',
    ]);
  });

  it('cuts a block once the head has the block size, and splits a push there', () => {
    const segment = new Segment(ID, { blockSize: 100, targetSize: 1 << 20 });
    expect(segment.append(rangeOf(numbered(25)))).to.deep.equal({
      next: 25,
      accepted: 25,
      duplicates: 0,
      acceptedBytes: 250,
      isFull: false,
    });
    const first = segment.nextCut();
    const second = segment.nextCut();
    expect([first?.head.count, second?.head.count, segment.nextCut()]).to.deep.equal([10, 10, undefined]);
    expect(segment.headLineBytes).to.equal(50);
  });

  it('cuts after the entry that reaches the block size, however long it is', () => {
    const segment = new Segment(ID, { blockSize: 100, targetSize: 1 << 20 });
    segment.append(rangeOf([...numbered(9), { time: T + 9n, line: 'x'.repeat(500) }, ...numbered(1, 10)]));
    expect(segment.nextCut()?.head.lineBytes).to.equal(590);
    expect(segment.headLineBytes).to.equal(10);
  });

  it('is full before the entry that would reach the target size', () => {
    const segment = new Segment(ID, { blockSize: 1000, targetSize: 100 });
    expect(segment.append(rangeOf(numbered(25)))).to.include({ next: 9, accepted: 9, isFull: true });
    expect(segment.append(rangeOf(numbered(1, 9)))).to.include({ next: 0, accepted: 0, isFull: true });
    expect(segment.append(rangeOf(numbered(1, 9, 9)))).to.include({ next: 1, isFull: false });
  });

  it('counts heads in flight by what they will become, and blocks by what they are', () => {
    const segment = new Segment(ID, { blockSize: 600, targetSize: 1000 });
    // A hundred lines of ten bytes: a cut of 600, guessed at 100, and 400 in the head.
    expect(segment.append(rangeOf(numbered(100))).isFull).to.equal(false);
    const cut = segment.nextCut()!;
    const block = cutBlock(cut.head, FORM);
    segment.headCut(cut.number, block);
    const room = 1000 - block.bytes.length - 400;
    expect(segment.append(rangeOf([{ time: T + 999n, line: 'x'.repeat(room) }])).isFull).to.equal(true);
    expect(segment.append(rangeOf([{ time: T + 999n, line: 'x'.repeat(room - 1) }])).isFull).to.equal(false);
  });

  it('takes one entry into an empty segment, however long', () => {
    const segment = new Segment(ID, { blockSize: 10, targetSize: 20 });
    expect(segment.append(rangeOf(numbered(2, 0, 1000)))).to.include({ next: 1, accepted: 1, isFull: true });
  });

  it('is full after ten blocks if no target size is set', () => {
    const segment = new Segment(ID, { blockSize: 10, targetSize: 0 });
    expect(segment.append(rangeOf(numbered(25)))).to.include({ next: 10, isFull: true });
  });

  it('keeps every entry readable while its head is being compressed', () => {
    const segment = new Segment(ID, { blockSize: 50, targetSize: 1 << 20 });
    const entries = numbered(23);
    segment.append(rangeOf(entries));
    expect(entriesOfSnapshot(segment.snapshot())).to.deep.equal(entries);
    for (let cut = segment.nextCut(); cut; cut = segment.nextCut()) {
      expect(entriesOfSnapshot(segment.snapshot())).to.deep.equal(entries);
      compress(segment, cut);
      expect(entriesOfSnapshot(segment.snapshot())).to.deep.equal(entries);
    }
    expect(segment.blocks.length).to.equal(4);
  });

  it('installs blocks in append order, in whatever order they come', () => {
    const segment = new Segment(ID, { blockSize: 50, targetSize: 1 << 20 });
    const entries = numbered(20);
    segment.append(rangeOf(entries));
    const cuts = [segment.nextCut()!, segment.nextCut()!, segment.nextCut()!, segment.nextCut()!];
    for (const index of [2, 3, 1]) compress(segment, cuts[index]!);
    expect(segment.blocks.length).to.equal(0);
    expect(segment.snapshot().heads.length).to.equal(4);
    compress(segment, cuts[0]!);
    expect(segment.blocks.map(({ minTime }) => minTime)).to.deep.equal([T, T + 5n, T + 10n, T + 15n]);
    expect(segment.isAllCut).to.equal(true);
    expect(entriesOfSnapshot(segment.snapshot())).to.deep.equal(entries);
  });

  it('hands a head out again after its compression failed', () => {
    const segment = new Segment(ID, { blockSize: 50, targetSize: 1 << 20 });
    segment.append(rangeOf(numbered(5)));
    const cut = segment.nextCut()!;
    expect(segment.nextCut()).to.equal(undefined);
    segment.cutFailed(cut.number);
    expect(segment.nextCut()?.number).to.equal(cut.number);
  });

  it('cuts a smaller block when asked to', () => {
    const segment = new Segment(ID, LARGE);
    segment.append(rangeOf(numbered(3)));
    expect(segment.nextCut()).to.equal(undefined);
    compress(segment, segment.cutHead()!);
    expect(segment.cutHead()).to.equal(undefined);
    segment.append(rangeOf(numbered(3, 3)));
    expect(entriesOfSnapshot(segment.snapshot())).to.deep.equal(numbered(6));
  });

  it('drops a repetition of the last entry across a cut and across segments', () => {
    const segment = new Segment(ID, LARGE);
    segment.append(rangeOf(numbered(3)));
    cutAll(segment);
    const again = [...numbered(1, 2), ...numbered(1, 2), ...numbered(1, 3)];
    expect(segment.append(rangeOf(again))).to.include({ accepted: 1, duplicates: 2 });
    const next = new Segment({ ...ID, counter: 2 }, LARGE, segment.lastEntry);
    expect(next.append(rangeOf(numbered(1, 3)))).to.include({ accepted: 0, duplicates: 1 });
    expect(next.append(rangeOf([{ time: T + 3n, line: 'other' }, ...numbered(1, 3)]))).to.include({ accepted: 2 });
  });

  it('tells its bounds over blocks, heads in flight and the open head', () => {
    const segment = new Segment(ID, { blockSize: 20, targetSize: 1 << 20 });
    expect([segment.minTime, segment.maxTime, segment.isEmpty]).to.deep.equal([undefined, undefined, true]);
    segment.append(rangeOf(numbered(2, 10)));
    segment.append(rangeOf(numbered(2, 40)));
    segment.append(rangeOf(numbered(1, 5)));
    expect([segment.minTime, segment.maxTime]).to.deep.equal([T + 5n, T + 41n]);
    expect(segment.isOverlapping).to.equal(false);
    cutAll(segment);
    expect([segment.minTime, segment.maxTime]).to.deep.equal([T + 5n, T + 41n]);
    expect(segment.isOverlapping).to.equal(true);
  });

  it('holds a stream with one short line in little memory', () => {
    const segment = new Segment(ID, LARGE);
    segment.append(rangeOf(numbered(1)));
    expect(segment.memoryBytes).to.be.at.most(64);
  });

  it('keeps a stable snapshot while it is appended to', () => {
    const segment = new Segment(ID, { blockSize: 100, targetSize: 1 << 20 });
    segment.append(rangeOf(numbered(15)));
    const snapshot = segment.snapshot();
    segment.append(rangeOf(numbered(500, 15)));
    cutAll(segment);
    expect(entriesOfSnapshot(snapshot)).to.deep.equal(numbered(15));
  });

  it('takes part of a push that holds other streams too', () => {
    const segment = new Segment(ID, LARGE);
    const columns = columnsOf(numbered(30));
    segment.append({ columns, first: 10, end: 20 });
    expect(entriesOfSnapshot(segment.snapshot())).to.deep.equal(numbered(10, 10));
  });
});

describe('rebuilding blocks', function () {
  this.timeout(PROPERTY_TIMEOUT_MS);
  const options = { ...FORM, blockSize: 60, ...ROOM };

  it('leaves blocks alone that are in order', () => {
    const segment = new Segment(ID, { blockSize: 50, targetSize: 1 << 20 });
    segment.append(rangeOf(numbered(30)));
    cutAll(segment);
    expect(rebuildBlocks(segment.blocks, options)).to.equal(segment.blocks);
  });

  it('touches only the blocks that overlap', () => {
    const segment = new Segment(ID, { blockSize: 50, targetSize: 1 << 20 });
    segment.append(rangeOf([...numbered(5), ...numbered(5, 20), ...numbered(5, 18), ...numbered(5, 30)]));
    cutAll(segment);
    const rebuilt = rebuildBlocks(segment.blocks, options);
    expect(areBlocksAscending(rebuilt)).to.equal(true);
    expect([rebuilt[0], rebuilt.at(-1)]).to.deep.equal([segment.blocks[0], segment.blocks[3]]);
    expect(rebuilt.map(({ count }) => count)).to.deep.equal([5, 6, 1, 5]);
  });

  it('makes of any pushes a chunk that holds each entry once, in order', () => {
    fc.assert(
      fc.property(
        fc.array(anyEntries(12), { minLength: 1, maxLength: 8 }),
        fc.constantFrom(3 as const, 4 as const),
        fc.constantFrom('gzip' as const, 'snappy' as const, 'none' as const, 'lz4' as const),
        (pushes, version, encoding) => {
          const form = { encoding, withMetadataSections: version === 4 };
          const segment = new Segment(ID, { blockSize: 40, targetSize: 1 << 20 });
          for (const push of pushes) segment.append(rangeOf(push));
          for (let cut = segment.cutHead(); cut; cut = segment.cutHead()) {
            segment.headCut(cut.number, cutBlock(cut.head, form));
          }
          if (segment.isEmpty) return;
          const blocks = rebuildBlocks(segment.blocks, { ...form, blockSize: 40, ...ROOM });
          const { symbols } = segment;
          const input = { tenant: 'a', fingerprint: 5n, labels: ['app', 'x'], version, encoding, blocks, symbols };
          const { bytes, checksum } = encodeChunk(input);
          const chunk = decodeChunk(bytes, { checksum });
          const read = chunk.blocks.flatMap((meta, index) => {
            const entries = entriesOf(chunk.inflateBlock(index), version === 4, chunk.symbols());
            expect(meta.count).to.equal(entries.length);
            expect([meta.minTime, meta.maxTime]).to.deep.equal([
              BigInt(entries[0]!.time),
              BigInt(entries.at(-1)!.time),
            ]);
            return entries.map(({ time, line, metadata }) => ({ time: BigInt(time), line, metadata }));
          });
          const all = pushes.flat().map(({ time, line, metadata = [] }) => ({
            time,
            line,
            metadata: version === 4 ? metadata : [],
          }));
          // Equal entries may stay where no merge had a reason to look at them together: in touching blocks.
          expect(sortedDistinct(read)).to.deep.equal(sortedDistinct(all));
          expect(read.every(({ time }, at) => at === 0 || time >= read[at - 1]!.time)).to.equal(true);
          expect(areBlocksAscending(blocks)).to.equal(true);
        },
      ),
      propertyRuns,
    );
  });
});

describe('a segment that finds no memory', () => {
  class ShortMemory extends HeadMemory {
    takesLeft = Number.POSITIVE_INFINITY;

    override take(size: number): MemoryRegion {
      this.takesLeft -= 1;
      if (this.takesLeft < 0) throw new RangeError('Array buffer allocation failed');
      return super.take(size);
    }
  }

  it('keeps what its head held before it had to grow', () => {
    const memory = new ShortMemory();
    const segment = new Segment(ID, { ...LARGE, memory });
    segment.append(rangeOf(numbered(2)));
    memory.takesLeft = 0;
    expect(() => segment.append(rangeOf(numbered(100, 2)))).to.throw(RangeError);
    expect(entriesOfSnapshot(segment.snapshot())).to.deep.equal(numbered(2));
    memory.takesLeft = 1;
    segment.append(rangeOf(numbered(100, 2)));
    cutAll(segment);
    expect(entriesOfSnapshot(segment.snapshot())).to.deep.equal(numbered(102));
  });

  it('can be stored without the head that stayed empty', () => {
    const memory = new ShortMemory();
    const segment = new Segment(ID, { ...LARGE, memory });
    memory.takesLeft = 1;
    expect(() => segment.append(rangeOf(numbered(20_000)))).to.throw(RangeError);
    expect([segment.isEmpty, segment.isAllCut]).to.deep.equal([true, true]);
  });

  it('has its block although its memory could not be given back', () => {
    const memory = new HeadMemory(() => {
      throw new RangeError('Array buffer allocation failed');
    });
    const segment = new Segment(ID, { ...LARGE, memory });
    segment.append(rangeOf(numbered(3)));
    segment.snapshot();
    expect(() => cutAll(segment)).to.throw(RangeError);
    expect(segment.isAllCut).to.equal(true);
    expect(entriesOfSnapshot(segment.snapshot())).to.deep.equal(numbered(3));
  });
});

describe('a segment of what hardly counts as lines', () => {
  it('is full when the texts of its metadata reach the target size, and says what they take', () => {
    const segment = new Segment(ID, { blockSize: 1 << 20, targetSize: 100_000 });
    const entry = (n: number): Entry => ({ time: T + BigInt(n), line: '', metadata: ['id', `${n}`.padEnd(1000)] });
    let appended = 0;
    while (!segment.append(rangeOf([entry(appended)])).isFull) appended += 1;
    expect(appended).to.equal(100);
    expect(segment.symbolBytes).to.be.within(100_000, 120_000);
    expect(segment.memoryBytes).to.be.above(segment.symbolBytes);
  });

  it('is full when its lines are too many to be rebuilt, however well they compress', () => {
    const segment = new Segment(ID, { blockSize: 1 << 20, targetSize: 1 << 30 });
    const line = 'x'.repeat(1 << 20);
    const cutSmall = () => {
      for (let cut = segment.nextCut(); cut; cut = segment.nextCut()) {
        const { count, minTime, maxTime, lineBytes: uncompressedSize } = cut.head;
        const figures = { checksum: 0, count, minTime, maxTime, uncompressedSize, hasMetadataSections: true };
        segment.headCut(cut.number, { bytes: new Uint8Array(10), encoding: 'gzip', ...figures });
      }
    };
    let appended = 0;
    while (!segment.append(rangeOf([{ time: T + BigInt(appended), line }])).isFull) {
      appended += 1;
      cutSmall();
    }
    expect(appended).to.be.within(250, 256);
  });
});
