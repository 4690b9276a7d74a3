import { expect } from 'chai';
import { crc32c } from '../../../src/chunk/checksum.ts';
import { decodeChunk, encodeChunk } from '../../../src/chunk/chunk-object.ts';
import { cutBlock } from '../../../src/chunk/cut-block.ts';
import { decodeMemchunk, encodeMemchunk } from '../../../src/chunk/memchunk.ts';
import type { BlockData } from '../../../src/chunk/memory-format.ts';
import { rebuildBlocks } from '../../../src/chunk/rebuild-blocks.ts';
import { decodeSkipSection, encodeSkipSection } from '../../../src/chunk/skip-section.ts';
import { chunkFixtures } from './chunk-fixtures.ts';
import { type Entry, headOf } from './entries.ts';

const START = 1_700_000_000_000_000_000n;

/** A block of some 20 KB that begins at `first` seconds. */
const blockAt = (first: number, version: 3 | 4 = 3): BlockData => {
  const entries = Array.from(
    { length: 4000 },
    (_, index): Entry => ({
      time: START + BigInt(first) * 1_000_000_000n + BigInt(index) * 1_000_000n,
      line: `level=info msg="request handled" user=${Math.imul(index + first, 7919) % 5000} seq=${index}`,
      ...(version === 4 && { metadata: ['trace_id', 'abc'] }),
    }),
  );
  return cutBlock(headOf(entries), { encoding: 'gzip', withMetadataSections: version === 4 });
};

const without = ({ skipFilter: _, ...block }: BlockData): BlockData => block;

const memchunkOf = (blocks: readonly BlockData[], version: 3 | 4 = 3): Buffer =>
  Buffer.concat(
    encodeMemchunk({ version, encoding: 'gzip', blocks, symbols: version === 4 ? ['trace_id', 'abc'] : [] }),
  );

const chunkOf = (blocks: readonly BlockData[], version: 3 | 4) => {
  const symbols = version === 4 ? ['trace_id', 'abc'] : [];
  return encodeChunk({
    tenant: 't',
    fingerprint: 1n,
    labels: ['app', 'x'],
    version,
    encoding: 'gzip',
    blocks,
    symbols,
  });
};

/** What Loki does: blocks by the offsets in the metas, which it finds from the end. Version 3. */
const blocksAsLokiFindsThem = (memchunk: Buffer): Buffer[] => {
  const metas = memchunk.subarray(Number(memchunk.readBigUInt64BE(memchunk.length - 8)), memchunk.length - 12);
  expect(memchunk.readUInt32BE(memchunk.length - 12)).to.equal(crc32c(metas));
  let at = 0;
  const uvarint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = metas[at++]!;
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  const count = Number(uvarint());
  return Array.from({ length: count }, () => {
    const [, , , offset, , size] = Array.from({ length: 6 }, uvarint).map(Number);
    const block = memchunk.subarray(offset!, offset! + size!);
    expect(memchunk.readUInt32BE(offset! + size!)).to.equal(crc32c(block));
    return block;
  });
};

