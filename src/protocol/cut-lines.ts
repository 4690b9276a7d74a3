import { writeSizeBefore } from './column-builder.ts';
import type { EntryRange } from './entry-columns.ts';
import type { Limits } from './limits.ts';
import { lineSizeAt, lineStartAt } from './line-sizes.ts';

/** Cuts long lines in place: the shorter length is written so that it ends where the line begins. */
export const cutLines = (
  { columns, first, end }: EntryRange,
  limits: Limits,
): { cutLines: number; cutBytes: number } => {
  const { bytes, lineOffsets } = columns;
  const bytesMax = limits.maxLineBytes;
  const identifier = Buffer.from(limits.maxLineSizeTruncateIdentifier);
  let lines = 0;
  let cutBytes = 0;
  for (let index = first; index < end && bytesMax > 0; index += 1) {
    const offset = lineOffsets[index]!;
    const size = lineSizeAt(bytes, offset);
    if (size <= bytesMax) continue;
    const start = lineStartAt(bytes, offset);
    lineOffsets[index] = writeSizeBefore(bytes, start, bytesMax);
    if (identifier.length < bytesMax) bytes.set(identifier, start + bytesMax - identifier.length);
    lines += 1;
    cutBytes += size - bytesMax;
  }
  return { cutLines: lines, cutBytes };
};
