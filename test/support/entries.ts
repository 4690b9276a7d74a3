import type { EntryColumns, EntryRange } from '../../src/protocol/entry-columns.ts';
import { parseLabelText } from '../../src/protocol/label-text.ts';

/** One entry as a test writes it. */
export interface TestEntry {
  readonly timeNs: bigint;
  readonly line: string;
  readonly metadata?: readonly string[];
}

/** Entries as one push's columns: lines one behind the other, each with its length in front. */
export const columnsOf = (entries: readonly TestEntry[]): EntryColumns => {
  const lines = entries.map(({ line }) => Buffer.from(line));
  const bytes = Buffer.alloc(lines.reduce((size, line) => size + 5 + line.length, 0));
  const lineOffsets = new Uint32Array(entries.length);
  const metadata = new Map<number, readonly string[]>();
  let at = 0;
  for (const [index, line] of lines.entries()) {
    lineOffsets[index] = at;
    let length = line.length;
    for (; length >= 0x80; length >>>= 7) bytes[at++] = (length & 0x7f) | 0x80;
    bytes[at++] = length;
    at += line.copy(bytes, at);
    const pairs = entries[index]?.metadata;
    if (pairs) metadata.set(index, pairs);
  }
  return {
    bytes: bytes.subarray(0, at),
    lineOffsets,
    times: BigInt64Array.from(entries, ({ timeNs }) => timeNs),
    metadata: metadata.size > 0 ? metadata : undefined,
  };
};

export const rangeOf = (entries: readonly TestEntry[]): EntryRange => ({
  columns: columnsOf(entries),
  first: 0,
  end: entries.length,
});

export const labelsOf = (text: string) => parseLabelText(Buffer.from(text));
