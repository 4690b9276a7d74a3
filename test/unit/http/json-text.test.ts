import { expect } from 'chai';
import fc from 'fast-check';
import { formatSampleTime, formatSampleValue, jsonString } from '../../../src/http/json-text.ts';

describe('jsonString', () => {
  it('reads back as the text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(JSON.parse(jsonString(text))).to.equal(text);
      }),
      { numRuns: 500 },
    );
  });

  it('shows a byte that was not UTF-8 as U+FFFD', () => {
    expect(JSON.parse(jsonString('a\udcffb'))).to.equal('a\ufffdb');
    expect(JSON.parse(jsonString('\ud83d\ude00 \ud800'))).to.equal('\u{1f600} \ufffd');
  });

  it('leaves text that only looks like an escape alone', () => {
    expect(JSON.parse(jsonString('\\ud800 \\\\ud800 \udcff'))).to.equal('\\ud800 \\\\ud800 \ufffd');
  });
});

describe('formatSampleValue', () => {
  const cases: readonly (readonly [number, string])[] = [
    [0, '0'],
    [-0, '-0'],
    [25, '25'],
    [0.13333333333333333, '0.13333333333333333'],
    [1e-7, '0.0000001'],
    [3.9999999999999996e-30, '0.0000000000000000000000000000039999999999999996'],
    [1e23, '100000000000000000000000'],
    [-1.5e21, '-1500000000000000000000'],
    [Number.NaN, 'NaN'],
    [Number.POSITIVE_INFINITY, '+Inf'],
    [Number.NEGATIVE_INFINITY, '-Inf'],
  ];
  for (const [value, text] of cases) it(`writes ${text}`, () => expect(formatSampleValue(value)).to.equal(text));

  it('reads back as the same number, without an exponent', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        const text = formatSampleValue(value);
        expect(text).to.match(/^-?[0-9]+(\.[0-9]+)?$/);
        expect(Number(text)).to.equal(value);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('formatSampleTime', () => {
  it('writes seconds with at most three decimals and no zeros behind', () => {
    expect([1_795_332_480_559, 1_795_333_096_500, 1_795_332_450_000].map(formatSampleTime)).to.deep.equal([
      '1795332480.559',
      '1795333096.5',
      '1795332450',
    ]);
  });
});
