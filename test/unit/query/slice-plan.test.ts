import { expect } from 'chai';
import fc from 'fast-check';
import { labelSetOf } from '../../../src/protocol/label-text.ts';
import type { TimeRangeNs } from '../../../src/protocol/time-range.ts';
import type { GatheredStream } from '../../../src/query/gather-streams.ts';
import { firstBoundOf, type PlannedSlice, SlicePlan } from '../../../src/query/slice-plan.ts';
import { formatChunkKey } from '../../../src/storage/chunk-key.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../support/property-runs.ts';
import { chunkRefsOf } from '../../support/stores/chunk-refs-of.ts';
import { at, BASE_NS, segmentOf } from './test-blocks.ts';

const RUNS = { numRuns: propertyRuns(20) };
const NS_PER_MS = 1_000_000n;

const keyOf = (name: number, fromMs: number, throughMs: number): string =>
  formatChunkKey('v13', { tenant: 't', fingerprint: 1n, fromMs, throughMs, checksum: name });

const streamOf = async (keys: readonly string[]): Promise<GatheredStream> => {
  return { memory: [], refs: (await chunkRefsOf('t', keys)).ofStream(1n) };
};

const range = (startMs: number, endMs: number) => ({
  startNs: BigInt(startMs) * NS_PER_MS,
  endNs: BigInt(endMs) * NS_PER_MS,
});

const directions = ['forward', 'backward'] as const;

/** In order of time, whatever the plan's. */
const slicesOf = (
  stream: GatheredStream,
  span: TimeRangeNs,
  chunksPerSlice: number,
  direction: (typeof directions)[number] = 'forward',
): readonly PlannedSlice[] => {
  const slices = [...new SlicePlan(stream, { ...span, chunksPerSlice, direction })];
  return direction === 'forward' ? slices : slices.reverse();
};

const spans = fc.array(fc.tuple(fc.integer({ min: 0, max: 200 }), fc.integer({ min: 0, max: 60 })), { maxLength: 30 });

describe('slices of a stream', () => {
  for (const direction of directions) {
    it(`do not overlap, and hold every chunk in all of the range it covers: ${direction}`, async () => {
      await fc.assert(
        fc.asyncProperty(
          spans,
          fc.integer({ min: 1, max: 4 }),
          fc.integer({ min: 0, max: 100 }),
          async (given, perSlice, startMs) => {
            const chunks = given.map(([fromMs, length], index) => {
              return { fromMs, throughMs: fromMs + length, key: keyOf(index, fromMs, fromMs + length) };
            });
            const stream = await streamOf(chunks.map(({ key }) => key));
            const slices = slicesOf(stream, range(startMs, 220), perSlice, direction);
            slices.forEach((slice, index) => {
              expect(slice.startNs <= slice.endNs).to.equal(true);
              if (index > 0) expect(slice.startNs > slices[index - 1]!.endNs).to.equal(true);
            });
            for (const { key, fromMs, throughMs } of chunks) {
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

    it(`begin where is said, and tell of the next one where it begins and whether they share chunks: ${direction}`, async () => {
      await fc.assert(
        fc.asyncProperty(
          spans,
          fc.integer({ min: 1, max: 3 }),
          fc.integer({ min: 0, max: 100 }),
          async (given, chunksPerSlice, startMs) => {
            const stream = await streamOf(
              given.map(([fromMs, length], index) => keyOf(index, fromMs, fromMs + length)),
            );
            const options = { ...range(startMs, 180), chunksPerSlice, direction };
            const plan = new SlicePlan(stream, options);
            let expected = firstBoundOf(stream, options);
            let shared: boolean | undefined;
            let before: PlannedSlice | undefined;
            for (let step = plan.next(); step; step = plan.next()) {
              const { slice, next } = step;
              expect(direction === 'forward' ? slice.startNs : slice.endNs).to.equal(expected);
              const keys = new Set(before?.refs.map(({ key }) => key));
              if (before) expect(slice.refs.some(({ key }) => keys.has(key))).to.equal(shared);
              [before, expected, shared] = [slice, next?.boundNs, next?.sharesChunks];
            }
            expect(expected).to.equal(undefined);
          },
        ),
        RUNS,
      );
    }).timeout(PROPERTY_TIMEOUT_MS);
  }

  it('read chunks about three times at most, however much they overlap', async () => {
    const stream = await streamOf(Array.from({ length: 200 }, (_, index) => keyOf(index, index, 1000)));
    const reads = slicesOf(stream, range(0, 2000), 1).reduce((sum, slice) => sum + slice.refs.length, 0);
    expect(reads).to.be.at.most(3 * 200);
  });

  it('are one chunk each where chunks lie apart', async () => {
    const keys = [keyOf(0xb, 20, 30), keyOf(0xa, 0, 10), keyOf(0xc, 40, 50)];
    for (const direction of directions) {
      const slices = slicesOf(await streamOf(keys), range(0, 100), 1, direction);
      expect(slices.map((slice) => slice.refs.map(({ checksum }) => checksum))).to.deep.equal([[0xa], [0xb], [0xc]]);
    }
  });

  it('keep segments in append order, though the later one reaches further back', () => {
    const labels = labelSetOf(['app', 'a']);
    const segments = [
      segmentOf([[at(50, 'x')]], { counter: 1 }),
      segmentOf([[at(10, 'late'), at(60, 'y')]], { counter: 2 }),
    ];
    const everything = { startNs: BASE_NS, endNs: BASE_NS + 100n };
    const [slice] = slicesOf({ memory: [{ labels, segments }], refs: undefined }, everything, 1);
    expect(slice?.memory[0]?.segments.map(({ id }) => id.counter)).to.deep.equal([1, 2]);
    expect([slice?.startNs, slice?.endNs]).to.deep.equal([BASE_NS + 10n, BASE_NS + 60n]);
  });
});
