import { expect } from 'chai';
import { prepareCodec } from '../../../src/chunk/block-codec.ts';
import { BLOCK_ENCODINGS } from '../../../src/chunk/block-encoding.ts';
import { crc32c } from '../../../src/chunk/checksum.ts';
import { encodeChunkMetadata } from '../../../src/chunk/chunk-metadata.ts';
import { type ChunkView, decodeChunk, encodeChunk } from '../../../src/chunk/chunk-object.ts';
import { CorruptChunkError } from '../../../src/chunk/corrupt-chunk-error.ts';
import type { BlockData } from '../../../src/chunk/memory-format.ts';
import { textOfBytes } from '../../../src/protocol/byte-text.ts';
import { bytesOf, type ChunkFixture, chunkFixtures, entriesOf, fixtureNamed } from './chunk-fixtures.ts';

const checksumOf = (fixture: ChunkFixture): number => Number.parseInt(fixture.checksum_hex, 16);

/** The value of `app` in label-not-utf8. */
const NOT_UTF8 = Buffer.from('bad\xff\xfeutf8', 'latin1');

const metadataOf = ({ metadata_json: text, metadata_json_base64: base64 }: ChunkFixture): Buffer =>
  text === undefined ? Buffer.from(base64 ?? '', 'base64') : Buffer.from(text);

const entriesOfChunk = (chunk: ChunkView) =>
  chunk.blocks.flatMap((_, index) => entriesOf(chunk.inflateBlock(index), chunk.hasMetadataSections, chunk.symbols()));

const blocksOf = (chunk: ChunkView): BlockData[] =>
  chunk.blocks.map((meta, index) => {
    const bytes = chunk.blockBytes(index);
    return {
      bytes,
      encoding: chunk.encoding,
      checksum: crc32c(bytes),
      count: meta.count,
      minTime: meta.minTime,
      maxTime: meta.maxTime,
      uncompressedSize: meta.uncompressedSize,
      hasMetadataSections: chunk.hasMetadataSections,
    };
  });

describe('chunk object', function () {
  // Thousands of readings of one chunk; seconds on a busy machine.
  this.timeout(30_000);

  before(() => prepareCodec('zstd'));

  for (const fixture of chunkFixtures) {
    it(`reads what Loki wrote: ${fixture.name}`, () => {
      const chunk = decodeChunk(fixture.bytes, { checksum: checksumOf(fixture) });
      const labels = Object.entries(fixture.labels ?? { app: textOfBytes(NOT_UTF8) }).flat();
      expect(chunk.tenant).to.equal(fixture.tenant);
      expect(chunk.fingerprint).to.equal(BigInt(fixture.fingerprint_dec));
      expect(chunk.fromMs).to.equal(fixture.from_ms);
      expect(chunk.throughMs).to.equal(fixture.through_ms);
      expect(chunk.labels).to.deep.equal(labels);
      expect(chunk.version).to.equal(fixture.memchunk.version);
      expect(chunk.encoding).to.equal(fixture.memchunk.encoding);
      expect(chunk.blocks).to.deep.equal(
        fixture.memchunk.blocks.map((block) => ({
          count: block.entries,
          minTime: BigInt(block.mint_ns),
          maxTime: BigInt(block.maxt_ns),
          offset: block.offset,
          size: block.length,
          uncompressedSize: block.uncompressed_size,
        })),
      );
      expect(entriesOfChunk(chunk)).to.deep.equal(
        fixture.entries.map(([time, line]) => ({ time, line: bytesOf(line).toString('latin1'), metadata: [] })),
      );
    });

    it(`writes the metadata as Loki does: ${fixture.name}`, () => {
      const chunk = decodeChunk(fixture.bytes);
      expect(encodeChunkMetadata(chunk).toString('latin1')).to.equal(metadataOf(fixture).toString('latin1'));
    });
  }

  const rewritable = chunkFixtures.filter(
    ({ memchunk, name }) => memchunk.blocks.length > 0 && name !== 'leading-empty-lines',
  );
  for (const fixture of rewritable) {
    it(`writes the blocks it read as the very same object: ${fixture.name}`, () => {
      const chunk = decodeChunk(fixture.bytes);
      const { encoding, tenant, fingerprint, labels } = chunk;
      const again = encodeChunk({
        version: 3,
        encoding,
        tenant,
        fingerprint,
        labels,
        symbols: [],
        blocks: blocksOf(chunk),
      });
      expect(Buffer.from(again.bytes).equals(fixture.bytes)).to.equal(true);
      expect(again.checksum).to.equal(checksumOf(fixture));
      expect(again.fromMs).to.equal(fixture.from_ms);
      expect(again.throughMs).to.equal(fixture.through_ms);
    });
  }

  for (const name of ['single-line', 'gzip-12-lines', 'codec-none', 'snappy-unicode', 'zero-blocks']) {
    it(`finds any flipped byte by the checksum of the key: ${name}`, () => {
      const fixture = fixtureNamed(name);
      for (let at = 0; at < fixture.bytes.length; at += 1) {
        const flipped = Buffer.from(fixture.bytes);
        flipped[at]! ^= 1 << (at % 8);
        expect(() => decodeChunk(flipped, { checksum: checksumOf(fixture) }), `byte ${at}`).to.throw(CorruptChunkError);
      }
    });

    it(`without that checksum, a flipped byte is found or changes nothing that is read: ${name}`, () => {
      const { bytes } = fixtureNamed(name);
      const reading = (object: Buffer): unknown => {
        const { tenant, fingerprint, fromMs, throughMs, labels, ...rest } = decodeChunk(object);
        const { blocks } = rest;
        return { tenant, fingerprint, fromMs, throughMs, labels, blocks, entries: entriesOfChunk(decodeChunk(object)) };
      };
      const expected = reading(bytes);
      for (let at = 0; at < bytes.length; at += 1) {
        const flipped = Buffer.from(bytes);
        flipped[at]! ^= 1 << (at % 8);
        let read: unknown;
        try {
          read = reading(flipped);
        } catch (error) {
          expect(error, `byte ${at}`).to.be.instanceOf(CorruptChunkError);
          continue;
        }
        expect(read, `byte ${at}`).to.deep.equal(expected);
      }
    });
  }

  for (const { name, bytes, memchunk } of rewritable) {
    it(`without that checksum, no other encoding is believed: ${name}`, () => {
      const at = bytes.indexOf(Buffer.from([0x01, 0x2e, 0xe5, 0x6a])) + 5;
      const expected = entriesOfChunk(decodeChunk(bytes));
      expect(BLOCK_ENCODINGS[bytes[at]!]).to.equal(memchunk.encoding);
      for (let value = 0; value < 256; value += 1) {
        const changed = Buffer.from(bytes);
        changed[at] = value;
        try {
          expect(entriesOfChunk(decodeChunk(changed)), `encoding ${value}`).to.deep.equal(expected);
        } catch (error) {
          expect(error, `encoding ${value}`).to.be.instanceOf(CorruptChunkError);
        }
      }
    });
  }

  it('refuses an object cut short anywhere', () => {
    const { bytes } = fixtureNamed('gzip-12-lines');
    for (let size = 0; size < bytes.length; size += 1) {
      expect(() => decodeChunk(bytes.subarray(0, size)), `${size} bytes`).to.throw(CorruptChunkError);
    }
  });

  it('refuses to write a chunk without blocks', () => {
    const input = {
      version: 3,
      encoding: 'gzip',
      tenant: 'a',
      fingerprint: 1n,
      labels: [],
      symbols: [],
      blocks: [],
    } as const;
    expect(() => encodeChunk(input)).to.throw('without blocks');
  });
});
