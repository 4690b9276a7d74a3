/** Blocks and heads as the scan finds them, made by the real writers. */
import type { BlockEncoding } from '../../../src/chunk/block-encoding.ts';
import { cutBlock } from '../../../src/chunk/cut-block.ts';
import type { SegmentSnapshot } from '../../../src/chunk/memory-format.ts';
import { Segment } from '../../../src/chunk/segment.ts';
import type { EntryVisitor } from '../../../src/query/scan/merge-blocks.ts';
import { columnsOf, type TestEntry } from '../../support/entries.ts';

export const BASE_NS = 1_700_000_000_000_000_000n;

export const at = (time: number, line: string, metadata?: readonly string[]): TestEntry => ({
  timeNs: BASE_NS + BigInt(time),
  line,
  ...(metadata && { metadata }),
});

/** One segment with a block for each list of entries but, with `openHead`, the last. */
export const segmentOf = (
  lists: readonly (readonly TestEntry[])[],
  {
    openHead = false,
    counter = 0,
    encoding = 'snappy',
  }: { readonly openHead?: boolean; readonly counter?: number; readonly encoding?: BlockEncoding } = {},
): SegmentSnapshot => {
  const limits = { blockSize: Number.POSITIVE_INFINITY, targetSize: Number.POSITIVE_INFINITY };
  const segment = new Segment({ nodeId: 'test', incarnation: 1, counter }, limits);
  lists.forEach((entries, index) => {
    segment.append({ columns: columnsOf(entries), first: 0, end: entries.length });
    if (openHead && index === lists.length - 1) return;
    for (let cut = segment.cutHead(); cut; cut = segment.cutHead()) {
      segment.headCut(cut.number, cutBlock(cut.head, { encoding, withMetadataSections: true }));
    }
  });
  return segment.snapshot();
};

/** Writes down what it is shown, hits only. */
export class Recorder implements EntryVisitor {
  readonly entries: TestEntry[] = [];

  visit(...[columns, hits, first, end]: Parameters<EntryVisitor['visit']>): void {
    for (let index = hits.next(first); index < end; index = hits.next(index + 1)) {
      const metadata = columns.metadataOf(index);
      this.entries.push({
        timeNs: columns.timesNs[index]!,
        line: columns.bytes.toString('latin1', columns.lineStarts[index], columns.lineEnds[index]),
        ...(metadata && { metadata }),
      });
    }
  }
}
