import { expect } from 'chai';
import fc from 'fast-check';
import { CorruptChunkError } from '../../../src/chunk/corrupt-chunk-error.ts';
import {
  compareInt64,
  highWord,
  int64,
  lowWord,
  uvarintSize,
  VarintReader,
  writeUvarint,
  writeVarint64,
} from '../../../src/chunk/varint.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from './entries.ts';

const anyInt64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });

describe('varint', function () {
  this.timeout(PROPERTY_TIMEOUT_MS);
  it('reads every uvarint it wrote, of the size it said', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (value) => {
        const bytes = new Uint8Array(10);
        const end = writeUvarint(bytes, 0, value);
        expect(end).to.equal(uvarintSize(value));
        expect(new VarintReader(bytes, 0, end).uvarint()).to.equal(value);
      }),
      propertyRuns,
    );
  });

  it('reads every 64-bit varint it wrote', () => {
    fc.assert(
      fc.property(anyInt64, (value) => {
        const bytes = new Uint8Array(10);
        const end = writeVarint64(bytes, 0, lowWord(value), highWord(value));
        const reader = new VarintReader(bytes, 0, end);
        expect(reader.varint64()).to.equal(value);
        expect(reader.isAtEnd).to.equal(true);
        expect(int64(lowWord(value), highWord(value))).to.equal(value);
      }),
      propertyRuns,
    );
  });

  it('orders 64-bit words as the numbers they are', () => {
    fc.assert(
      fc.property(anyInt64, anyInt64, (a, b) => {
        const order = compareInt64(lowWord(a), highWord(a), lowWord(b), highWord(b));
        expect(Math.sign(order)).to.equal(a < b ? -1 : a > b ? 1 : 0);
      }),
      propertyRuns,
    );
  });

  it('writes what Go writes', () => {
    const written = (value: bigint): string => {
      const bytes = Buffer.alloc(10);
      return bytes.toString('hex', 0, writeVarint64(bytes, 0, lowWord(value), highWord(value)));
    };
    expect(written(0n)).to.equal('00');
    expect(written(-1n)).to.equal('01');
    expect(written(1n)).to.equal('02');
    expect(written(64n)).to.equal('8001');
    expect(written(1681207200000000000n)).to.equal('8080a2ddcfc2ecd42e');
    expect(written(2n ** 63n - 1n)).to.equal('feffffffffffffffff01');
    expect(written(-(2n ** 63n))).to.equal('ffffffffffffffffff01');
  });

  it('refuses what is cut short or too large', () => {
    expect(() => new VarintReader(Buffer.from('ff', 'hex')).uvarint()).to.throw(CorruptChunkError, 'cut short');
    expect(() => new VarintReader(Buffer.from('ffffffffffffffffff01', 'hex')).uvarint()).to.throw(CorruptChunkError);
    expect(() => new VarintReader(Buffer.alloc(11, 0xff)).varint64()).to.throw(CorruptChunkError, 'too large');
    expect(() => new VarintReader(Buffer.alloc(3)).take(4)).to.throw(CorruptChunkError, 'past the end');
  });
});
