/** What the log's thread does with files: synchronous calls, one after another. */
import fs from 'node:fs';
import path from 'node:path';
import type { FileStep } from './log-files.ts';

export type FileRequest =
  | { readonly type: 'open'; readonly name: string; readonly isNew: boolean }
  | {
      readonly type: 'write';
      readonly handle: number;
      readonly offset: number;
      readonly bytes: Uint8Array;
      readonly isSynced: boolean;
    }
  | { readonly type: 'datasync'; readonly handle: number }
  | { readonly type: 'truncate'; readonly handle: number; readonly size: number }
  | { readonly type: 'close'; readonly handle: number }
  | { readonly type: 'rename'; readonly from: string; readonly to: string }
  | { readonly type: 'unlink'; readonly name: string }
  | { readonly type: 'sync-folder' };

/** A number is a file's handle. */
export type FileResult = number | undefined;

/** Tells which part of a request failed. */
export class StepError extends Error {
  readonly step: FileStep;
  readonly code: string;

  constructor(step: FileStep, { cause }: { readonly cause: unknown }) {
    super((cause as Error).message, { cause });
    this.step = step;
    this.code = String((cause as NodeJS.ErrnoException).code ?? 'EIO');
  }
}

/** @throws StepError */
export const performFileRequest = (folder: string, request: FileRequest): FileResult => {
  switch (request.type) {
    case 'open': {
      const { O_WRONLY, O_CREAT, O_EXCL } = fs.constants;
      const flags = request.isNew ? O_WRONLY | O_CREAT | O_EXCL : O_WRONLY;
      return step('open', () => fs.openSync(path.join(folder, request.name), flags));
    }
    case 'write':
      step('write', () => writeAll(request.handle, request.offset, request.bytes));
      if (request.isSynced) step('sync', () => fs.fdatasyncSync(request.handle));
      return undefined;
    case 'datasync':
      return step('sync', () => fs.fdatasyncSync(request.handle));
    case 'truncate':
      return step('truncate', () => fs.ftruncateSync(request.handle, request.size));
    case 'close':
      return step('close', () => fs.closeSync(request.handle));
    case 'rename':
      return step('rename', () => fs.renameSync(path.join(folder, request.from), path.join(folder, request.to)));
    case 'unlink':
      return step('unlink', () => fs.unlinkSync(path.join(folder, request.name)));
    case 'sync-folder':
      return step('sync', () => syncFolder(folder));
  }
};

const step = (name: FileStep, work: () => unknown): FileResult => {
  try {
    return work() as FileResult;
  } catch (error) {
    throw new StepError(name, { cause: error });
  }
};

const writeAll = (handle: number, offset: number, bytes: Uint8Array): void => {
  for (let written = 0; written < bytes.length; ) {
    written += fs.writeSync(handle, bytes, written, bytes.length - written, offset + written);
  }
};

const syncFolder = (folder: string): void => {
  const handle = fs.openSync(folder, 'r');
  try {
    fs.fsyncSync(handle);
  } finally {
    fs.closeSync(handle);
  }
};
