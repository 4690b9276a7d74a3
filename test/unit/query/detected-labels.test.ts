import { expect } from 'chai';
import { detectedLabelsOf } from '../../../src/query/detected-labels.ts';

const shown = (values: Readonly<Record<string, readonly string[]>>): readonly string[] =>
  detectedLabelsOf(new Map(Object.entries(values).map(([name, all]) => [name, new Set(all)]))).map(
    ({ label, cardinality }) => `${label} ${cardinality}`,
  );

describe('detected labels', () => {
  it('are named in order, with how many values they have', () => {
    expect(shown({ env: ['prod', 'dev'], app: ['a'] })).to.deep.equal(['app 1', 'env 2']);
  });

  it('are not those whose values are all numbers or UUIDs', () => {
    const ids = ['7', '-1.5e3', '123e4567-e89b-12d3-a456-426614174000'];
    expect(shown({ id: ids, mixed: [...ids, 'x'] })).to.deep.equal(['mixed 4']);
  });

  it('are shown all the same if they are flags or usual ones', () => {
    expect(shown({ isCanary: ['0', '1'], pod: ['1', '2'], flag: ['0'] })).to.deep.equal([
      'flag 1',
      'isCanary 2',
      'pod 2',
    ]);
  });
});
