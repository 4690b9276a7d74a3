/**
 * All that the log asks of a disk. Errors are LogFileErrors. Implementations: node-log-files.ts; in tests a disk that loses power.
 * Names are plain: one folder, nothing below it.
 */
export interface LogFiles {
  /** In any order; other files of the folder too. */
  list(): Promise<readonly string[]>;
  /** `create`: for writing, must not be there; its name is durable after `syncFolder`. `write`: must be there. */
  open(name: string, mode: 'create' | 'write' | 'read'): Promise<LogFile>;
  rename(from: string, to: string): Promise<void>;
  unlink(name: string): Promise<void>;
  /** Makes creations, renames and removals durable. */
  syncFolder(): Promise<void>;
  space(): Promise<DiskSpace>;
  /** Ends what the implementation keeps running. Files must be closed. */
  close(): Promise<void>;
}

export interface LogFile {
  size(): Promise<number>;
  /** Fills `into` from `offset` on. @returns how many bytes there were */
  read(offset: number, into: Uint8Array): Promise<number>;
  /** All of the bytes, or an error. `isSynced`: data and size are durable when it resolves. */
  write(offset: number, bytes: Uint8Array, isSynced: boolean): Promise<void>;
  datasync(): Promise<void>;
  truncate(size: number): Promise<void>;
  close(): Promise<void>;
}

export interface DiskSpace {
  readonly sizeBytes: number;
  /** What this process may still write. */
  readonly freeBytes: number;
}

/** What was asked when it failed. After a failed `sync` nobody knows what of the unsynced bytes is on disk. */
export type FileStep =
  | 'list'
  | 'open'
  | 'read'
  | 'write'
  | 'sync'
  | 'truncate'
  | 'rename'
  | 'unlink'
  | 'space'
  | 'close';

export class LogFileError extends Error {
  readonly step: FileStep;
  /** `ENOSPC`, `EIO`, … */
  readonly code: string;

  constructor(message: string, details: { readonly step: FileStep; readonly code: string; readonly cause?: unknown }) {
    super(message, 'cause' in details ? { cause: details.cause } : undefined);
    this.name = 'LogFileError';
    this.step = details.step;
    this.code = details.code;
  }
}
