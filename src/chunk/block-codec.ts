/** Plain block content ↔ stored block bytes, for every encoding a chunk can name. */
import zlib from 'node:zlib';
import type { BlockEncoding } from './block-encoding.ts';
import { CorruptChunkError } from './corrupt-chunk-error.ts';
import { DEFAULT_GZIP_LEVEL } from './gzip-level.ts';
import { gunzip, gzipMemberParts } from './gzip-member.ts';
import { compressLz4Frame, decompressLz4Frame } from './lz4-frame.ts';
import { releaseMemory } from './release-memory.ts';
import { compressSnappyFrames, decompressSnappyFrames } from './snappy-framing.ts';
import { compressZstd, decompressZstd, prepareZstd } from './zstd-codec.ts';

/** 331 MB/s at ratio 9.5; higher levels cost more than they save on log text. */
export const DEFAULT_ZSTD_LEVEL = 1;

const LZ4_BLOCK_SIZES = { 'lz4-64k': 64 << 10, 'lz4-256k': 256 << 10, 'lz4-1M': 1 << 20, lz4: 4 << 20 } as const;

/** Resolves once blocks of `encoding` can be read and written without waiting: only zstd has something to start. */
export const prepareCodec = (encoding: BlockEncoding): Promise<void> =>
  encoding === 'zstd' ? prepareZstd() : Promise.resolve();

/**
 * Parts of the stored bytes, to be concatenated where they are to lie. They may be views of `plain` (encoding none).
 * `level`: gzip, flate 1–9, zstd 1–19; the others have none. @throws Error for `dumb`, which no program writes or reads
 */
export const compressBlockParts = (
  plain: Uint8Array,
  encoding: BlockEncoding,
  level?: number,
): readonly Uint8Array[] => {
  switch (encoding) {
    case 'none':
      return [plain];
    case 'gzip':
      return gzipMemberParts(plain, level ?? DEFAULT_GZIP_LEVEL);
    case 'flate':
      return [zlib.deflateRawSync(plain, { level: level ?? DEFAULT_GZIP_LEVEL, chunkSize: 64 << 10 })];
    case 'snappy':
      return [compressSnappyFrames(plain)];
    case 'zstd':
      return [compressZstd(plain, level ?? DEFAULT_ZSTD_LEVEL)];
    case 'lz4-64k':
    case 'lz4-256k':
    case 'lz4-1M':
    case 'lz4':
      return [compressLz4Frame(plain, LZ4_BLOCK_SIZES[encoding])];
    case 'dumb':
      throw new Error('the encoding dumb cannot be written');
  }
};

/** A fresh copy of the stored bytes, over a SharedArrayBuffer so that they cross threads for nothing. */
export const compressBlock = (
  plain: Uint8Array,
  encoding: BlockEncoding,
  level?: number,
): Uint8Array<SharedArrayBuffer> => {
  const parts = compressBlockParts(plain, encoding, level);
  const size = parts.reduce((sum, part) => sum + part.length, 0);
  const bytes = new Uint8Array(new SharedArrayBuffer(size));
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
};

export interface DecompressOptions {
  /** Refuses to make more plain bytes than this. */
  readonly maxBytes: number;
  /** `bytes` passed a checksum of their own (the chunk's, or the block's CRC-32C). Default false. */
  readonly isVerified?: boolean;
}

/** Plain content of a block; for encoding none a view of `bytes`. @throws CorruptChunkError */
export const decompressBlock = (bytes: Uint8Array, encoding: BlockEncoding, options: DecompressOptions): Buffer => {
  const { maxBytes, isVerified = false } = options;
  switch (encoding) {
    case 'none':
      return checkedSize(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), maxBytes);
    case 'gzip':
      return gunzip(bytes, { maxBytes, isVerified });
    case 'flate':
      return inflateRaw(bytes, maxBytes);
    case 'snappy':
      return decompressSnappyFrames(bytes, maxBytes);
    case 'zstd':
      return decompressZstd(bytes, maxBytes);
    case 'lz4-64k':
    case 'lz4-256k':
    case 'lz4-1M':
    case 'lz4':
      return decompressLz4Frame(bytes, maxBytes);
    case 'dumb':
      throw new CorruptChunkError('the encoding dumb cannot be read');
  }
};

/** Takes back what `decompressBlock` made, which nobody may read any more. Other encodings have views and memory of native libraries. */
export const releaseBlock = (plain: Buffer, encoding: BlockEncoding): void => {
  if (encoding === 'gzip' || encoding === 'flate') releaseMemory(plain);
};

const checkedSize = (bytes: Buffer, maxBytes: number): Buffer => {
  if (bytes.length > maxBytes) throw new CorruptChunkError(`more than ${maxBytes} bytes`);
  return bytes;
};

const inflateRaw = (bytes: Uint8Array, maxBytes: number): Buffer => {
  try {
    return zlib.inflateRawSync(bytes, { chunkSize: 256 << 10, maxOutputLength: Math.max(1, maxBytes) });
  } catch (cause) {
    throw new CorruptChunkError('a deflate block is corrupt or too large', { cause });
  }
};
