import { expect } from 'chai';
import fc from 'fast-check';
import { metadataBytes, metadataNameOf, storedMetadata } from '../../../src/protocol/structured-metadata.ts';
import { propertyRuns } from '../../support/property-runs.ts';

describe('structured metadata', () => {
  const names: Readonly<Record<string, string>> = {
    trace_id: 'trace_id',
    'tr.ace-id': 'tr_ace_id',
    'a  b': 'a_b',
    a__b: 'a_b',
    '9x': 'key_9x',
    __keep__: '__keep__',
    '__a.b__': '__a_b__',
    ÄB: '_B',
    '🚢x': '_x',
    '': '',
    '--': '',
    ____: '',
  };
  for (const [name, regular] of Object.entries(names)) {
    it(`${JSON.stringify(name)} is stored as ${JSON.stringify(regular)}`, () => {
      expect(metadataNameOf(name)).to.equal(regular);
      expect(metadataNameOf(regular)).to.equal(regular);
    });
  }

  it('is sorted, without empty values, with the last of equal names', () => {
    expect(storedMetadata(['b', '1', 'a.b', 'first', 'c', '', 'a_b', 'last'])).to.deep.equal(['a_b', 'last', 'b', '1']);
  });

  it('has a space for U+FFFD', () => expect(storedMetadata(['a', 'x\ufffdy'])).to.deep.equal(['a', 'x y']));

  it('is the same array when there is nothing to do', () => {
    const pairs = ['a', '1', 'b_c', '2'];
    expect(storedMetadata(pairs)).to.equal(pairs);
  });

  it('loses pairs whose name leaves nothing, and may be gone altogether', () => {
    expect(storedMetadata(['--', '1', 'a', '2'])).to.deep.equal(['a', '2']);
    expect(storedMetadata(['--', '1'])).to.equal(undefined);
    expect(storedMetadata(['a', ''])).to.equal(undefined);
  });

  it('is the same for entries whose names come again as for each alone', () => {
    const expected = (pairs: readonly string[]): readonly string[] | undefined => {
      const byName = new Map<string, string>();
      for (let index = 0; index < pairs.length; index += 2) {
        const [name, value] = [metadataNameOf(pairs[index] ?? ''), pairs[index + 1] ?? ''];
        if (name !== '' && value !== '') byName.set(name, value.replaceAll('\ufffd', ' '));
      }
      if (byName.size === 0) return undefined;
      return [...byName].sort(([left], [right]) => (left < right ? -1 : 1)).flat();
    };
    const name = fc.constantFrom('b', 'a.b', 'a_b', '9', '--', 'zz', 'c');
    const value = fc.constantFrom('', 'x', 'y', 'z\ufffd');
    const names = fc.array(name, { minLength: 1, maxLength: 4 });
    const entries = fc.array(fc.tuple(names, fc.array(value, { minLength: 4, maxLength: 4 })), { minLength: 2 });
    const property = fc.property(entries, fc.boolean(), (list, isRepeated) => {
      for (const [own, values] of list) {
        const pairs = (isRepeated ? (list[0]?.[0] ?? own) : own).flatMap((one, index) => [one, values[index] ?? '']);
        expect(storedMetadata(pairs)).to.deep.equal(expected(pairs));
      }
    });
    fc.assert(property, { numRuns: propertyRuns(5) });
  });

  it('counts bytes, not characters', () => expect(metadataBytes(['ä', '🚢x'])).to.equal(7));
});
