import { expect } from 'chai';
import { packed } from '../../../src/log/packed-bytes.ts';

describe('bytes that share a buffer', () => {
  it('are copies that stay as they were, of any size and number', () => {
    const sizes = [0, 1, 1023, 1024, 1025, 5000, ...Array.from({ length: 200 }, (_, index) => (37 * index) % 1100)];
    const given = sizes.map((size, index) => new Uint8Array(size).fill(index + 1));
    const copies = given.map(packed);
    for (const bytes of given) bytes.fill(0);
    expect(copies.map((copy) => [copy.length, copy.every((byte) => byte === copy[0])])).to.deep.equal(
      sizes.map((size) => [size, true]),
    );
    expect(copies.map((copy) => copy[0])).to.deep.equal(
      sizes.map((size, index) => (size === 0 ? undefined : (index + 1) & 0xff)),
    );
    const buffers = new Set(copies.map(({ buffer }) => buffer));
    expect(buffers.size, 'fewer than there are copies').to.be.below(copies.length / 2);
  });
});
