import { expect } from 'chai';
import fc from 'fast-check';
import { StepWindows } from '../../../src/query/step-windows.ts';
import { slidingWindows, type ValueWindows, valuesByStep } from '../../../src/query/value-windows.ts';
import { propertyRuns } from '../../support/property-runs.ts';

const contents = ({ values, firsts, ends }: ValueWindows): number[][] =>
  Array.from(firsts, (first, step) => [...values.slice(first, ends[step])].sort((a, b) => a - b));

describe('windows over values', () => {
  it('hold by step what they hold of sorted values, where no two overlap', async () => {
    const shape = fc.record({
      step: fc.integer({ min: 1, max: 9 }),
      less: fc.nat({ max: 8 }),
      count: fc.integer({ min: 1, max: 6 }),
      times: fc.array(fc.integer({ min: -30, max: 60 }), { maxLength: 40 }),
    });
    await fc.assert(
      fc.asyncProperty(shape, async ({ step, less, count, times }) => {
        const grid = { startNs: 0n, stepNs: BigInt(step), count };
        const windows = () => new StepWindows(grid, BigInt(Math.max(1, step - less)), 3n, 0n);
        const sorted = [...times].sort((a, b) => a - b);
        // Each value tells its time.
        const columnsOf = (list: readonly number[]) => ({
          times: Float64Array.from(list),
          values: Float64Array.from(list),
        });
        const wanted = contents(slidingWindows(columnsOf(sorted), windows()));
        const middle = times.length >> 1;
        const from = columnsOf(times);
        const order = Uint32Array.from(times.keys()).reverse();
        const parts = [
          { from, order, start: 0, end: middle },
          { from, order, start: middle, end: times.length },
        ];
        expect(contents(await valuesByStep(parts, windows(), async () => undefined))).to.deep.equal(wanted);
      }),
      { numRuns: propertyRuns(4) },
    );
  });
});
