import { expect } from 'chai';
import fc from 'fast-check';
import {
  parseBounds,
  parseDelaySeconds,
  parseDirection,
  parseInstantTime,
  parseLimit,
  parseRangeParameters,
  parseTimestamp,
} from '../../../src/http/parameters.ts';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../support/property-runs.ts';

const NOW = 1_710_028_800_000_000_000n;
const HOUR = 3_600_000_000_000n;
const form = (text: string) => new URLSearchParams(text);
const textOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof RefusedError) return error.refusal.text;
    throw error;
  }
  return 'no error';
};

describe('parseTimestamp', () => {
  const cases: readonly (readonly [string, bigint])[] = [
    ['1710028800', NOW],
    ['4000000000', 4_000_000_000_000_000_000n],
    ['1710028800000000001', NOW + 1n],
    ['17100288000', 17_100_288_000n],
    ['-5', -5_000_000_000n],
    ['1710028800.5', NOW + 500_000_000n],
    ['1710028800.1234', NOW + 123_000_000n],
    ['1710028800.', NOW],
    ['2024-03-10T00:00:00Z', NOW],
    ['2024-03-10T02:00:00+02:00', NOW],
    ['2024-03-10T00:00:00.000000001Z', NOW + 1n],
    ['2024-03-10T00:00:00.5-00:30', NOW + 1_800_500_000_000n],
  ];
  for (const [text, ns] of cases) it(`reads ${text}`, () => expect(parseTimestamp(text)).to.equal(ns));

  const bad = [
    'abc',
    '1e9',
    '2024-03-10 00:00:00',
    '2024-02-30T00:00:00Z',
    '2024-03-10T25:00:00Z',
    '2024-03-10',
    '1.2.3',
  ];
  for (const text of bad) {
    it(`refuses ${text} with Go's words`, () =>
      expect(textOf(() => parseTimestamp(text))).to.equal(
        `strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`,
      ));
  }

  it('says when a number is out of range', () => {
    expect(textOf(() => parseTimestamp('9'.repeat(25)))).to.equal(
      `strconv.ParseInt: parsing "${'9'.repeat(25)}": value out of range`,
    );
  });

  it('reads back every nanosecond time as RFC 3339 and as a number', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 10_000_000_000n, max: 4_000_000_000_000_000_000n }), (ns) => {
        const seconds = new Date(Number(ns / 1_000_000_000n) * 1000).toISOString().slice(0, 19);
        const rfc = `${seconds}.${(ns % 1_000_000_000n).toString().padStart(9, '0')}Z`;
        expect(parseTimestamp(rfc)).to.equal(ns);
        expect(parseTimestamp(String(ns))).to.equal(ns);
      }),
      { numRuns: 200 },
    );
  });
});

describe('parseBounds', () => {
  it('takes the last hour by default', () => {
    expect(parseBounds(form(''), NOW)).to.deep.equal({ startNs: NOW - HOUR, endNs: NOW });
  });

  it('counts since from the end when that is past, from now when it is ahead', () => {
    expect(parseBounds(form('end=1710025200&since=30m'), NOW).startNs).to.equal(NOW - HOUR - HOUR / 2n);
    expect(parseBounds(form('end=1710032400&since=30m'), NOW).startNs).to.equal(NOW - HOUR / 2n);
  });

  it('names the parameter that cannot be read', () => {
    expect(textOf(() => parseBounds(form('start=abc'), NOW))).to.equal(
      'could not parse \'start\' parameter: strconv.ParseInt: parsing "abc": invalid syntax',
    );
    expect(textOf(() => parseBounds(form('since=90'), NOW))).to.equal(
      'could not parse \'since\' parameter: not a valid duration string: "90"',
    );
    expect(textOf(() => parseBounds(form('since=1.5h'), NOW))).to.equal(
      'could not parse \'since\' parameter: unknown unit "." in duration "1.5h"',
    );
  });

  it('has no prefix for time', () => {
    expect(textOf(() => parseInstantTime(form('time=xx'), NOW))).to.equal(
      'strconv.ParseInt: parsing "xx": invalid syntax',
    );
  });
});

