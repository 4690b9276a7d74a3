import { expect } from 'chai';
import fc from 'fast-check';
import { extentsOf, intervalOf, missingPieces, partOf } from '../../../src/query/step-extents.ts';

describe('intervals of extents', () => {
  it('are as long as asked for, and longer where there would be very many', () => {
    const hour = 3_600_000_000_000n;
    const grid = { startNs: 5n, stepNs: hour / 60n, count: 720 * 60 };
    expect(intervalOf(grid, 3_600_000)).to.equal(hour);
    expect(intervalOf({ ...grid, stepNs: hour, count: 11_000 }, 3_600_000)).to.equal(16n * hour);
    const nanoseconds = { startNs: 5n, stepNs: 1n, count: Number(720n * hour) };
    expect(intervalOf(nanoseconds, 3_600_000)).to.equal(hour);
    expect(extentsOf(nanoseconds, intervalOf(nanoseconds, 1))).to.have.length.within(500, 1_001);
  });
});

describe('extents of steps', () => {
  it('end where intervals do, whatever times the steps are at', () => {
    expect(extentsOf({ startNs: 25n, stepNs: 10n, count: 5 }, 20n)).to.deep.equal([
      { interval: 1n, first: 0, count: 2 },
      { interval: 2n, first: 2, count: 2 },
      { interval: 3n, first: 4, count: 1 },
    ]);
    expect(extentsOf({ startNs: 40n, stepNs: 10n, count: 2 }, 20n)).to.deep.equal([
      { interval: 2n, first: 0, count: 2 },
    ]);
  });

  it('are all steps, each once, those of one interval together', () => {
    const grids = fc.record({
      startNs: fc.bigInt(0n, 1_000n),
      stepNs: fc.bigInt(1n, 90n),
      count: fc.integer({ min: 1, max: 60 }),
    });
    fc.assert(
      fc.property(grids, fc.bigInt(1n, 200n), (grid, intervalNs) => {
        const steps: number[] = [];
        const extents = extentsOf(grid, intervalNs);
        for (const { interval, first, count } of extents) {
          for (let step = first; step < first + count; step += 1) {
            expect(partOf(grid, step, 1).startNs / intervalNs).to.equal(interval);
            steps.push(step);
          }
        }
        expect(steps).to.deep.equal(Array.from({ length: grid.count }, (_, step) => step));
        expect(new Set(extents.map(({ interval }) => interval)).size).to.equal(extents.length);
      }),
    );
  });
});

describe('pieces of what is missing', () => {
  const piecesOf = (text: string): string[] =>
    missingPieces([...text].map((one) => one === 'x')).map(({ start, end }) => text.slice(start, end));

  it('are what is missing in a row', () => {
    expect(piecesOf('..xx.x')).to.deep.equal(['xx', 'x']);
    expect(piecesOf('....')).to.deep.equal([]);
  });

  it('are few: those nearest to each other go together', () => {
    expect(piecesOf('x.x...xx..x....x.x.x..')).to.deep.equal(['x.x', 'xx', 'x', 'x.x.x']);
    expect(piecesOf('x.'.repeat(500))).to.have.lengthOf(4);
  });
});
