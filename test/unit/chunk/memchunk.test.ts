import { expect } from 'chai';
import { decompressBlock, prepareCodec } from '../../../src/chunk/block-codec.ts';
import { CorruptChunkError } from '../../../src/chunk/corrupt-chunk-error.ts';
import { decodeMemchunk, readSymbols } from '../../../src/chunk/memchunk.ts';
import { bytesOf, entriesOf, memchunkFixtures } from './chunk-fixtures.ts';

describe('MemChunk', () => {
  before(() => prepareCodec('zstd'));

  for (const fixture of memchunkFixtures) {
    it(`reads every entry of ${fixture.file}`, () => {
      const view = decodeMemchunk(fixture.bytes);
      const symbols = view.symbolsSection ? readSymbols(view.symbolsSection, view.encoding) : [];
      expect(view.version).to.equal(fixture.version);
      expect(view.encoding).to.equal(fixture.encoding);
      expect(symbols).to.deep.equal(fixture.symbols ?? []);
      expect(view.blocks.length).to.equal(fixture.blocks.length);
      for (const [index, block] of fixture.blocks.entries()) {
        const meta = view.blocks[index]!;
        expect(meta.count).to.equal(block.entries.length);
        expect(meta.minTime).to.equal(BigInt(block.mint_ns));
        expect(meta.maxTime).to.equal(BigInt(block.maxt_ns));
        const bytes = fixture.bytes.subarray(meta.offset, meta.offset + meta.size);
        const plain = decompressBlock(bytes, view.encoding, { maxBytes: 1 << 20 });
        expect(entriesOf(plain, view.version === 4, symbols)).to.deep.equal(
          block.entries.map(([time, line, metadata = {}]) => ({
            time,
            line: bytesOf(line).toString('latin1'),
            metadata: Object.entries(metadata).flat(),
          })),
        );
      }
    });

    it(`refuses ${fixture.file} cut short anywhere`, () => {
      for (let size = 0; size < fixture.bytes.length; size += 1) {
        expect(() => decodeMemchunk(fixture.bytes.subarray(0, size)), `${size}`).to.throw(CorruptChunkError);
      }
    });
  }

  it('refuses versions and encodings that nobody can read', () => {
    const bytes = memchunkFixtures.find(({ file }) => file === 'v2-gzip.bin')!.bytes;
    const changed = (at: number, value: number): Buffer => {
      const copy = Buffer.from(bytes);
      copy[at] = value;
      return copy;
    };
    expect(() => decodeMemchunk(changed(4, 5))).to.throw(CorruptChunkError, 'version 5');
    expect(() => decodeMemchunk(changed(5, 2))).to.throw(CorruptChunkError, 'encoding 2');
    expect(() => decodeMemchunk(changed(5, 10))).to.throw(CorruptChunkError, 'encoding 10');
  });
});
