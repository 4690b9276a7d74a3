import { expect } from 'chai';
import fc from 'fast-check';
import { cutBlock } from '../../../src/chunk/cut-block.ts';
import { headBytes, headLineOffsets, headTimes } from '../../../src/chunk/head-views.ts';
import type { HeadSnapshot, SegmentSnapshot } from '../../../src/chunk/memory-format.ts';
import { Segment } from '../../../src/chunk/segment.ts';
import { decodeSnapshots, encodeSnapshots } from '../../../src/chunk/snapshot-codec.ts';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import { rangeOf, type TestEntry } from '../../support/entries.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../support/property-runs.ts';

const entry: fc.Arbitrary<TestEntry> = fc.record(
  {
    timeNs: fc.bigInt({ min: 0n, max: 10_000n }),
    line: fc.string({ unit: 'binary', maxLength: 100 }),
    metadata: fc.tuple(fc.constantFrom('trace', 'user'), fc.string({ maxLength: 5 })),
  },
  { requiredKeys: ['timeNs', 'line'] },
);

const headOf = (head: HeadSnapshot) => {
  const { count, metadataRefs, metadataEnds } = head;
  return {
    count,
    byteCount: head.byteCount,
    lineBytes: head.lineBytes,
    isSorted: head.isSorted,
    ...(count > 0 && { minTime: head.minTime, maxTime: head.maxTime }),
    times: [...headTimes(head)],
    offsets: [...headLineOffsets(head)],
    bytes: headBytes(head).toString('hex'),
    ends: metadataEnds && [...metadataEnds.subarray(0, count)],
    refs: metadataRefs && [...metadataRefs.subarray(0, metadataEnds?.[count - 1] ?? 0)],
  };
};

const plain = ({ id, symbols, blocks, heads }: SegmentSnapshot) => ({
  id,
  symbols: [...symbols],
  blocks: blocks.map((block) => ({
    ...block,
    bytes: Buffer.from(block.bytes).toString('hex'),
    skipFilter: block.skipFilter && Buffer.from(block.skipFilter).toString('hex'),
  })),
  heads: heads.map(headOf),
});

describe('snapshots as bytes', () => {
  it('are read as they were written', function () {
    this.timeout(PROPERTY_TIMEOUT_MS);
    const segments = fc.array(fc.array(fc.array(entry, { minLength: 1, maxLength: 20 }), { maxLength: 4 }), {
      maxLength: 3,
    });
    fc.assert(
      fc.property(segments, fc.nat(7), (all, offset) => {
        const snapshots = all.map((pushes, index) => segmentOf(pushes, index).snapshot());
        const message = encodeSnapshots(snapshots);
        const packet = new Uint8Array(offset + message.length);
        packet.set(message, offset);
        expect(decodeSnapshots(packet.subarray(offset)).map(plain)).to.deep.equal(snapshots.map(plain));
      }),
      { numRuns: propertyRuns(200) },
    );
  });

  it('bring the skip filters of blocks along', () => {
    const lines = Array.from({ length: 500 }, (_, index) => ({
      timeNs: BigInt(index),
      line: `line ${Math.imul(index + 1, 0x9e3779b1)} ${Math.imul(index + 1, 0x85ebca6b)}`,
    }));
    const snapshot = segmentOf([lines], 1).snapshot();
    expect(snapshot.blocks[0]?.skipFilter, 'the block has one').to.have.length.above(0);
    expect(decodeSnapshots(encodeSnapshots([snapshot])).map(plain)).to.deep.equal([plain(snapshot)]);
  });

  it('are refused when they are cut off', () => {
    const message = encodeSnapshots([segmentOf([[{ timeNs: 5n, line: 'one' }]], 1).snapshot()]);
    for (const size of [0, 3, 10, message.length - 16]) {
      expect(() => decodeSnapshots(message.subarray(0, size)), `${size} bytes`).to.throw(RefusedError);
    }
  });
});

/** Every other push ends in a block. */
const segmentOf = (pushes: readonly (readonly TestEntry[])[], counter: number): Segment => {
  const segment = new Segment(
    { nodeId: 'n', incarnation: 5, counter },
    { blockSize: 1 << 20, targetSize: Number.POSITIVE_INFINITY },
  );
  for (const [index, entries] of pushes.entries()) {
    segment.append(rangeOf(entries));
    const cut = index % 2 === 0 ? segment.cutHead() : undefined;
    if (!cut) continue;
    segment.headCut(cut.number, cutBlock(cut.head, { encoding: 'gzip', level: 5, withMetadataSections: true }));
  }
  return segment;
};
