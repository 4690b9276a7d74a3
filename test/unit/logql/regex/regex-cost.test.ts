import { expect } from 'chai';
import fc from 'fast-check';
import { regexCost } from '../../../../src/logql/regex-cost.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../../support/property-runs.ts';

describe('the cost of a regex', function () {
  this.timeout(PROPERTY_TIMEOUT_MS);

  for (const [pattern, cost] of [
    ['', 0],
    ['abc', 3],
    ['(a|b)c', 6],
    ['x{1000}', 1000],
    ['(?:x{10}){3,20}y', 281],
    ['a{,3}', 5],
    ['[a-z]', 5],
    ['[]a]', 4],
    ['[[:alpha:]]{2}', 22],
    ['\\d\\.', 4],
    ['\\pL\\p{Greek}', 140],
    ['(?i)[a-\\x{10ffff}]', 2018],
    ['(', 1],
    [')', 1],
    ['[', 1],
    ['\\', 2],
  ] as const) {
    it(`${pattern} is ${cost}`, () => expect(regexCost(pattern)).to.equal(cost));
  }

  it('is a number whatever the text, and not below what its literals cost', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'ab(){}[]|\\pLQE,19^?*+i:-') }), (text) => {
        expect(regexCost(text)).to.be.at.least(0);
        expect(regexCost(`${text.replaceAll(/\W/g, '')}x`)).to.be.at.least(1);
      }),
      { numRuns: propertyRuns(4) },
    );
  });
});
