import { expect } from 'chai';
import fc from 'fast-check';
import { labelSetOf } from '../../../src/protocol/label-text.ts';
import { planSlices } from '../../../src/query/plan-slices.ts';
import type { ChunkRef } from '../../../src/storage/index-reader.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../support/property-runs.ts';
import { at, BASE_NS, segmentOf } from './test-blocks.ts';

const RUNS = { numRuns: propertyRuns(20) };
const NS_PER_MS = 1_000_000n;

const refOf = (key: string, fromMs: number, throughMs: number): ChunkRef => ({
  key,
  tenant: 't',
  fingerprint: 1n,
  fromMs,
  throughMs,
  checksum: 0,
});

const streamOf = (refs: readonly ChunkRef[]) => ({ fingerprint: 1n, memory: [], refs: [...refs] });
const range = (startMs: number, endMs: number) => ({
  startNs: BigInt(startMs) * NS_PER_MS,
  endNs: BigInt(endMs) * NS_PER_MS,
});

describe('slices of a stream', () => {
  it('do not overlap, and hold every chunk in all of the range it covers', () => {
    const chunks = fc.array(fc.tuple(fc.integer({ min: 0, max: 200 }), fc.integer({ min: 0, max: 60 })), {
      maxLength: 30,
    });
    fc.assert(
      fc.property(
        chunks,
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 0, max: 100 }),
        (spans, perSlice, startMs) => {
          const refs = spans.map(([fromMs, length], index) => refOf(`k${index}`, fromMs, fromMs + length));
          const slices = planSlices(streamOf(refs), range(startMs, 220), perSlice);
          slices.forEach((slice, index) => {
            expect(slice.startNs <= slice.endNs).to.equal(true);
            if (index > 0) expect(slice.startNs > slices[index - 1]!.endNs).to.equal(true);
          });
          for (const { key, fromMs, throughMs } of refs) {
            for (let ms = Math.max(fromMs, startMs); ms <= Math.min(throughMs, 220); ms += 1) {
              const time = BigInt(ms) * NS_PER_MS;
              const home = slices.filter(({ startNs, endNs }) => startNs <= time && time <= endNs);
              expect(home.map((slice) => slice.refs.some((ref) => ref.key === key))).to.deep.equal([true]);
            }
          }
        },
      ),
      RUNS,
    );
  }).timeout(PROPERTY_TIMEOUT_MS);

  it('read chunks about three times at most, however much they overlap', () => {
    const refs = Array.from({ length: 200 }, (_, index) => refOf(`k${index}`, index, 1000));
    const reads = planSlices(streamOf(refs), range(0, 2000), 1).reduce((sum, slice) => sum + slice.refs.length, 0);
    expect(reads).to.be.at.most(3 * refs.length);
  });

  it('are one chunk each where chunks lie apart', () => {
    const refs = [refOf('b', 20, 30), refOf('a', 0, 10), refOf('c', 40, 50)];
    const slices = planSlices(streamOf(refs), range(0, 100), 1);
    expect(slices.map((slice) => slice.refs.map(({ key }) => key))).to.deep.equal([['a'], ['b'], ['c']]);
  });

  it('keep segments in append order, though the later one reaches further back', () => {
    const labels = labelSetOf(['app', 'a']);
    const segments = [
      segmentOf([[at(50, 'x')]], { counter: 1 }),
      segmentOf([[at(10, 'late'), at(60, 'y')]], { counter: 2 }),
    ];
    const everything = { startNs: BASE_NS, endNs: BASE_NS + 100n };
    const [slice] = planSlices({ fingerprint: 1n, memory: [{ labels, segments }], refs: [] }, everything, 1);
    expect(slice?.memory[0]?.segments.map(({ id }) => id.counter)).to.deep.equal([1, 2]);
    expect([slice?.startNs, slice?.endNs]).to.deep.equal([BASE_NS + 10n, BASE_NS + 60n]);
  });
});
