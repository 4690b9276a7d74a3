import { expect } from 'chai';
import fc from 'fast-check';
import { type MemoryRegion, SlabMemory } from '../../../src/chunk/slab-memory.ts';
import { PROPERTY_TIMEOUT_MS } from '../../support/property-runs.ts';
import { propertyRuns } from './entries.ts';

const KIB = 1024;
const SLAB = 64 * KIB;

const overlap = (one: MemoryRegion, other: MemoryRegion): boolean =>
  one.buffer === other.buffer && one.offset < other.offset + other.size && other.offset < one.offset + one.size;

describe('slab memory', function () {
  this.timeout(PROPERTY_TIMEOUT_MS);

  it('gives regions large enough, inside their buffer, that never overlap, and joins all again', () => {
    const step = fc.record({ size: fc.integer({ min: 1, max: SLAB + KIB }), frees: fc.nat() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const memory = new SlabMemory(SLAB, 0);
        const taken: MemoryRegion[] = [];
        for (const { size, frees } of steps) {
          const region = memory.take(size);
          expect(region.size).to.be.at.least(size);
          expect(region.offset % 8).to.equal(0);
          expect(region.offset + region.size).to.be.at.most(region.buffer.byteLength);
          for (const other of taken) expect(overlap(region, other)).to.equal(false);
          taken.push(region);
          for (let left = frees % 3; left > 0 && taken.length > 0; left -= 1) {
            memory.give(taken.splice(frees % taken.length, 1)[0]!);
          }
        }
        const inSlabs = taken.filter(({ size }) => size <= SLAB).reduce((sum, { size }) => sum + size, 0);
        expect(memory.takenBytes).to.equal(inSlabs);
        for (const region of taken) memory.give(region);
        expect([memory.takenBytes, memory.slabBytes]).to.deep.equal([0, 0]);
      }),
      propertyRuns,
    );
  });

  it('fills a slab with blocks of the least size before it takes another', () => {
    const memory = new SlabMemory(SLAB, 1);
    const regions = Array.from({ length: 64 }, () => memory.take(1));
    expect([memory.slabBytes, memory.takenBytes]).to.deep.equal([SLAB, SLAB]);
    memory.take(1);
    expect(memory.slabBytes).to.equal(2 * SLAB);
    for (const region of regions) memory.give(region);
    expect(memory.take(SLAB).size).to.equal(SLAB);
    expect(memory.slabBytes).to.equal(2 * SLAB);
  });

  it('keeps empty slabs up to its bound', () => {
    const memory = new SlabMemory(SLAB, 2);
    const regions = Array.from({ length: 5 }, () => memory.take(SLAB));
    for (const region of regions) memory.give(region);
    expect(memory.slabBytes).to.equal(2 * SLAB);
  });

  it('gives a buffer of its own for what is larger than a slab', () => {
    const memory = new SlabMemory(SLAB, 0);
    const region = memory.take(SLAB + 1);
    expect([region.size, region.offset, region.buffer.byteLength]).to.deep.equal([SLAB + 1, 0, SLAB + 1]);
    memory.give(region);
    expect(memory.slabBytes).to.equal(0);
  });
});
