import { expect } from 'chai';
import { isInShard, parseShards } from '../../../src/protocol/fingerprint-shard.ts';
import { RefusedError } from '../../../src/protocol/refusal.ts';

const bounds = (min: string, max: string): string => `{"bounds":{"min":${min},"max":${max}},"stats":null}`;

describe('a shard of fingerprints', () => {
  it('is a part of a power of two: those that begin with its bits', () => {
    expect(parseShards(['2_of_16'])).to.deep.equal({ first: 2n << 60n, last: (3n << 60n) - 1n });
    expect(parseShards(['0_of_1'])).to.deep.equal({ first: 0n, last: 2n ** 64n - 1n });
  });

  it('has bounds as Loki writes them, to the last digit of numbers above 2^53', () => {
    const [first, last] = [1234567890123456789n, 9223372036854775807n];
    const shard = parseShards([bounds(`${first}`, `${last}`)]);
    expect(shard).to.deep.equal({ first, last });
    expect([first - 1n, first, last, last + 1n].map((one) => isInShard(shard!, one))).to.deep.equal([
      false,
      true,
      true,
      false,
    ]);
    expect(parseShards([bounds('0', '18446744073709551615')])).to.deep.equal({ first: 0n, last: 2n ** 64n - 1n });
    const stats = '"stats":{"streams":7,"bytes":18014398509481985},"min":3,"note":"\\"max\\":5"';
    expect(parseShards([`{${stats}, "bounds" : {"max" : 18014398509481985, "min": 1 }}`])).to.deep.equal({
      first: 1n,
      last: 18014398509481985n,
    });
  });

  it('has bounds in hexadecimal where they are text, digits or not', () => {
    expect(parseShards([bounds('"0000000000000010"', '"7FFFffffffffffff"')])).to.deep.equal({
      first: 16n,
      last: 2n ** 63n - 1n,
    });
  });

  it('is refused where it cannot be read', () => {
    for (const text of [
      '',
      'null',
      '[]',
      '{"bounds":null}',
      '{"bounds":7}',
      '3_of_12',
      '4_of_4',
      bounds('0', '18446744073709551616'),
      bounds('2', '1'),
      bounds('-1', '1'),
      bounds('1', '1e3'),
      bounds('1.5', '2'),
      bounds('"x"', '"y"'),
      bounds('["1"]', '["2"]'),
      bounds('1', '"10000000000000000"'),
    ]) {
      expect(() => parseShards([text]), text).to.throw(RefusedError, `failed to parse shard: ${text}`);
    }
  });

  it('is one or none', () => {
    expect(parseShards([])).to.equal(undefined);
    expect(() => parseShards(['0_of_2', '1_of_2'])).to.throw('only one shard per ingester query is supported');
  });
});
