import { expect } from 'chai';
import fc from 'fast-check';
import { encodeWriteRequest, staleMarkers, timed } from '../../../src/ruler/write-request.ts';
import { propertyRuns } from '../../support/property-runs.ts';
import { readWriteRequest } from '../../support/ruler/read-write-request.ts';

describe('a request of remote write', () => {
  it('is read as what was written, by series in order', () => {
    const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 300 });
    const sample = fc.record({
      labels: fc.oneof(
        fc.constantFrom(['__name__', 'a'], ['__name__', 'a', 'b', 'ü']),
        text.map((value): readonly string[] => ['__name__', value]),
      ),
      value: fc.double({ noNaN: true }),
      timeMs: fc.integer({ min: -1_000_000, max: 4_102_444_800_000 }),
    });
    const check = (samples: readonly { labels: readonly string[]; value: number; timeMs: number }[]): void => {
      const wanted = new Map<string, { labels: [string, string][]; samples: object[] }>();
      for (const { labels, value, timeMs } of samples) {
        const pairs = labels.flatMap((name, index): [string, string][] =>
          index % 2 === 0 ? [[name, labels[index + 1] ?? '']] : [],
        );
        const series = wanted.get(labels.join('\0')) ?? { labels: pairs, samples: [] };
        wanted.set(labels.join('\0'), series);
        series.samples.push({ value: value + 0, timeMs });
      }
      const read = readWriteRequest(encodeWriteRequest(samples)).map(({ labels, samples: all }) => ({
        labels,
        samples: all.map(({ value, timeMs }) => ({ value: value + 0, timeMs })),
      }));
      expect(read).to.deep.equal([...wanted.values()]);
    };
    fc.assert(fc.property(fc.array(sample, { maxLength: 20 }), check), { numRuns: propertyRuns(10) });
  });

  it('says with the bits of one NaN that a series has ended', () => {
    const before = new Map([
      ['x', ['__name__', 'x']],
      ['y', ['__name__', 'y']],
    ]);
    const stale = staleMarkers(before, new Map([['y', ['__name__', 'y']]]), 5);
    expect(stale).to.deep.equal([{ labels: ['__name__', 'x'], value: 'stale', timeMs: 5 }]);
    const nan = timed([{ labels: ['__name__', 'n'], value: Number.NaN }], 6);
    const [first, second] = readWriteRequest(encodeWriteRequest([...stale, ...nan]));
    expect(first?.samples[0]).to.include({ bits: 0x7ff0_0000_0000_0002n, timeMs: 5 });
    expect(second?.samples[0]?.value).to.be.NaN;
    expect(second?.samples[0]?.bits).to.not.equal(0x7ff0_0000_0000_0002n);
  });
});
