import { expect } from 'chai';
import { DetectedFields } from '../../../src/query/detected-fields.ts';

const STREAM = ['app', 'web', 'lane', '1'];

const fieldsOf = (lines: readonly (string | readonly [line: string, ...metadata: string[]])[], fieldsMax = 100) => {
  const fields = new DetectedFields(fieldsMax);
  for (const entry of lines) {
    const [line, ...metadata] = typeof entry === 'string' ? [entry] : entry;
    fields.add(STREAM, { timeNs: 0n, line: line ?? '', metadata });
  }
  return fields.list().map(({ label, type, values, parsers, jsonPath }) => ({
    label,
    type,
    values: [...values],
    parsers,
    ...(jsonPath && { jsonPath }),
  }));
};

describe('detected fields', () => {
  it('are what JSON has, with the keys that lead there', () => {
    expect(fieldsOf(['{"a":{"b-c":[1],"d":1.50},"lane":"x"}'])).to.deep.equal([
      { label: 'a_d', type: 'float', values: ['1.50'], parsers: ['json'], jsonPath: ['a', 'd'] },
      { label: 'lane_extracted', type: 'string', values: ['x'], parsers: ['json'], jsonPath: ['lane'] },
    ]);
  });

  it('are what logfmt has a value for, where the line is no JSON', () => {
    expect(fieldsOf(['plain words took=5ms empty='])).to.deep.equal([
      { label: 'took', type: 'duration', values: ['5ms'], parsers: ['logfmt'] },
    ]);
  });

  it('are what the metadata has; a name that lines have too is one field of both', () => {
    expect(
      fieldsOf([
        ['user=x', 'user', 'y', 'trace', 'z'],
        ['', 'user', 'x'],
      ]),
    ).to.deep.equal([
      { label: 'trace', type: 'string', values: ['z'], parsers: [] },
      { label: 'user', type: 'string', values: ['y', 'x'], parsers: ['logfmt'] },
    ]);
  });

  for (const [value, type] of [
    ['-17', 'int'],
    ['1e3', 'float'],
    ['NaN', 'float'],
    ['true', 'boolean'],
    ['1h2m', 'duration'],
    ['5KiB', 'bytes'],
    ['10.0.0.1', 'string'],
  ] as const) {
    it(`are ${type} where the value seen last is like ${value}`, () => {
      expect(fieldsOf(['v=text', `v=${value}`])[0]?.type).to.equal(type);
    });
  }

  it('are no more than may be', () => {
    expect(fieldsOf(['a=1 b=2 c=3'], 2).map(({ label }) => label)).to.deep.equal(['a', 'b']);
  });
});
