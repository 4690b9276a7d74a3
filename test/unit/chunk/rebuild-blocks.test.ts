import { expect } from 'chai';
import { crc32c } from '../../../src/chunk/checksum.ts';
import { cutBlock } from '../../../src/chunk/cut-block.ts';
import type { BlockData } from '../../../src/chunk/memory-format.ts';
import { rebuildBlocks } from '../../../src/chunk/rebuild-blocks.ts';
import { Segment } from '../../../src/chunk/segment.ts';
import { type Entry, rangeOf } from './entries.ts';

const FORM = { encoding: 'gzip', level: 1, withMetadataSections: false } as const;
const LIMITS = { blockSize: 1 << 24, targetSize: 1 << 24 };
const TIME = 1000n;
/** The varint of TIME and the length of a line of 12 bytes: what stands in front of the line in a block. */
const FRAMING = Buffer.of(0xd0, 0x0f, 12);

/** CRC-32C, reflected. */
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
  return value;
});
const byteWithTop = new Map(Array.from(TABLE, (value, byte) => [value >>> 24, byte]));

/** `bytes` and four more, chosen so that the checksum of all is `wanted`. */
const withChecksum = (bytes: Buffer, wanted: number): Buffer => {
  const steps: number[] = [];
  let back = ~wanted >>> 0;
  for (let index = 0; index < 4; index += 1) {
    const byte = byteWithTop.get(back >>> 24) ?? 0;
    steps.unshift(byte);
    back = ((back ^ (TABLE[byte] ?? 0)) << 8) >>> 0;
  }
  let value = ~crc32c(bytes) >>> 0;
  const tail = steps.map((step) => {
    const byte = (value ^ step) & 0xff;
    value = (value >>> 8) ^ (TABLE[step] ?? 0);
    return byte;
  });
  return Buffer.concat([bytes, Buffer.from(tail)]);
};

/** Different entries of one time whose bytes all have the same checksum. */
const alikeEntries = (count: number, salt: number): Entry[] =>
  Array.from({ length: count }, (_, index) => {
    const line = Buffer.alloc(8);
    line.writeUInt32LE(index, 0);
    line.writeUInt32LE(salt, 4);
    const entry = withChecksum(Buffer.concat([FRAMING, line]), 0xdeadbeef);
    return { time: TIME, line: entry.toString('latin1', FRAMING.length) };
  });

const blockOf = (entries: readonly Entry[]): BlockData => {
  const segment = new Segment({ nodeId: 'node', incarnation: 1, counter: 1 }, LIMITS);
  segment.append(rangeOf(entries));
  const cut = segment.cutHead();
  if (!cut) throw new Error('nothing to cut');
  return cutBlock(cut.head, FORM);
};

describe('rebuildBlocks', () => {
  it('keeps lines that were made to share a checksum, without comparing each with all', () => {
    const entries = alikeEntries(2, 0).map(({ line }) => Buffer.concat([FRAMING, Buffer.from(line, 'latin1')]));
    expect(entries.map((entry) => crc32c(entry))).to.deep.equal([0xdeadbeef, 0xdeadbeef]);
    const later = (ns: bigint): Entry => ({ time: TIME + ns, line: 'later' });
    const blocks = [blockOf([...alikeEntries(15_000, 1), later(1n)]), blockOf([...alikeEntries(15_000, 2), later(2n)])];
    const rebuilt = rebuildBlocks(blocks, { ...FORM, blockSize: LIMITS.blockSize, maxBytes: 64 << 20 });
    expect(rebuilt.map(({ count }) => count)).to.deep.equal([30_002]);
  }).timeout(10_000);

  it('finds what a segment repeats of the one before where they only touch', () => {
    const entry = (ns: bigint): Entry => ({ time: TIME + ns, line: `${ns}` });
    const blocks = [
      [entry(0n), entry(1n)],
      [entry(1n), entry(2n)],
      [entry(2n), entry(3n)],
    ].map(blockOf);
    const options = { ...FORM, blockSize: LIMITS.blockSize, maxBytes: 64 << 20 };
    expect(rebuildBlocks(blocks, options)).to.equal(blocks);
    expect(rebuildBlocks(blocks, { ...options, joint: 1 }).map(({ count }) => count)).to.deep.equal([3, 2]);
    expect(rebuildBlocks(blocks, { ...options, joint: 2 }).map(({ count }) => count)).to.deep.equal([2, 3]);
  });

  it('finds what a late block repeats of a block that it only touches', () => {
    const entry = (ns: bigint): Entry => ({ time: TIME + ns, line: `${ns}` });
    const lists = [[entry(0n), entry(1n)], [entry(1n), entry(5n)], [entry(1n)], [entry(0n)]].map((entries, index) =>
      index === 1 ? [{ time: TIME + 1n, line: 'another' }, entry(5n)] : entries,
    );
    const rebuilt = rebuildBlocks(lists.map(blockOf), { ...FORM, blockSize: LIMITS.blockSize, maxBytes: 64 << 20 });
    expect(rebuilt.reduce((sum, { count }) => sum + count, 0)).to.equal(4);
  });
});
