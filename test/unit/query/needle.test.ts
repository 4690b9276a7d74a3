import { expect } from 'chai';
import fc from 'fast-check';
import { Needle } from '../../../src/query/scan/needle.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../support/property-runs.ts';

const RUNS = { numRuns: propertyRuns(4) };

const placesOf = (find: (from: number) => number): number[] => {
  const places: number[] = [];
  for (let at = find(0); at >= 0 && places.length < 1000; at = find(at + 1)) places.push(at);
  return places;
};

describe('Needle', () => {
  it('finds what Buffer.indexOf finds, whatever it was tuned by', () => {
    const text = fc
      .array(fc.constantFrom('a', 'b', 'c', 'ab', 'abcab', 'zq', ' '), { maxLength: 120 })
      .map((parts) => parts.join(''));
    const needle = fc.array(fc.constantFrom('a', 'b', 'c', 'z', 'q', ' '), { minLength: 1, maxLength: 14 });
    fc.assert(
      fc.property(text, text, needle, (haystack, sample, parts) => {
        const block = Buffer.from(haystack);
        const wanted = Buffer.from(parts.join(''));
        const searched = new Needle(wanted);
        searched.tune(Buffer.from(sample));
        expect(placesOf((from) => searched.indexIn(block, from))).to.deep.equal(
          placesOf((from) => block.indexOf(wanted, from)),
        );
      }),
      RUNS,
    );
  }).timeout(PROPERTY_TIMEOUT_MS);

  it('goes on with the whole literal where its rare part is everywhere', () => {
    const searched = new Needle(Buffer.from('only once: zebra'));
    searched.tune(Buffer.from('only once: '.repeat(200)));
    const block = Buffer.from(`${'zebra '.repeat(500)}only once: zebra ${'zebra '.repeat(500)}`);
    expect(placesOf((from) => searched.indexIn(block, from))).to.deep.equal([3000]);
  });
});
