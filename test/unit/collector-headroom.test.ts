import { expect } from 'chai';
import { growthPercent } from '../../src/collector-headroom.ts';

const MIB = 1 << 20;

describe('the headroom of the collector', () => {
  it('is the same number of bytes whatever a small heap holds', () => {
    for (const heap of [10, 25, 64, 150]) {
      expect((growthPercent(heap * MIB) / 100) * heap).to.be.within(112, 114);
    }
  });

  it('is left to V8 where the heap is large', () => {
    expect(growthPercent(192 * MIB)).to.equal(0);
  });
});
