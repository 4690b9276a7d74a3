import type { EntryColumns } from './entry-columns.ts';
import { lineSizeAt, lineStartAt } from './line-sizes.ts';

/**
 * Entries of equal time and different lines, one after another, move apart by 1 ns (increment_duplicate_timestamp).
 * @param runTime the time that the run of duplicates before `first` came with
 * @returns that of the run before `end`
 */
export const incrementDuplicates = (
  { bytes, lineOffsets, times }: EntryColumns,
  first: number,
  end: number,
  runTime: bigint,
): bigint => {
  const lineAt = (index: number): Uint8Array => {
    const start = lineStartAt(bytes, lineOffsets[index]!);
    return bytes.subarray(start, start + lineSizeAt(bytes, lineOffsets[index]!));
  };
  let runTimeNow = runTime;
  for (let index = first; index < end; index += 1) {
    const previous = times[index - 1]!;
    const isDuplicate = times[index] === previous || times[index] === runTimeNow;
    if (isDuplicate && Buffer.compare(lineAt(index), lineAt(index - 1)) !== 0) times[index] = previous + 1n;
    else runTimeNow = times[index]!;
  }
  return runTimeNow;
};
