/** Pushes as plain values, to compare what was decoded with what was sent. */
import type { EntryRange, PushedStream } from '../../../src/protocol/entry-columns.ts';
import { RefusedError } from '../../../src/protocol/refusal.ts';

export interface PlainEntry {
  readonly timeNs: bigint;
  readonly line: Uint8Array;
  readonly metadata?: readonly string[];
}

export interface PlainStream {
  readonly labels: string;
  readonly entries: readonly PlainEntry[];
}

const lineOf = (bytes: Uint8Array, offset: number): Uint8Array => {
  let size = 0;
  let factor = 1;
  let at = offset;
  for (; bytes[at]! >= 0x80; at += 1, factor *= 128) size += (bytes[at]! & 0x7f) * factor;
  size += bytes[at]! * factor;
  return Uint8Array.from(bytes.subarray(at + 1, at + 1 + size));
};

export const entriesOf = ({ columns, first, end }: EntryRange): PlainEntry[] => {
  const entries: PlainEntry[] = [];
  for (let index = first; index < end; index += 1) {
    const metadata = columns.metadata?.get(index);
    const line = lineOf(columns.bytes, columns.lineOffsets[index]!);
    entries.push({ timeNs: columns.times[index]!, line, ...(metadata ? { metadata } : {}) });
  }
  return entries;
};

export const streamOf = (stream: PushedStream): PlainStream => ({
  labels: Buffer.from(stream.labelText).toString(),
  entries: entriesOf(stream),
});

/** What an action was refused with, as `CODE: text`; other errors pass through. */
export const refusalOf = async (action: () => unknown): Promise<string> => {
  try {
    await action();
  } catch (error) {
    if (error instanceof RefusedError) return `${error.refusal.code}: ${error.refusal.text}`;
    throw error;
  }
  return 'not refused';
};

export const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text));
