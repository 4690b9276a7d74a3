/** Copies of real logs that hold still while they are pushed, and whose lines a node takes: what is counted is what must be found. */
import { closeSync, fstatSync, openSync, readdirSync, readSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { DEFAULT_LIMITS } from '../src/protocol/limits.ts';

const NEWLINE = 0x0a;
/** Of one log, from its start. Chosen: seconds of work. */
const LOG_BYTES_MAX = 4e6;
/** Of all logs. Chosen: the default rate limit lets it through in a few seconds. */
const ALL_BYTES_MAX = 16e6;

export interface LogCopy {
  /** The log it was made of. */
  readonly file: string;
  readonly copy: string;
  readonly lines: number;
}

/** The whole lines of `bytes`, empty ones too as `ringlog push` sends them; without what comes after the last newline and lines a node refuses. */
export const wholeLines = (
  bytes: Uint8Array,
  lineBytesMax: number,
): { readonly bytes: Uint8Array; readonly lines: number } => {
  const kept: Uint8Array[] = [];
  let start = 0;
  for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
    if (end - start <= lineBytesMax) kept.push(bytes.subarray(start, end + 1));
    start = end + 1;
  }
  return { bytes: Buffer.concat(kept), lines: kept.length };
};

const readStart = (file: string, sizeMax: number): Buffer => {
  const descriptor = openSync(file, 'r');
  try {
    const bytes = Buffer.alloc(Math.min(fstatSync(descriptor).size, sizeMax));
    return bytes.subarray(0, readSync(descriptor, bytes, 0, bytes.length, 0));
  } finally {
    closeSync(descriptor);
  }
};

/** Copies the whole lines that `file` has now to `copy`. @throws what the file system says */
export const copyLog = (file: string, copy: string, sizeMax: number = LOG_BYTES_MAX): LogCopy => {
  const { bytes, lines } = wholeLines(readStart(file, sizeMax), DEFAULT_LIMITS.maxLineBytes);
  writeFileSync(copy, bytes);
  return { file, copy, lines };
};

/** Copies of the logs in `folder` that this user may read, in `copies`; those without a whole line are left out. */
export const copyLogs = (folder: string, copies: string, cannotRead: (file: string) => void): LogCopy[] => {
  const found: LogCopy[] = [];
  let room = ALL_BYTES_MAX;
  for (const name of readdirSync(folder).filter((one) => one.endsWith('.log'))) {
    const file = path.join(folder, name);
    try {
      if (!statSync(file).isFile()) continue;
      const log = copyLog(file, path.join(copies, name), Math.min(LOG_BYTES_MAX, room));
      room -= statSync(log.copy).size;
      if (log.lines > 0) found.push(log);
    } catch {
      cannotRead(file);
    }
  }
  return found;
};
