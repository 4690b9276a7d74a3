import { expect } from 'chai';
import fc from 'fast-check';
import { BlockCursor, entryAt, readBlockEntries } from '../../../src/chunk/block-reader.ts';
import { CorruptChunkError } from '../../../src/chunk/corrupt-chunk-error.ts';
import { encodeHead } from '../../../src/chunk/encode-head.ts';
import { Segment } from '../../../src/chunk/segment.ts';
import { int64 } from '../../../src/chunk/varint.ts';
import { entriesOf } from './chunk-fixtures.ts';
import { anyEntries, type Entry, PROPERTY_TIMEOUT_MS, propertyRuns, rangeOf } from './entries.ts';

const contentOf = (entries: readonly Entry[], withMetadataSections: boolean): Buffer => {
  const segment = new Segment({ nodeId: 'n', incarnation: 1, counter: 1 }, { blockSize: 1 << 30, targetSize: 1 << 30 });
  segment.append(rangeOf(entries));
  const cut = segment.cutHead();
  return cut ? Buffer.from(encodeHead(cut.head, { withMetadataSections }).bytes) : Buffer.alloc(0);
};

describe('reading a block', function () {
  this.timeout(PROPERTY_TIMEOUT_MS);
  it('finds every entry as columns where the cursor finds it', () => {
    fc.assert(
      fc.property(anyEntries(), fc.boolean(), fc.nat({ max: 100 }), (entries, hasSections, hint) => {
        const content = contentOf(entries, hasSections);
        const columns = readBlockEntries(content, hasSections, hint);
        const cursor = new BlockCursor(content, hasSections);
        let index = 0;
        for (; cursor.next(); index += 1) {
          expect(columns.starts[index]).to.equal(cursor.entryStart);
          expect(columns.starts[index + 1]).to.equal(cursor.entryEnd);
          expect(columns.lineStarts[index]).to.equal(cursor.lineStart);
          expect(columns.lineEnds[index]).to.equal(cursor.lineEnd);
          const { timeWords } = columns;
          expect(int64(timeWords[2 * index]!, timeWords[2 * index + 1]!)).to.equal(cursor.timeNs());
        }
        expect(columns.count).to.equal(index);
      }),
      propertyRuns,
    );
  });

  it('finds the entry that holds a byte', () => {
    const content = contentOf(
      Array.from({ length: 100 }, (_, n) => ({ time: BigInt(n), line: `${n}`.repeat(n) })),
      false,
    );
    const columns = readBlockEntries(content, false);
    for (let offset = 0; offset < content.length; offset += 1) {
      const index = entryAt(columns, offset);
      expect(columns.starts[index]).to.be.at.most(offset);
      expect(columns.starts[index + 1]).to.be.above(offset);
    }
    expect(entryAt(columns, content.length)).to.equal(-1);
    expect(entryAt(columns, -1)).to.equal(-1);
  });

  it('refuses content cut short in the middle of an entry', () => {
    const entries = [{ time: 1_700_000_000_000_000_000n, line: 'x'.repeat(200), metadata: ['id', '1'] }];
    const content = contentOf(entries, true);
    for (let size = 1; size < content.length; size += 1) {
      expect(() => entriesOf(content.subarray(0, size), true), `${size}`).to.throw(CorruptChunkError);
    }
  });

  it('reads any bytes to their end or refuses them', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.boolean(), (bytes, hasSections) => {
        try {
          const { count, starts } = readBlockEntries(bytes, hasSections);
          expect(starts[count]).to.equal(bytes.length);
          entriesOf(bytes, hasSections);
        } catch (error) {
          expect(error).to.be.instanceOf(CorruptChunkError);
        }
      }),
      propertyRuns,
    );
  });
});
