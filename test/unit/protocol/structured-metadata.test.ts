import { expect } from 'chai';
import { metadataBytes, metadataNameOf, storedMetadata } from '../../../src/protocol/structured-metadata.ts';

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

  it('counts bytes, not characters', () => expect(metadataBytes(['ä', '🚢x'])).to.equal(7));
});
