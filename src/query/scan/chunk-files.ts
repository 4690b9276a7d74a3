import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { type ChunkView, decodeChunk } from '../../chunk/chunk-object.ts';
import { type ObjectSpan, outlineGaps } from '../../chunk/chunk-outline.ts';
import { CorruptChunkError } from '../../chunk/corrupt-chunk-error.ts';
import { RefusedError } from '../../protocol/refusal.ts';
import { codeOf, MISSING_CODES } from '../../storage/file-commit.ts';
import { HEAD_SIZE, ROUNDS_MAX, tailSizeOf } from './chunk-parts.ts';
import type { ChunkFile } from './scan-messages.ts';
import { missingChunk } from './unreadable-chunk.ts';

/**
 * Chunk files of one task, of which little is wanted: their ends are read, and blocks as the scan comes to them. In this thread and without waiting: opening a
 * file of a local disk and reading 100 KB of it take 30 µs, sending that to libuv's threads and its bytes to this one ten times as much.
 */
export class ChunkFiles {
  readonly #descriptors: number[] = [];

  /**
   * The filters in the view hold until the next file is opened; its blocks can be read until `close`.
   * @throws CorruptChunkError for what is no valid chunk object, or none of this checksum
   * @throws RefusedError INTERNAL if the file is not there, STORAGE_UNAVAILABLE if it cannot be read
   */
  open(file: ChunkFile, wantsSkipFilters: boolean): ChunkView {
    return readable(file, () => {
      const descriptor = openSync(file.path, 'r');
      this.#descriptors.push(descriptor);
      const { size } = fstatSync(descriptor);
      const part = partOf(file, descriptor, size, wantsSkipFilters);
      // Whatever does not fit: the whole has a checksum in its key.
      return part ?? decodeChunk(readSpan(descriptor, { start: 0, end: size }), { checksum: file.checksum });
    });
  }

  close(): void {
    for (const descriptor of this.#descriptors.splice(0)) closeSync(descriptor);
  }
}

/** undefined: read the whole. */
const partOf = (
  file: ChunkFile,
  descriptor: number,
  size: number,
  wantsSkipFilters: boolean,
): ChunkView | undefined => {
  const tailSize = tailSizeOf(wantsSkipFilters);
  if (size <= HEAD_SIZE + tailSize) return undefined;
  const object = scratchOf(size);
  const spans: ObjectSpan[] = [];
  const read = (span: ObjectSpan): void => {
    readInto(descriptor, object.subarray(span.start, span.end), span.start);
    spans.push(span);
  };
  const isRead = ({ start, end }: ObjectSpan): boolean => spans.some((span) => span.start <= start && span.end >= end);
  read({ start: 0, end: HEAD_SIZE });
  read({ start: size - tailSize, end: size });
  try {
    for (let round = 0; ; round += 1) {
      const gaps = outlineGaps(object, isRead, wantsSkipFilters);
      if (gaps.length === 0) break;
      if (round === ROUNDS_MAX) return undefined;
      for (const gap of gaps) read(gap);
    }
    const readBlock = (start: number, end: number): Buffer =>
      readable(file, () => readSpan(descriptor, { start, end }));
    return decodeChunk(object, { readBlock });
  } catch (error) {
    if (error instanceof CorruptChunkError) return undefined;
    throw error;
  }
};

/** Chosen: a chunk of the default size has 1.5 MiB. Larger ones are read into memory of their own. */
const SCRATCH_SIZE_MAX = 16 << 20;

/** This thread's, used for one file after the other: fresh memory of a chunk's size would cost more than reading its ends. */
let scratch = Buffer.alloc(0);

/** So many bytes, with whatever in them. */
const scratchOf = (size: number): Buffer => {
  if (size > SCRATCH_SIZE_MAX) return Buffer.allocUnsafeSlow(size);
  if (scratch.length < size) scratch = Buffer.allocUnsafeSlow(Math.min(SCRATCH_SIZE_MAX, 2 * size));
  return scratch.subarray(0, size);
};

const readSpan = (descriptor: number, { start, end }: ObjectSpan): Buffer => {
  const bytes = Buffer.allocUnsafeSlow(end - start);
  readInto(descriptor, bytes, start);
  return bytes;
};

const readInto = (descriptor: number, bytes: Buffer, start: number): void => {
  let filled = 0;
  while (filled < bytes.length) {
    const count = readSync(descriptor, bytes, filled, bytes.length - filled, start + filled);
    if (count === 0) throw new Error(`file ends after ${start + filled} bytes`);
    filled += count;
  }
};

const readable = <T>({ key }: ChunkFile, read: () => T): T => {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof CorruptChunkError || cause instanceof RefusedError) throw cause;
    if (MISSING_CODES.has(codeOf(cause))) throw missingChunk(key, cause);
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new RefusedError({ code: 'STORAGE_UNAVAILABLE', text: `cannot read chunk ${key}: ${why}` }, { cause });
  }
};
