import type { EntryColumns, EntryRange } from '../../src/protocol/entry-columns.ts';
import { EntryMetadata } from '../../src/protocol/entry-metadata.ts';
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
    metadata: metadata.size > 0 ? new EntryMetadata(metadata) : undefined,
  };
};

export const rangeOf = (entries: readonly TestEntry[]): EntryRange => ({
  columns: columnsOf(entries),
  first: 0,
  end: entries.length,
});

export const labelsOf = (text: string) => parseLabelText(Buffer.from(text));

export const T0_MS = Date.UTC(2024, 2, 10, 12);
export const MS_NS = 1_000_000n;
export const T0_NS = BigInt(T0_MS) * MS_NS;

/** Entry at T0 + `ms`. */
export const entryAt = (ms: number, line: string): TestEntry => ({ timeNs: T0_NS + BigInt(ms) * MS_NS, line });

/** A push as it comes from a decoder: all streams over one set of columns. */
export const pushOf = (streams: Readonly<Record<string, readonly TestEntry[]>>) => {
  const columns = columnsOf(Object.values(streams).flat());
  let first = 0;
  return {
    streams: Object.entries(streams).map(([labels, entries]): EntryRange & { labelText: Uint8Array } => {
      const range = { columns, first, end: first + entries.length, labelText: Buffer.from(labels) };
      first = range.end;
      return range;
    }),
  };
};