describe('skip section', () => {
  const blocks = [blockAt(0), blockAt(10), blockAt(20)];

  for (const version of [3, 4] as const) {
    it(`brings the filter of each block back from a chunk object, version ${version}`, () => {
      const own = [blockAt(0, version), blockAt(10, version)];
      const { bytes, checksum } = chunkOf(own, version);
      const view = decodeChunk(bytes, { checksum });
      for (const [index, { skipFilter, bytes: stored }] of own.entries()) {
        expect(Buffer.compare(view.skipFilter(index)!, skipFilter!)).to.equal(0);
        expect(Buffer.compare(view.blockBytes(index), stored)).to.equal(0);
      }
      if (version === 4) expect(view.symbols()).to.deep.equal(['trace_id', 'abc']);
    });

    it(`takes a twentieth of the compressed blocks at most, version ${version}`, () => {
      const own = [blockAt(0, version), blockAt(10, version)];
      const added = memchunkOf(own, version).length - memchunkOf(own.map(without), version).length;
      const compressed = own.reduce((sum, { bytes }) => sum + bytes.length, 0);
      expect(added).to.be.within(1, compressed / 20);
    });
  }

  it('lies where a reader that goes by the metas, as Loki does, never looks', () => {
    const memchunk = memchunkOf(blocks);
    expect(memchunk.length).to.be.greaterThan(memchunkOf(blocks.map(without)).length);
    for (const [index, block] of blocksAsLokiFindsThem(memchunk).entries()) {
      expect(Buffer.compare(block, blocks[index]!.bytes)).to.equal(0);
    }
  });

  it('leaves a chunk without filters as it ever was', () => {
    const view = decodeMemchunk(memchunkOf(blocks.map(without)));
    expect(view.skipFilters).to.equal(undefined);
    expect(encodeSkipSection([undefined, undefined], 1000)).to.equal(undefined);
  });

  it('is left out where it would be more than a twentieth', () => {
    expect(encodeSkipSection([new Uint8Array(97)], 2100)).to.equal(undefined);
    expect(encodeSkipSection([new Uint8Array(92)], 2100)).to.have.length(105);
  });

  it('holds blocks with and without a filter', () => {
    const view = decodeMemchunk(memchunkOf([blocks[0]!, without(blocks[1]!), blocks[2]!]));
    expect(view.skipFilters?.map((filter) => filter?.length)).to.deep.equal([
      blocks[0]!.skipFilter!.length,
      undefined,
      blocks[2]!.skipFilter!.length,
    ]);
  });

  it('is made anew for blocks that overlap and are merged', () => {
    const form = { encoding: 'gzip', withMetadataSections: false, blockSize: 1 << 18, maxBytes: 1 << 26 } as const;
    const rebuilt = rebuildBlocks([blockAt(0), blockAt(2)], form);
    expect(rebuilt.map(({ skipFilter }) => skipFilter === undefined)).not.to.include(true);
    expect(rebuilt[0]!.skipFilter).not.to.equal(blocks[0]!.skipFilter);
  });

  it('counts as absent, and the chunk as whole, whichever of its bytes is damaged', () => {
    const section = Buffer.from(encodeSkipSection([Uint8Array.of(1, 2, 3), Uint8Array.of(4)], 1000)!);
    expect(decodeSkipSection(section, 0, section.length, 2)).to.deep.equal([Buffer.of(1, 2, 3), Buffer.of(4)]);
    for (let bit = 0; bit < 8 * section.length; bit += 1) {
      const damaged = Buffer.from(section);
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      expect(decodeSkipSection(damaged, 0, damaged.length, 2), `bit ${bit}`).to.equal(undefined);
    }
    const memchunk = memchunkOf(blocks);
    const metasOffset = Number(memchunk.readBigUInt64BE(memchunk.length - 8));
    memchunk[metasOffset - 100]! ^= 1;
    const view = decodeMemchunk(memchunk);
    expect(view.skipFilters).to.equal(undefined);
    expect(view.blocks).to.have.length(3);
  });

  it('counts as absent if it is of another number of blocks, or reaches into the last one', () => {
    const section = Buffer.from(encodeSkipSection([Uint8Array.of(1, 2, 3), Uint8Array.of(4)], 1000)!);
    expect(decodeSkipSection(section, 0, section.length, 1)).to.equal(undefined);
    expect(decodeSkipSection(section, 0, section.length, 3)).to.equal(undefined);
    expect(decodeSkipSection(section, 1, section.length, 2)).to.equal(undefined);
    for (let size = 0; size < section.length; size += 1) {
      expect(decodeSkipSection(section.subarray(0, size), 0, size, 2)).to.equal(undefined);
    }
  });

  it('is in no chunk that Loki wrote', () => {
    for (const { bytes, name } of chunkFixtures) {
      const view = decodeChunk(bytes);
      for (const index of view.blocks.keys()) expect(view.skipFilter(index), name).to.equal(undefined);
    }
  });
});
