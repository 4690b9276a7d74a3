import { expect } from 'chai';
import fc from 'fast-check';
import { splitByWindow } from '../../../src/chunk/time-window.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns, rangeOf } from './entries.ts';

const rangeAt = (times: readonly bigint[]) => rangeOf(times.map((time) => ({ time, line: 'x' })));

describe('out-of-order window', function () {
  this.timeout(PROPERTY_TIMEOUT_MS);
  it('hands the range back as it is when nothing is too far behind', () => {
    const range = rangeAt([100n, 50n, 120n, 20n]);
    expect(splitByWindow(range, 100n, 100n)).to.deep.equal({ accepted: [range], tooFarBehind: [], newest: 120n });
  });

  it('accepts what is exactly as old as the window allows', () => {
    expect(splitByWindow(rangeAt([900n, 899n]), 1000n, 100n)).to.deep.include({ tooFarBehind: [1], newest: 1000n });
  });

  it('lets the first entry of a new stream be of any time', () => {
    expect(splitByWindow(rangeAt([5n]), undefined, 10n).tooFarBehind).to.deep.equal([]);
  });

  it('reaches back to the earliest time there is and no further', () => {
    const earliest = -(2n ** 63n);
    expect(splitByWindow(rangeAt([earliest + 100n, earliest]), undefined, 3600n).tooFarBehind).to.deep.equal([]);
    expect(splitByWindow(rangeAt([earliest]), earliest + 100n, 3600n).tooFarBehind).to.deep.equal([]);
  });

  it('knows nothing newer when there is nothing', () => {
    expect(splitByWindow(rangeAt([]), undefined, 10n)).to.deep.equal({
      accepted: [],
      tooFarBehind: [],
      newest: undefined,
    });
  });

  it('judges each entry by the newest before it', () => {
    const times = fc.array(fc.bigInt({ min: -50n, max: 50n }), { maxLength: 30 });
    fc.assert(
      fc.property(times, fc.option(fc.bigInt({ min: -50n, max: 50n }), { nil: undefined }), (pushed, start) => {
        let newest = start;
        const late: number[] = [];
        for (const [index, time] of pushed.entries()) {
          if (newest !== undefined && time < newest - 20n) late.push(index);
          else if (newest === undefined || time > newest) newest = time;
        }
        const split = splitByWindow(rangeAt(pushed), start, 20n);
        expect(split.tooFarBehind).to.deep.equal(late);
        expect(split.newest).to.equal(newest);
        const kept = split.accepted.flatMap(({ first, end }) =>
          Array.from({ length: end - first }, (_, n) => first + n),
        );
        expect(kept).to.deep.equal(pushed.map((_, index) => index).filter((index) => !late.includes(index)));
      }),
      propertyRuns,
    );
  });
});
