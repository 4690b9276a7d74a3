/** What a commit decides. Pure. */
import type { Refusal } from '../protocol/refusal.ts';
import { DATA_START } from './file-header.ts';
import type { DiskSpace, FileStep } from './log-files.ts';

/** The disk has no room, or this user may take no more. */
const FULL = new Set(['ENOSPC', 'EDQUOT']);

/** A batch goes into one file: it does not begin one that has something in it and would grow past its size. */
export const needsNewFile = (fileSize: number, batchSize: number, fileSizeMax: number): boolean =>
  fileSize > DATA_START && fileSize + batchSize > fileSizeMax;

/**
 * `cut-back`: nothing was synced, so the file is good up to where it was. `new-file`: what the disk has of it is unknown, and a second
 * sync of the same pages may report success without having written them.
 */
export const afterFailure = ({
  step,
  code,
}: {
  readonly step: FileStep;
  readonly code: string;
}): 'cut-back' | 'new-file' => (step === 'write' && FULL.has(code) ? 'cut-back' : 'new-file');

/** Bytes until the log takes no more entries; negative past that. A disk of no size does not tell. */
export const bytesLeft = ({ sizeBytes, freeBytes }: DiskSpace, usedMax: number): number =>
  sizeBytes > 0 ? usedMax * sizeBytes - (sizeBytes - freeBytes) : Number.POSITIVE_INFINITY;

const RETRY_AFTER_MS = 1000;

export const diskFull = (): Refusal => ({
  code: 'OVERLOADED',
  text: 'the disk of the log is nearly full, try again later',
  retryAfterMs: RETRY_AFTER_MS,
});

export const noRoom = (text: string): Refusal => ({ code: 'OVERLOADED', text, retryAfterMs: RETRY_AFTER_MS });

export const notWritten = (error: Error): Refusal => ({
  code: 'STORAGE_UNAVAILABLE',
  text: `the log cannot be written: ${error.message}`,
});

/** The segment lost entries on their way: what it gets next would leave a hole. */
export const segmentClosed = (): Refusal => ({
  code: 'STORAGE_UNAVAILABLE',
  text: 'earlier entries of this segment could not be written; go on in another one',
});
