import { expect } from 'chai';
import { EntryMetadata } from '../../../src/protocol/entry-metadata.ts';
import { levelNamed, NO_LEVEL } from '../../../src/protocol/levels.ts';

describe('metadata of entries', () => {
  it('is a level, own pairs, or nothing', () => {
    const metadata = new EntryMetadata([[1, ['a', 'b']]]);
    metadata.setLevel(2, levelNamed('warn'), 4);
    expect([0, 1, 2, 3].map((index) => metadata.get(index))).to.deep.equal([
      undefined,
      ['a', 'b'],
      ['detected_level', 'warn'],
      undefined,
    ]);
    expect([metadata.ownCount, metadata.levelAt(2), metadata.levelAt(1)]).to.deep.equal([
      1,
      levelNamed('warn'),
      NO_LEVEL,
    ]);
  });

  it('has own pairs in place of a level', () => {
    const metadata = new EntryMetadata();
    metadata.setLevel(0, levelNamed('info'), 1);
    metadata.set(0, ['a', 'b']);
    expect(metadata.get(0)).to.deep.equal(['a', 'b']);
  });

  it('goes on from a later entry as if that were the first', () => {
    const metadata = new EntryMetadata([
      [0, ['a', '0']],
      [3, ['a', '3']],
    ]);
    metadata.setLevel(2, levelNamed('info'), 4);
    const rest = metadata.from(2);
    expect([rest.get(0), rest.get(1), rest.get(2)]).to.deep.equal([['detected_level', 'info'], ['a', '3'], undefined]);
  });
});
