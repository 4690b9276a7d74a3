import { expect } from 'chai';
import fc from 'fast-check';
import { goTimeText, parseRfc3339, rfc3339Text, secondsOf } from '../../../src/protocol/time-text.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../support/property-runs.ts';

describe('time texts', () => {
  it('are those of the calendar, in every year', () => {
    const seconds = fc.integer({ min: -62_135_596_800, max: 253_402_300_799 });
    const property = fc.property(seconds, (second) => {
      const expected = new Date(second * 1000).toISOString().replace('.000Z', 'Z');
      expect(rfc3339Text(second)).to.equal(expected);
      expect(parseRfc3339(expected)).to.deep.equal({ seconds: second, nanos: 0 });
    });
    fc.assert(property, { numRuns: propertyRuns(1) });
  }).timeout(PROPERTY_TIMEOUT_MS);

  it('as Go prints times: the fraction without trailing zeros', () => {
    expect(goTimeText(1_710_032_399_000_000_000n)).to.equal('2024-03-10 00:59:59 +0000 UTC');
    expect(goTimeText(1_710_032_399_376_171_700n)).to.equal('2024-03-10 00:59:59.3761717 +0000 UTC');
    expect(goTimeText(-1n)).to.equal('1969-12-31 23:59:59.999999999 +0000 UTC');
    expect([secondsOf(-1n), secondsOf(-1_000_000_000n), secondsOf(1_999_999_999n)]).to.deep.equal([-1, -1, 1]);
  });

  it('are read with zone and fraction', () => {
    const parsed = (text: string) => parseRfc3339(text);
    expect(parsed('2024-03-10T01:00:02+01:00')).to.deep.equal({ seconds: 1_710_028_802, nanos: 0 });
    expect(parsed('2024-03-09T23:30:00.000000001-00:30')).to.deep.equal({ seconds: 1_710_028_800, nanos: 1 });
    expect(parsed('2024-02-29T00:00:00.1234567899Z')?.nanos).to.equal(123_456_789);
  });

  it('are refused when there is no such time', () => {
    const wrong = ['', '1710028801', '2024-02-30T00:00:00Z', '2023-02-29T00:00:00Z', '2024-13-01T00:00:00Z'];
    wrong.push('2024-03-10T24:00:00Z', '2024-03-10 00:00:00Z', '2024-03-10T00:00:00', '2024-03-10T00:00:60Z');
    expect(wrong.map(parseRfc3339)).to.deep.equal(wrong.map(() => undefined));
  });
});
