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

/**
 * Descriptors by handle. A handle is given once: the number of a descriptor that is closed is that of whatever is opened next, by anybody in the process, and
 * a late write would go there.
 */
const descriptors = new Map<number, number>();
let lastHandle = 0;

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
      return step('open', () => {
        const descriptor = fs.openSync(path.join(folder, request.name), flags);
        lastHandle += 1;
        descriptors.set(lastHandle, descriptor);
        return lastHandle;
      });
    }
    case 'write':
      step('write', () => writeAll(descriptorOf(request.handle), request.offset, request.bytes));
      if (request.isSynced) step('sync', () => fs.fdatasyncSync(descriptorOf(request.handle)));
      return undefined;
    case 'datasync':
      return step('sync', () => fs.fdatasyncSync(descriptorOf(request.handle)));
    case 'truncate':
      return step('truncate', () => fs.ftruncateSync(descriptorOf(request.handle), request.size));
    case 'close':
      return step('close', () => {
        const descriptor = descriptorOf(request.handle);
        descriptors.delete(request.handle);
        fs.closeSync(descriptor);
      });
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

const descriptorOf = (handle: number): number => {
  const descriptor = descriptors.get(handle);
  if (descriptor === undefined) throw Object.assign(new Error('EBADF: the file is closed'), { code: 'EBADF' });
  return descriptor;
};

const writeAll = (descriptor: number, offset: number, bytes: Uint8Array): void => {
  for (let written = 0; written < bytes.length; ) {
    written += fs.writeSync(descriptor, bytes, written, bytes.length - written, offset + written);
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
