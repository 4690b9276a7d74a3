import { expect } from 'chai';
import fc from 'fast-check';
import { sortByTime } from '../../../src/query/sort-by-time.ts';
import { propertyRuns } from '../../support/property-runs.ts';

const columnsOf = (times: readonly number[]) => ({
  times: Float64Array.from(times),
  values: Float64Array.from(times, (_, index) => index),
});

describe('sortByTime', () => {
  it('is a stable sort', async () => {
    const runs = fc.array(fc.array(fc.integer({ min: 0, max: 50 })).map((run) => run.sort((a, b) => a - b)));
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.array(fc.integer({ min: -5, max: 5 })),
          runs.map((lists) => lists.flat()),
        ),
        async (times) => {
          const sorted = await sortByTime(columnsOf(times), async () => undefined);
          const wanted = times.map((time, index) => [time, index] as const).sort((a, b) => a[0] - b[0] || a[1] - b[1]);
          expect([...sorted.times].map((time, index) => [time, sorted.values[index]])).to.deep.equal(wanted);
        },
      ),
      { numRuns: propertyRuns(20) },
    );
  });
});
