import { expect } from 'chai';
import {
  formatGoDuration,
  formatPrometheusDuration,
  parseByteSize,
  parseDuration,
  parseGoDuration,
  parsePrometheusDuration,
} from '../../../../src/logql/durations.ts';

describe('LogQL durations', () => {
  for (const [text, ns] of [
    ['0', 0n],
    ['1d12h', 129_600_000_000_000n],
    ['1.5h', 5_400_000_000_000n],
    ['.5s', 500_000_000n],
    ['1.s', 1_000_000_000n],
    ['30m1h', 5_400_000_000_000n],
    ['1s500ms', 1_500_000_000n],
    ['2000000us', 2_000_000_000n],
    ['1µs1ns', 1_001n],
    ['-5m', -300_000_000_000n],
    ['0.3333333333333333h', 1_200_000_000_000n],
  ] as const) {
    it(`read ${text}`, () => {
      expect(parseDuration(text)).to.equal(ns);
    });
  }

  it('are none of other texts', () => {
    for (const text of ['', '5', '1.5d', '1S', 's', '.s', '1h30', '-', '1x', '300y', '9223372036854775808ns']) {
      expect(parseDuration(text), text).to.equal(undefined);
    }
    expect(parseGoDuration('1d')).to.equal(undefined);
  });

  it('are strict in ranges', () => {
    expect(parsePrometheusDuration('1h30m')).to.deep.equal({ ns: 5_400_000_000_000n });
    for (const [text, error] of [
      [' 5m ', 'not a valid duration string: " 5m "'],
      ['1m1m', 'not a valid duration string: "1m1m"'],
      ['1.5m', 'unknown unit "." in duration "1.5m"'],
      ['1us', 'unknown unit "us" in duration "1us"'],
      ['99999999999999999999s', 'not a valid duration string: "99999999999999999999s"'],
      ['293y', 'duration out of range'],
    ] as const) {
      expect(parsePrometheusDuration(text), text).to.deep.equal({ error });
    }
  });

  it('print as Go prints them', () => {
    const texts = [
      '0s',
      '1ns',
      '1.5µs',
      '100ms',
      '1.000000001s',
      '1m0s',
      '1h0m0.5s',
      '36h0m0s',
      '-5m0s',
      '2562047h47m16.854775807s',
    ];
    for (const text of texts) expect(formatGoDuration(parseGoDuration(text) ?? -1n)).to.equal(text);
  });

  it('print as Prometheus prints them, years and weeks only if they are whole', () => {
    for (const [text, printed] of [
      ['0', '0s'],
      ['60m', '1h'],
      ['90s', '1m30s'],
      ['7d', '1w'],
      ['8d', '8d'],
      ['365d', '1y'],
      ['36h', '1d12h'],
      ['1500ms', '1s500ms'],
    ] as const) {
      expect(formatPrometheusDuration(parseDuration(text) ?? -1n), text).to.equal(printed);
    }
  });
});

describe('LogQL sizes', () => {
  for (const [text, bytes] of [
    ['5B', 5],
    ['1k', 1000],
    ['1KB', 1000],
    ['1Ki', 1024],
    ['1KiB', 1024],
    ['1.5MiB', 1_572_864],
    ['1.0005kB', 1000],
    ['2G', 2e9],
    ['1TiB', 2 ** 40],
  ] as const) {
    it(`read ${text}`, () => {
      expect(parseByteSize(text)).to.equal(bytes);
    });
  }

  it('are none of other texts', () => {
    for (const text of ['', '5', 'KB', '1.2.3KB', '1iB', '1KK', '1BK'])
      expect(parseByteSize(text), text).to.equal(undefined);
  });
});
