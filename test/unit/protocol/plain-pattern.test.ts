import { expect } from 'chai';
import fc from 'fast-check';
import { RE2JS } from 're2js';
import { anyPlain, plainAlternatives } from '../../../src/protocol/plain-pattern.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../support/property-runs.ts';

describe('plain patterns', function () {
  this.timeout(PROPERTY_TIMEOUT_MS);

  it('are literals and .* around them, in any number', () => {
    expect(plainAlternatives('a\\.b|.*c|d.*|.*e.*|')).to.deep.equal([
      { text: 'a.b', isOpenAtStart: false, isOpenAtEnd: false },
      { text: 'c', isOpenAtStart: true, isOpenAtEnd: false },
      { text: 'd', isOpenAtStart: false, isOpenAtEnd: true },
      { text: 'e', isOpenAtStart: true, isOpenAtEnd: true },
      { text: '', isOpenAtStart: false, isOpenAtEnd: false },
    ]);
  });

  for (const pattern of ['a+', '.', 'a.*b', '.*', '.*.*', '(a|b)', 'a\\|b', '\\d', 'a\\', 'a**', '^a', '[a]']) {
    it(`are not: ${pattern}`, () => expect(plainAlternatives(pattern)).to.equal(undefined));
  }

  it('match what the regex matches as a whole', () => {
    const text = fc.array(fc.constantFrom('a', 'b', '.*', '|', '\\.', '\\\\', '\\*', '.', 'é', '\n'), { maxLength: 8 });
    const value = fc.string({ unit: fc.constantFrom('a', 'b', '.', '*', '\\', 'é', '\n', '|'), maxLength: 5 });
    fc.assert(
      fc.property(text, value, (parts, candidate) => {
        const pattern = parts.join('');
        const alternatives = plainAlternatives(pattern);
        if (!alternatives) return;
        expect(anyPlain(alternatives)(candidate)).to.equal(RE2JS.compile(pattern, RE2JS.DOTALL).testExact(candidate));
      }),
      { numRuns: propertyRuns(2) },
    );
  });
});
