import { expect } from 'chai';
import fc from 'fast-check';
import { decodeMetadata, encodeMetadata } from '../../../src/log/metadata-record.ts';
import { EntryMetadata } from '../../../src/protocol/entry-metadata.ts';
import { LEVEL_PAIRS, NO_LEVEL } from '../../../src/protocol/levels.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../support/property-runs.ts';

const levels = fc.array(fc.nat({ max: LEVEL_PAIRS.length - 1 }), { minLength: 1, maxLength: 300 });

const metadataOf = (levelNumbers: readonly number[], isPacked: boolean): EntryMetadata => {
  const metadata = new EntryMetadata();
  for (const [index, level] of levelNumbers.entries()) {
    const pair = LEVEL_PAIRS[level];
    if (isPacked) metadata.setLevel(index, level, levelNumbers.length);
    else if (pair) metadata.set(index, pair);
  }
  return metadata;
};

describe('metadata in a record of the log', function () {
  this.timeout(PROPERTY_TIMEOUT_MS);

  it('lies there in the same bytes whether levels are packed or pairs like others', () => {
    fc.assert(
      fc.property(levels, fc.nat({ max: 20 }), (numbers, first) => {
        const start = Math.min(first, numbers.length - 1);
        const packed = encodeMetadata(metadataOf(numbers, true), start, numbers.length);
        expect(packed).to.deep.equal(encodeMetadata(metadataOf(numbers, false), start, numbers.length));
      }),
      { numRuns: propertyRuns(1) },
    );
  });

  it('comes back as packed levels and own pairs', () => {
    fc.assert(
      fc.property(levels, (numbers) => {
        const metadata = metadataOf(numbers, true);
        metadata.set(0, ['a', 'b', 'detected_level', 'info']);
        const read = decodeMetadata(encodeMetadata(metadata, 0, numbers.length) as Uint8Array, numbers.length);
        expect(read.get(0)).to.deep.equal(['a', 'b', 'detected_level', 'info']);
        expect(numbers.map((_, index) => read.levelAt(index))).to.deep.equal([NO_LEVEL, ...numbers.slice(1)]);
        expect(read.ownCount).to.equal(1);
      }),
      { numRuns: propertyRuns(1) },
    );
  });

  it('takes no bytes where there is none', () => {
    expect(encodeMetadata(new EntryMetadata(), 0, 3)).to.equal(undefined);
    expect(encodeMetadata(metadataOf([NO_LEVEL, NO_LEVEL], true), 0, 2)).to.equal(undefined);
  });
});
