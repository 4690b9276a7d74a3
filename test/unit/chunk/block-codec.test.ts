import zlib from 'node:zlib';
import { expect } from 'chai';
import fc from 'fast-check';
import { compressBlock, decompressBlock, prepareCodec, releaseBlock } from '../../../src/chunk/block-codec.ts';
import { BLOCK_ENCODINGS } from '../../../src/chunk/block-encoding.ts';
import { CorruptChunkError } from '../../../src/chunk/corrupt-chunk-error.ts';
import { inflateEngine } from '../../../src/chunk/gzip-member.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from './entries.ts';

const ENCODINGS = BLOCK_ENCODINGS.filter((encoding) => encoding !== 'dumb');
const TEXT = Buffer.from(Array.from({ length: 3000 }, (_, n) => `level=info n=${n * 7919} msg="served"\n`).join(''));
const SAMPLES: readonly (readonly [string, Buffer])[] = [
  ['nothing', Buffer.alloc(0)],
  ['a byte', Buffer.from('a')],
  ['text', TEXT],
  ['64 KiB of zeros', Buffer.alloc(65536)],
  ['a megabyte of text', Buffer.concat(Array.from({ length: 12 }, () => TEXT)).subarray(0, 1 << 20)],
  ['five megabytes', Buffer.alloc(5 << 20, TEXT)],
  ['noise', Buffer.from(Array.from({ length: 70_000 }, (_, n) => (Math.imul(n, n ^ 0x9e3779b1) >>> 13) & 255))],
];
const ROOM = { maxBytes: 64 << 20 };

describe('block codec', function () {
  this.timeout(PROPERTY_TIMEOUT_MS);
  before(() => prepareCodec('zstd'));

  for (const encoding of ENCODINGS) {
    for (const [name, plain] of SAMPLES) {
      it(`${encoding} gives back ${name}`, () => {
        const stored = compressBlock(plain, encoding);
        for (const isVerified of [false, true]) {
          expect(decompressBlock(stored, encoding, { ...ROOM, isVerified }).equals(plain)).to.equal(true);
        }
      });
    }

    it(`${encoding} takes its plain bytes back, and leaves the stored ones alone`, () => {
      for (const [name, plain] of SAMPLES) {
        const stored = compressBlock(plain, encoding);
        releaseBlock(decompressBlock(stored, encoding, ROOM), encoding);
        expect(decompressBlock(stored, encoding, ROOM).equals(plain), name).to.equal(true);
      }
    });

    it(`${encoding} gives back any bytes`, () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 400 }), (plain) => {
          const stored = compressBlock(plain, encoding);
          expect(decompressBlock(stored, encoding, ROOM).equals(plain)).to.equal(true);
        }),
        { numRuns: Math.ceil(propertyRuns.numRuns / ENCODINGS.length) },
      );
    });

    it(`${encoding} makes no more bytes than it is allowed, and exactly that many if need be`, () => {
      const stored = compressBlock(TEXT, encoding);
      expect(decompressBlock(stored, encoding, { maxBytes: TEXT.length }).length).to.equal(TEXT.length);
      for (const maxBytes of [TEXT.length - 1, 1000, 0]) {
        expect(() => decompressBlock(stored, encoding, { maxBytes }), `${maxBytes}`).to.throw(CorruptChunkError);
      }
    });

    it(`${encoding} cut short is refused or, for stored bytes, cut short`, () => {
      const stored = compressBlock(TEXT.subarray(0, 500), encoding);
      for (let size = 0; size < stored.length; size += 1) {
        const read = () => decompressBlock(stored.subarray(0, size), encoding, ROOM);
        if (encoding === 'none') expect(read().length).to.equal(size);
        // Neither format says at its start how many frames will follow.
        else if (encoding === 'zstd' && size === 0) expect(read().length).to.equal(0);
        else if (encoding === 'snappy' && size === 10) expect(read().length).to.equal(0);
        else expect(read, `${size} bytes`).to.throw(CorruptChunkError);
      }
    });

    it(`${encoding} survives any damage`, () => {
      const stored = Buffer.from(compressBlock(TEXT.subarray(0, 3000), encoding));
      fc.assert(
        fc.property(fc.nat({ max: stored.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, change) => {
          const damaged = Buffer.from(stored);
          damaged[at]! ^= change;
          try {
            decompressBlock(damaged, encoding, { maxBytes: 1 << 20 });
          } catch (error) {
            expect(error).to.be.instanceOf(CorruptChunkError);
          }
          expect(decompressBlock(stored, encoding, ROOM).equals(TEXT.subarray(0, 3000))).to.equal(true);
        }),
        { numRuns: Math.ceil(propertyRuns.numRuns / ENCODINGS.length) },
      );
    });
  }

  it('refuses the encoding nobody writes', () => {
    expect(() => compressBlock(TEXT, 'dumb')).to.throw('dumb');
    expect(() => decompressBlock(TEXT, 'dumb', ROOM)).to.throw(CorruptChunkError, 'dumb');
  });
});

describe('gzip member', function () {
  this.timeout(PROPERTY_TIMEOUT_MS);
  const read = (bytes: Uint8Array, isVerified = false) =>
    decompressBlock(bytes, 'gzip', { maxBytes: 1 << 20, isVerified }).toString('latin1');

  it('writes what any gzip reader reads', () => {
    for (const level of [1, 4, 6, 9]) {
      expect(zlib.gunzipSync(compressBlock(TEXT, 'gzip', level)).equals(TEXT)).to.equal(true);
    }
  });

  it('reads what any gzip writer wrote', () => {
    for (const level of [0, 1, 6, 9]) {
      for (const isVerified of [false, true]) {
        expect(read(zlib.gzipSync(TEXT, { level }), isVerified)).to.equal(TEXT.toString('latin1'));
      }
    }
  });

  it('reads several members as one, also where the last one looks like the whole', () => {
    const one = zlib.gzipSync(Buffer.from('first '));
    const two = zlib.gzipSync(Buffer.from('other '));
    for (const isVerified of [false, true]) {
      expect(read(Buffer.concat([one, two]), isVerified)).to.equal('first other ');
      expect(read(Buffer.concat([one, zlib.gzipSync('')]), isVerified)).to.equal('first ');
      const ours = [
        Buffer.from(compressBlock(Buffer.from('first '), 'gzip')),
        compressBlock(Buffer.from('other '), 'gzip'),
      ];
      expect(read(Buffer.concat(ours), isVerified)).to.equal('first other ');
    }
  });

  it('reads a member with a file name in its header', () => {
    const plain = zlib.gzipSync(Buffer.from('named'));
    const named = Buffer.concat([plain.subarray(0, 10), Buffer.from('a.log\0'), plain.subarray(10)]);
    named[3] = 8;
    expect(read(named)).to.equal('named');
  });

  it('does not believe a checksum or a size that is wrong', () => {
    for (const at of [-1, -8]) {
      const stored = Buffer.from(compressBlock(TEXT, 'gzip'));
      stored[stored.length + at]! ^= 1;
      expect(() => read(stored), `byte ${at}`).to.throw(CorruptChunkError);
    }
  });

  it('stops a bomb at the limit', () => {
    const bomb = zlib.gzipSync(Buffer.alloc(50 << 20));
    expect(() => read(bomb)).to.throw(CorruptChunkError, 'too large');
    bomb.writeUInt32LE(1000, bomb.length - 4);
    expect(() => read(bomb, true)).to.throw(CorruptChunkError, 'too large');
  });

  it('says which engine reads our blocks', () => {
    expect(inflateEngine()).to.be.oneOf(['zlib-sync', 'node:zlib']);
  });
});
