import { expect } from 'chai';
import { givenWithinMs, isBehind, isStoringDue } from '../../../src/member/leave-progress.ts';

describe('a node that leaves', () => {
  const progress = { elapsedMs: 15_000, deadlineMs: 30_000, lingerMs: 5_000, given: 9_000, left: 1_000 };

  it('goes on handing over behind half of its time while that will be done a linger before the deadline', () => {
    expect(isStoringDue(progress)).to.equal(false);
    expect(isStoringDue({ ...progress, elapsedMs: 19_000 })).to.equal(false);
  });

  it('stores what is left when the pace so far is too slow, or there was none', () => {
    expect(isStoringDue({ ...progress, given: 2_000, left: 8_000 })).to.equal(true);
    expect(isStoringDue({ ...progress, given: 0 })).to.equal(true);
  });

  it('stores what is left when no time to linger remains', () => {
    expect(isStoringDue({ ...progress, lingerMs: 15_000 })).to.equal(true);
    expect(isStoringDue({ ...progress, elapsedMs: 22_000 })).to.equal(true);
  });

  it('stores nothing in the first half of its time, nor when nothing is left', () => {
    expect(isStoringDue({ ...progress, elapsedMs: 14_999, given: 0 })).to.equal(false);
    expect(isStoringDue({ ...progress, lingerMs: 15_000, left: 0 })).to.equal(false);
  });

  it('rests while it is ahead of an even pace that ends well before what is left would be stored', () => {
    const withinMs = givenWithinMs({ deadlineMs: 30_000, lingerMs: 5_000 });
    expect(withinMs).to.be.within(15_000, 21_250);
    expect(givenWithinMs({ deadlineMs: 10_000, lingerMs: 15_000 }), 'a drain in a hurry').to.equal(2_500);
    const giving = { elapsedMs: withinMs / 2, withinMs, given: 500, left: 500, isSealing: false };
    expect(isBehind(giving)).to.equal(false);
    expect(isBehind({ ...giving, given: 499, left: 501 })).to.equal(true);
    expect(isBehind({ ...giving, elapsedMs: 2 * withinMs, given: 1_000, left: 0 }), 'more came').to.equal(true);
  });

  it('takes no more than a quarter of that for sealing', () => {
    const giving = { elapsedMs: 2_500, withinMs: 10_000, given: 0, left: 0, isSealing: true };
    expect(isBehind(giving)).to.equal(false);
    expect(isBehind({ ...giving, elapsedMs: 2_501 })).to.equal(true);
  });
});
