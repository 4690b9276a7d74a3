import type { EntryColumns } from '../protocol/entry-columns.ts';
import type { LastEntry } from './head-block.ts';
import { areBytesEqual, lineLengthAt, lineStartAt } from './line-bounds.ts';
import { timeWordsOf } from './time-words.ts';

/** Does entry `index` repeat the one that a stream took last? Only those without metadata are kept in mind. */
export const isSameEntry = (last: LastEntry, columns: EntryColumns, index: number): boolean => {
  const words = timeWordsOf(columns);
  if (words[2 * index] !== last.timeLow || words[2 * index + 1] !== last.timeHigh) return false;
  const { bytes, lineOffsets, metadata } = columns;
  const { length } = last.line;
  const offset = lineOffsets[index]!;
  if (metadata?.get(index) !== undefined || lineLengthAt(bytes, offset) !== length) return false;
  return areBytesEqual(bytes, lineStartAt(bytes, offset), last.line, 0, length);
};
