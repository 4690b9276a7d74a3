import { expect } from 'chai';
import type { LoggedSegment, SegmentSnapshot, UnflushedSegment } from '../../../src/chunk/memory-format.ts';
import { uniteLabelSets, uniteStreams, uniteVolumes } from '../../../src/member/unite-answers.ts';
import type { HeldSegmentVolume } from '../../../src/query/stream-volume.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { labelsOf } from '../../support/entries.ts';
import { turnsDuring } from '../../support/turns-during.ts';

const WEB = labelsOf('{app="web"}');
const DB = labelsOf('{app="db"}');

const idOf = (counter: number) => ({ nodeId: 'a', incarnation: 2, counter });
const atHand = (counter: number): UnflushedSegment =>
  ({ id: idOf(counter), blocks: [], heads: [] }) as unknown as SegmentSnapshot;
const inLog = (counter: number): UnflushedSegment =>
  ({ id: idOf(counter), load: () => Promise.reject() }) as unknown as LoggedSegment;
const volumeOf = (counter: number, entries: number): HeldSegmentVolume => ({
  id: idOf(counter),
  startNs: 0n,
  endNs: 1n,
  entries,
  bytes: 1,
});

describe('the answers of several members', () => {
  it('are one of each stream, with each segment once, at hand where one has it so', async () => {
    const [one, other, loaded] = [inLog(1), inLog(2), atHand(1)];
    const united = await uniteStreams(systemClock, [
      [{ labels: WEB, segments: [one, other] }],
      [
        { labels: DB, segments: [other] },
        { labels: WEB, segments: [loaded] },
      ],
      [{ labels: WEB, segments: [one] }],
    ]);
    expect(united).to.deep.equal([
      { labels: WEB, segments: [loaded, other] },
      { labels: DB, segments: [other] },
    ]);
  });

  it('count a segment once that two nodes hold while it moves, with what the newer copy has', async () => {
    const united = await uniteVolumes(systemClock, [
      [{ labels: WEB, segments: [volumeOf(1, 3), volumeOf(2, 5)] }],
      [{ labels: WEB, segments: [volumeOf(1, 9)] }],
    ]);
    expect(united).to.deep.equal([{ labels: WEB, segments: [volumeOf(1, 9), volumeOf(2, 5)] }]);
  });

  it('name each label set once', async () => {
    expect(await uniteLabelSets(systemClock, [[WEB, DB], [labelsOf('{app="db"}')]])).to.deep.equal([WEB, DB]);
  });

  it('leave turns to others, where there are very many', async () => {
    const streams = Array.from({ length: 20_000 }, (_, index) => ({
      labels: labelsOf(`{app="${index}"}`),
      segments: [atHand(index)],
    }));
    let nowMs = 0;
    // Each look at it takes a millisecond.
    const clock = { ...systemClock, monotonicMs: () => (nowMs += 1) };
    expect(await turnsDuring(uniteStreams(clock, [streams]))).to.be.at.least(100);
  });
});
