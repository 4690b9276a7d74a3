import { expect } from 'chai';
import { releaseMemory } from '../../../src/protocol/release-memory.ts';

describe('released memory', () => {
  it('is no longer behind any view', () => {
    const bytes = Buffer.from(new ArrayBuffer(1 << 20));
    const part = bytes.subarray(10, 20);
    releaseMemory(part);
    expect([bytes.length, part.length]).to.deep.equal([0, 0]);
  });

  it('may be released twice', () => {
    const bytes = new Uint8Array(1 << 20);
    releaseMemory(bytes);
    releaseMemory(bytes);
    expect(bytes.length).to.equal(0);
  });

  it('is counted as free at once', () => {
    const before = process.memoryUsage().arrayBuffers;
    for (let round = 0; round < 64; round += 1) releaseMemory(Buffer.allocUnsafe(1 << 20));
    expect(process.memoryUsage().arrayBuffers - before).to.be.below(8 << 20);
  });

  it('is all that is larger than the pool of Node, which is left alone', () => {
    const sizes = [8 << 10, (8 << 10) + 1, 12 << 10];
    const left = sizes.map((size) => {
      const bytes = new Uint8Array(size);
      releaseMemory(bytes);
      return bytes.length;
    });
    expect(left).to.deep.equal([8 << 10, 0, 0]);
  });

  it('is none of what is small or shared: other views may need it', () => {
    for (const bytes of [Buffer.allocUnsafe(100), Buffer.alloc(100), new Uint8Array(new SharedArrayBuffer(1 << 20))]) {
      const size = bytes.length;
      releaseMemory(bytes);
      expect(bytes.length).to.equal(size);
    }
  });
});
