/** Entries as the tests think of them, and as the columns of a push. */

import fc from 'fast-check';
import { headBytes, headLineOffsets, headTimes } from '../../../src/chunk/head-views.ts';
import { lineLengthAt, lineStartAt } from '../../../src/chunk/line-bounds.ts';
import type { HeadSnapshot } from '../../../src/chunk/memory-format.ts';
import { Segment } from '../../../src/chunk/segment.ts';
import { writeUvarint } from '../../../src/chunk/varint.ts';
import type { EntryColumns, EntryRange } from '../../../src/protocol/entry-columns.ts';
import { EntryMetadata } from '../../../src/protocol/entry-metadata.ts';

export interface Entry {
  readonly time: bigint;
  /** latin1: byte for byte. */
  readonly line: string;
  readonly metadata?: readonly string[];
}

/** `gap`: bytes of framing in front of each line, as a push on the wire has them. */
export const columnsOf = (entries: readonly Entry[], gap = 17): EntryColumns => {
  const parts: Buffer[] = [];
  const lineOffsets = new Uint32Array(entries.length);
  const metadata = new Map<number, readonly string[]>();
  let offset = 0;
  for (const [index, entry] of entries.entries()) {
    const line = Buffer.from(entry.line, 'latin1');
    const part = Buffer.alloc(gap + 5, 0xee);
    const size = writeUvarint(part, gap, line.length);
    parts.push(part.subarray(0, size), line);
    lineOffsets[index] = offset + gap;
    offset += size + line.length;
    if (entry.metadata) metadata.set(index, entry.metadata);
  }
  return {
    bytes: Buffer.concat(parts),
    lineOffsets,
    times: BigInt64Array.from(entries, ({ time }) => time),
    metadata: metadata.size > 0 ? new EntryMetadata(metadata) : undefined,
  };
};

export const rangeOf = (entries: readonly Entry[], gap = 17): EntryRange => ({
  columns: columnsOf(entries, gap),
  first: 0,
  end: entries.length,
});

/** One head that holds all of them. */
export const headOf = (entries: readonly Entry[]): HeadSnapshot => {
  const limits = { blockSize: 1 << 28, targetSize: 1 << 28 };
  const segment = new Segment({ nodeId: 'test', incarnation: 1, counter: 1 }, limits);
  segment.append(rangeOf(entries));
  return segment.cutHead()!.head;
};

/** What a reader of the snapshot sees, in the order it lies there. */
export const entriesOfHead = (head: HeadSnapshot, symbols: readonly string[] = []): Entry[] => {
  const times = headTimes(head);
  const offsets = headLineOffsets(head);
  const bytes = headBytes(head);
  return Array.from(times, (time, index) => {
    const start = lineStartAt(bytes, offsets[index]!);
    const line = Buffer.from(bytes.slice(start, start + lineLengthAt(bytes, offsets[index]!))).toString('latin1');
    const { metadataEnds: ends, metadataRefs: refs } = head;
    const metadata = ends ? Array.from(refs!.slice(ends[index - 1] ?? 0, ends[index]), (ref) => symbols[ref]!) : [];
    return metadata.length > 0 ? { time, line, metadata } : { time, line };
  });
};

const keyOf = ({ time, line, metadata = [] }: Entry): string => JSON.stringify([String(time), line, metadata]);

/** Sorted by time, arrival order kept, the first of equal entries kept: what a cut block must hold. */
export const sortedDistinct = (entries: readonly Entry[]): Entry[] => {
  const seen = new Set<string>();
  return entries
    .map((entry, index) => ({ entry, index }))
    .sort((a, b) => (a.entry.time === b.entry.time ? a.index - b.index : a.entry.time < b.entry.time ? -1 : 1))
    .map(({ entry }) => entry)
    .filter((entry) => !seen.has(keyOf(entry)) && seen.add(keyOf(entry)));
};

const line = fc.oneof(
  fc.constantFrom('', 'a', 'b', 'ab', 'x'.repeat(70), 'y'.repeat(70), 'z'.repeat(200)),
  fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
);
const metadata = fc.option(
  fc.array(fc.tuple(fc.constantFrom('id', 'user', 'ü'), fc.constantFrom('1', '2', '')), { minLength: 1, maxLength: 3 }),
  { nil: undefined, freq: 3 },
);

/** Few distinct times, so that equal ones and late ones are usual. */
const time = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 0, max: 12 }).map((step) => 1_700_000_000_000_000_000n + BigInt(step)) },
  { weight: 1, arbitrary: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }) },
);

export const anyEntries = (maxLength = 60): fc.Arbitrary<Entry[]> =>
  fc.array(
    fc.record({ time, line, metadata }).map(({ time, line, metadata }) => ({
      time,
      line,
      ...(metadata ? { metadata: metadata.flat() } : {}),
    })),
    { maxLength },
  );

/** Runs of one property; `PROPERTY_RUNS` is the total of a suite, here shared by five. */
export const propertyRuns = { numRuns: Math.ceil(Number(process.env['PROPERTY_RUNS'] ?? 2000) / 5) };

/** Properties run for as long as their number and the machine's other work make them. */
export const PROPERTY_TIMEOUT_MS = 60_000 + 10 * propertyRuns.numRuns;