describe('parseLimit, parseDirection, parseDelaySeconds', () => {
  it('has 100 and backward as defaults, also for empty values', () => {
    expect(parseLimit(form('limit='))).to.equal(100);
    expect(parseDirection(form('direction='))).to.equal('backward');
  });

  it('reads directions in any case', () => expect(parseDirection(form('direction=FORWARD'))).to.equal('forward'));

  const refused: readonly (readonly [string, () => unknown, string])[] = [
    ['limit=0', () => parseLimit(form('limit=0')), 'limit must be a positive value'],
    ['limit=-1', () => parseLimit(form('limit=-1')), 'limit must be a positive value'],
    ['limit=x', () => parseLimit(form('limit=x')), 'strconv.Atoi: parsing "x": invalid syntax'],
    ['limit=1.5', () => parseLimit(form('limit=1.5')), 'strconv.Atoi: parsing "1.5": invalid syntax'],
    ['direction=up', () => parseDirection(form('direction=up')), "invalid direction 'up'"],
    ['delay_for=6', () => parseDelaySeconds(form('delay_for=6')), "delay_for can't be greater than 5"],
  ];
  for (const [name, run, text] of refused) it(`refuses ${name}`, () => expect(textOf(run)).to.equal(text));
});

describe('parseRangeParameters', () => {
  const range = 'start=1710025200&end=1710028800';
  const refused: readonly (readonly [string, string])[] = [
    ['start=1710028800&end=1710025200', 'end timestamp must not be before or equal to start time'],
    [`${range}&step=0`, 'zero or negative query resolution step widths are not accepted. Try a positive integer'],
    [`${range}&step=-1`, 'zero or negative query resolution step widths are not accepted. Try a positive integer'],
    [`${range}&step=NaN`, 'zero or negative query resolution step widths are not accepted. Try a positive integer'],
    [`${range}&step=1.5s`, 'cannot parse "1.5s" to a valid duration'],
    [`${range}&step=10 s`, 'cannot parse "10 s" to a valid duration'],
    [`${range}&step=Inf`, 'cannot parse "Inf" to a valid duration. It overflows int64'],
    [
      `${range}&step=0.3`,
      'exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step parameter',
    ],
    [`${range}&interval=-1`, 'interval must be >= 0'],
    [`${range}&interval=-5s`, 'cannot parse "-5s" to a valid duration'],
  ];
  for (const [text, error] of refused) {
    it(`refuses ${text.slice(range.length + 1) || text}`, () =>
      expect(textOf(() => parseRangeParameters(form(text), NOW))).to.equal(error));
  }

  it('takes steps as seconds, with an exponent, and as durations', () => {
    const stepOf = (text: string) => parseRangeParameters(form(`${range}&step=${text}`), NOW).stepNs;
    expect(['10', '10.0', '1e1', '10s', '10000ms'].map(stepOf)).to.deep.equal(new Array(5).fill(10_000_000_000n));
  });

  it('takes a 250th of the range as the step, one second at least', () => {
    expect(parseRangeParameters(form(range), NOW).stepNs).to.equal(14_000_000_000n);
    expect(parseRangeParameters(form('start=1710028740&end=1710028800'), NOW).stepNs).to.equal(1_000_000_000n);
  });

  it('allows a start equal to the end', () => {
    expect(parseRangeParameters(form('start=1710028800&end=1710028800'), NOW).startNs).to.equal(NOW);
  });

  it('never throws anything but a refusal', () => {
    const name = fc.constantFrom('start', 'end', 'since', 'step', 'interval', 'limit', 'direction', 'query');
    const value = fc.oneof(fc.string(), fc.stringMatching(/^[0-9.eE+:TZ-]{0,24}$/), fc.double().map(String));
    fc.assert(
      fc.property(fc.array(fc.tuple(name, value), { maxLength: 6 }), (pairs) => {
        textOf(() => parseRangeParameters(new URLSearchParams(pairs), NOW));
      }),
      { numRuns: propertyRuns(2) },
    );
  }).timeout(PROPERTY_TIMEOUT_MS);
});
