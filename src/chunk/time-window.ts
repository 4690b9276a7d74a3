import type { EntryRange } from '../protocol/entry-columns.ts';
import { timeWordsOf } from './time-words.ts';
import { compareInt64, highWord, int64, lowWord } from './varint.ts';

export interface WindowSplit {
  /** Runs of entries that are not too far behind, in order. The whole range as it is when none is. */
  readonly accepted: readonly EntryRange[];
  /** Indices of the entries that are. */
  readonly tooFarBehind: readonly number[];
  /** The newest time of the stream after the accepted entries. */
  readonly newest: bigint | undefined;
}

/**
 * Loki's out-of-order window: an entry must not be older than the stream's newest one before it (in this push too) minus `windowNs`
 * (`max_chunk_age` / 2). `newest`: undefined for a new stream.
 */
export const splitByWindow = (range: EntryRange, newest: bigint | undefined, windowNs: bigint): WindowSplit => {
  const { columns, first, end } = range;
  if (first >= end) return { accepted: [], tooFarBehind: [], newest };
  const words = timeWordsOf(columns);
  const start = newest ?? int64(words[2 * first]!, words[2 * first + 1]!);
  let newestLow = lowWord(start);
  let newestHigh = highWord(start);
  // The cutoff is found only when it is needed: in-order entries never look at it.
  let cutoffLow = 0;
  let cutoffHigh = 0;
  let isCutoffCurrent = false;
  const tooFarBehind: number[] = [];
  for (let index = first; index < end; index += 1) {
    const low = words[2 * index]!;
    const high = words[2 * index + 1]!;
    const order = compareInt64(low, high, newestLow, newestHigh);
    if (order > 0) {
      newestLow = low;
      newestHigh = high;
      isCutoffCurrent = false;
    } else if (order < 0) {
      if (!isCutoffCurrent) {
        const cutoff = cutoffOf(int64(newestLow, newestHigh), windowNs);
        cutoffLow = lowWord(cutoff);
        cutoffHigh = highWord(cutoff);
        isCutoffCurrent = true;
      }
      if (compareInt64(low, high, cutoffLow, cutoffHigh) < 0) tooFarBehind.push(index);
    }
  }
  return { accepted: rangesWithout(range, tooFarBehind), tooFarBehind, newest: int64(newestLow, newestHigh) };
};

const INT64_MIN = -(2n ** 63n);

const cutoffOf = (newest: bigint, windowNs: bigint): bigint =>
  newest - windowNs < INT64_MIN ? INT64_MIN : newest - windowNs;

const rangesWithout = (range: EntryRange, left: readonly number[]): EntryRange[] => {
  if (left.length === 0) return [range];
  const ranges: EntryRange[] = [];
  let first = range.first;
  for (const index of [...left, range.end]) {
    if (index > first) ranges.push({ columns: range.columns, first, end: index });
    first = index + 1;
  }
  return ranges;
};
