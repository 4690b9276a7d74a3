import { expect } from 'chai';
import fc from 'fast-check';
import { type Bucketed, SizeBuckets } from '../../../src/actors/size-buckets.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../support/property-runs.ts';

const member = (): Bucketed => ({ bucketBytes: 0, bucketPrevious: undefined, bucketNext: undefined });

describe('SizeBuckets', () => {
  it('names nobody while all are empty', () => {
    expect(new SizeBuckets().largest()).to.equal(undefined);
  });

  it('names, of members of about the same size, the one that has been it longest', () => {
    const buckets = new SizeBuckets();
    const [first, second] = [member(), member()];
    buckets.update(first, 70_000);
    buckets.update(second, 80_000);
    expect(buckets.largest()).to.equal(first);
    buckets.update(first, 0);
    expect(buckets.largest()).to.equal(second);
  });

  it('keeps the total, and the one it names is never smaller than half of the largest', () => {
    const change = fc.record({ member: fc.nat(9), bytes: fc.oneof(fc.constant(0), fc.nat(1_000_000)) });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 60 }), (changes) => {
        const buckets = new SizeBuckets();
        const members = Array.from({ length: 10 }, member);
        for (const { member: index, bytes } of changes) buckets.update(members[index]!, bytes);
        const sizes = members.map(({ bucketBytes }) => bucketBytes);
        expect(buckets.totalBytes).to.equal(sizes.reduce((sum, bytes) => sum + bytes, 0));
        const named = buckets.largest()?.bucketBytes ?? 0;
        expect(named * 2).to.be.at.least(Math.max(...sizes));
        expect(named > 0).to.equal(Math.max(...sizes) > 0);
      }),
      { numRuns: propertyRuns(4) },
    );
  }).timeout(PROPERTY_TIMEOUT_MS);
});
