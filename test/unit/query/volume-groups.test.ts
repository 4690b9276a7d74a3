import { expect } from 'chai';
import type { RefusedError } from '../../../src/protocol/refusal.ts';
import { shareIn } from '../../../src/query/stream-volume.ts';
import { type VolumeGrouping, VolumeGroups } from '../../../src/query/volume-groups.ts';
import { labelsOf } from '../../support/entries.ts';

const DAY = { startNs: 0n, endNs: 99n };
const STREAMS: readonly (readonly [text: string, bytes: number])[] = [
  ['{app="a", env="p"}', 10],
  ['{app="a", env="s"}', 20],
  ['{app="b", env="p"}', 30],
  ['{job="j"}', 5],
];

const grouped = (grouping: Partial<VolumeGrouping>, limit = 100): unknown => {
  const defaults = { targetLabels: [], names: [], aggregateBy: 'series', groupsMax: 0 } as const;
  const groups = new VolumeGroups({ ...defaults, ...grouping }, [DAY]);
  for (const [text, bytes] of STREAMS) {
    groups.add({ labels: labelsOf(text), parts: [{ startNs: 10n, endNs: 20n, entries: 1, bytes }] });
  }
  return groups.largest(limit).map(({ labels, bytes }) => [labels.join(' '), bytes[0]]);
};

describe('volumes of streams', () => {
  it('are put together by the target labels, of streams that have all of them', () => {
    expect(grouped({ targetLabels: ['app'] })).to.deep.equal([
      ['app a', 30],
      ['app b', 30],
    ]);
    expect(grouped({ targetLabels: ['app', 'job'] })).to.deep.equal([]);
  });

  it('are put together by the labels of the selector, and by all where it has none', () => {
    expect(grouped({ names: ['env'] })).to.deep.equal([
      ['env p', 40],
      ['env s', 20],
      ['', 5],
    ]);
    expect(grouped({})).to.deep.equal([
      ['app b env p', 30],
      ['app a env s', 20],
      ['app a env p', 10],
      ['job j', 5],
    ]);
  });

  it('are put together by names of labels, whatever their values', () => {
    expect(grouped({ aggregateBy: 'labels', names: ['app'] })).to.deep.equal([
      ['app ', 60],
      ['env ', 60],
      ['job ', 5],
    ]);
  });

  it('are the largest, by size and then by name', () => {
    expect(grouped({ targetLabels: ['app'] }, 1)).to.deep.equal([['app a', 30]]);
  });

  it('are refused where there are more groups than allowed', () => {
    const refused = (): unknown => grouped({ groupsMax: 3 });
    expect(refused).to.throw('the query hit the max number of series limit (limit: 3 series)');
    expect(() => grouped({ groupsMax: 4 })).not.to.throw();
  });

  it('go to each range by the share of their time in it', () => {
    const ranges = [
      { startNs: 0n, endNs: 9n },
      { startNs: 10n, endNs: 19n },
      { startNs: 20n, endNs: 29n },
    ];
    const groups = new VolumeGroups({ targetLabels: [], names: [], aggregateBy: 'series', groupsMax: 0 }, ranges);
    const labels = labelsOf('{app="a"}');
    groups.add({ labels, parts: [{ startNs: 5n, endNs: 14n, entries: 1, bytes: 100 }] });
    groups.add({ labels, parts: [{ startNs: 29n, endNs: 29n, entries: 1, bytes: 7 }] });
    expect(groups.largest(10).map(({ bytes }) => bytes)).to.deep.equal([[50, 50, 7]]);
  });

  it('are whole within the range, none outside it', () => {
    expect(shareIn({ startNs: 10n, endNs: 20n }, { startNs: 10n, endNs: 20n })).to.equal(1);
    expect(shareIn({ startNs: 10n, endNs: 10n }, { startNs: 0n, endNs: 10n })).to.equal(1);
    expect(shareIn({ startNs: 10n, endNs: 20n }, { startNs: 21n, endNs: 30n })).to.equal(0);
  });

  it('say that they failed as the server’s own error', () => {
    try {
      grouped({ groupsMax: 1 });
    } catch (error) {
      expect((error as RefusedError).refusal.code).to.equal('INTERNAL');
      return;
    }
    expect.fail('was not refused');
  });
});
