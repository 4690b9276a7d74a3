import { missingEntries } from './log-reader.ts';
import type { RecoveredFile } from './recover-log.ts';
import type { SegmentTable } from './segment-table.ts';

/** What was found at the start. */
export interface LogRecovery {
  readonly files: readonly RecoveredFile[];
  readonly segments: number;
  readonly tornBytes: number;
  readonly damagedBytes: number;
  /** At least so many. */
  readonly damagedRecords: number;
  /** Segments that lack entries, and how many entries. */
  readonly damagedSegments: number;
  readonly missingEntries: number;
  /** Segments whose labels are lost. */
  readonly namelessSegments: number;
}

export const summarize = (table: SegmentTable, files: readonly RecoveredFile[]): LogRecovery => {
  let segments = 0;
  let damagedSegments = 0;
  let missing = 0;
  let namelessSegments = 0;
  for (const segment of table.segments()) {
    if (!segment.isLive) continue;
    segments += 1;
    if (!segment.open) namelessSegments += 1;
    const lost = missingEntries(segment);
    missing += lost;
    if (lost > 0) damagedSegments += 1;
  }
  const sum = (of: (file: RecoveredFile) => number): number => files.reduce((total, file) => total + of(file), 0);
  return {
    files,
    segments,
    tornBytes: sum(({ tornBytes }) => tornBytes),
    damagedBytes: sum(({ damagedBytes }) => damagedBytes),
    damagedRecords: sum(({ damagedRecords }) => damagedRecords),
    damagedSegments,
    missingEntries: missing,
    namelessSegments,
  };
};
