import { expect } from 'chai';
import { textOfBytes } from '../../../src/protocol/byte-text.ts';
import { rowKeyOf } from '../../../src/storage/bigtable-row-key.ts';

const FNV_OFFSET = 0xcbf29ce484222325n;
const FNV_PRIME = 0x100000001b3n;

/** As it is defined, in whole numbers. */
const fnv1a64 = (bytes: Uint8Array): bigint => {
  let hash = FNV_OFFSET;
  for (const byte of bytes) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * FNV_PRIME);
  return hash;
};

describe('row keys in Bigtable', () => {
  it('are the hash value, or have its FNV-1a in front, as Loki wrote it', () => {
    const hashValue = 'tenant-a:d19458:C2C3grzUIPM1avpwsvm1YJkhTG+N70E0yoc/ZnECMis';
    expect(rowKeyOf('bigtable', hashValue).toString()).to.equal(hashValue);
    expect(rowKeyOf('bigtable-hashed', hashValue).toString()).to.equal(`126fc62ccd531334-${hashValue}`);
  });

  it('hash as whole numbers of 64 bits do', () => {
    for (let size = 0; size < 300; size++) {
      const bytes = Buffer.from(Uint8Array.from({ length: size }, (_, index) => (index * 167 + size * 31) % 256));
      const hashValue = textOfBytes(bytes);
      const expected = Buffer.alloc(8);
      expected.writeBigUInt64LE(fnv1a64(bytes));
      const key = rowKeyOf('bigtable-hashed', hashValue);
      expect(key.toString('latin1'), `${size}`).to.equal(`${expected.toString('hex')}-${bytes.toString('latin1')}`);
    }
  });

  it('keep bytes that are no UTF-8', () => {
    expect([...rowKeyOf('bigtable', 'a\udcff')]).to.deep.equal([0x61, 0xff]);
  });

  it('are never longer than Bigtable takes, and differ', () => {
    for (const layout of ['bigtable', 'bigtable-hashed'] as const) {
      const keys = [4_070, 4_080, 4_096, 4_097, 5_000].map((size) => rowKeyOf(layout, 'n'.repeat(size)));
      for (const key of keys) expect(key.length).to.be.at.most(4_096);
      expect(new Set(keys.map((key) => key.toString('latin1'))).size).to.equal(keys.length);
    }
  });
});
