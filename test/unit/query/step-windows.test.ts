import { expect } from 'chai';
import fc from 'fast-check';
import { gridOf, StepWindows, timesMsOf } from '../../../src/query/step-windows.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../support/property-runs.ts';

const RUNS = { numRuns: propertyRuns(4) };
const BASE = 1_700_000_000_000_000_000n;

/** The rule itself, step by step. */
const stepsOf = (timeNs: bigint, startNs: bigint, stepNs: bigint, count: number, rangeNs: bigint, offsetNs: bigint) => {
  const steps: number[] = [];
  for (let step = 0; step < count; step += 1) {
    const at = startNs + BigInt(step) * stepNs - offsetNs;
    if (timeNs > at - rangeNs && timeNs <= at) steps.push(step);
  }
  return steps;
};

const located = (windows: StepWindows, time: number): number[] => {
  windows.locate(time);
  const steps: number[] = [];
  for (let step = windows.first; step <= windows.last; step += 1) steps.push(step);
  return steps;
};

describe('evaluation times', () => {
  it('go from the start in whole steps up to the end, both included', () => {
    expect(timesMsOf(gridOf(1_000_000n, 31_000_000n, 10_000_000n, false))).to.deep.equal([1, 11, 21, 31]);
    expect(timesMsOf(gridOf(1_999_999n, 30_000_000n, 10_000_000n, false))).to.deep.equal([1, 11, 21]);
  });

  it('of an instant query are one', () => {
    expect(timesMsOf(gridOf(5_500_000n, 5_500_000n, 0n, true))).to.deep.equal([5]);
  });
});

describe('StepWindows', () => {
  it('counts an entry for the windows (t - range, t]: the left edge is out, the right edge is in', () => {
    const windows = new StepWindows(gridOf(0n, 60n, 10n, false), 10n, 0n, 0n);
    expect(located(windows, 10)).to.deep.equal([1]);
    expect(located(windows, 11)).to.deep.equal([2]);
    expect(located(windows, -10)).to.deep.equal([]);
    expect(located(windows, 61)).to.deep.equal([]);
  });

  it('counts an entry between windows for none', () => {
    const windows = new StepWindows(gridOf(0n, 60n, 20n, false), 5n, 0n, 0n);
    expect(located(windows, 12)).to.deep.equal([]);
    expect(located(windows, 16)).to.deep.equal([1]);
  });

  it('counts an entry of an instant query that is exactly at the time', () => {
    const windows = new StepWindows(gridOf(100n, 100n, 0n, true), 10n, 0n, 0n);
    expect([located(windows, 100), located(windows, 101), located(windows, 91), located(windows, 90)]).to.deep.equal([
      [0],
      [],
      [0],
      [],
    ]);
  });

  it('finds the steps of any entry as the rule says, in any order of asking', () => {
    const shape = fc.record({
      start: fc.integer({ min: -100, max: 100 }),
      step: fc.integer({ min: 1, max: 40 }),
      count: fc.integer({ min: 1, max: 20 }),
      range: fc.integer({ min: 1, max: 90 }),
      offset: fc.integer({ min: -50, max: 50 }),
      scale: fc.constantFrom(1n, 1_000_000n, 1_000_000_000n),
      times: fc.array(fc.integer({ min: -300, max: 1200 }), { maxLength: 40 }),
    });
    fc.assert(
      fc.property(shape, ({ start, step, count, range, offset, scale, times }) => {
        const startNs = BASE + BigInt(start) * scale;
        const stepNs = BigInt(step) * scale;
        const grid = { startNs, stepNs, count };
        const windows = new StepWindows(grid, BigInt(range) * scale, BigInt(offset) * scale, BASE);
        for (const time of times) {
          const timeNs = BASE + BigInt(time) * scale;
          const expected = stepsOf(timeNs, startNs, stepNs, count, BigInt(range) * scale, BigInt(offset) * scale);
          expect(located(windows, Number(timeNs - BASE))).to.deep.equal(expected);
        }
      }),
      RUNS,
    );
  }).timeout(PROPERTY_TIMEOUT_MS);

  it('keeps whole-millisecond edges exact years away from the base', () => {
    const year = 365n * 86_400_000_000_000n;
    const windows = new StepWindows({ startNs: BASE + 8n * year, stepNs: 0n, count: 1 }, 60_000_000_000n, 0n, BASE);
    expect(located(windows, Number(8n * year))).to.deep.equal([0]);
    expect(located(windows, Number(8n * year - 60_000_000_000n))).to.deep.equal([]);
    expect(located(windows, Number(8n * year - 59_999_000_000n))).to.deep.equal([0]);
  });
});
