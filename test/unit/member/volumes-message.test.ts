import { expect } from 'chai';
import { decodeVolumes, encodeVolumes } from '../../../src/member/volumes-message.ts';
import type { HeldSegmentVolume } from '../../../src/query/stream-volume.ts';
import { labelsOf } from '../../support/entries.ts';

const segment = (counter: number, entries = 5): HeldSegmentVolume => ({
  id: { nodeId: 'a', incarnation: 2, counter },
  startNs: -(2n ** 63n),
  endNs: 2n ** 63n - 1n,
  entries,
  bytes: 2 ** 40,
});

describe('the volumes that a node tells', () => {
  it('arrive as they were sent', () => {
    const volumes = [
      { labels: labelsOf('{app="web", msg="a\\"b"}'), segments: [segment(1), segment(2)] },
      { labels: labelsOf('{app="none"}'), segments: [] },
    ];
    const message = { changedAt: 7, volumes, isLast: true };
    expect(decodeVolumes(encodeVolumes(message))).to.deep.equal(message);
  });
});
