/** LZ4 frames as Loki writes them into chunks; the format is drawn in protocol/lz4-blocks.ts. */
import { compressSync, decompressFrameSync } from 'lz4-napi';
import { LZ4_RATIO_MAX, Lz4FrameError, lz4Blocks, readLz4Header } from '../protocol/lz4-blocks.ts';
import { CorruptChunkError } from './corrupt-chunk-error.ts';

/** Version 1, independent blocks, no content size, no checksums: what Loki writes. */
const FLAGS = 0x60;
const STORED_BIT = 0x80000000;

/** Block size limit → BD byte and the header checksum that belongs to (FLAGS, BD). */
const DESCRIPTORS: ReadonlyMap<number, readonly [number, number]> = new Map([
  [64 << 10, [0x40, 0x82]],
  [256 << 10, [0x50, 0xfb]],
  [1 << 20, [0x60, 0x51]],
  [4 << 20, [0x70, 0x73]],
]);

/** `blockSizeMax`: 64 KiB, 256 KiB, 1 MiB or 4 MiB. */
export const compressLz4Frame = (plain: Uint8Array, blockSizeMax: number): Buffer => {
  const descriptor = DESCRIPTORS.get(blockSizeMax);
  if (!descriptor) throw new Error(`no LZ4 block size ${blockSizeMax}`);
  const header = Buffer.from([0x04, 0x22, 0x4d, 0x18, FLAGS, ...descriptor]);
  const parts: Uint8Array[] = [header];
  for (let start = 0; start < plain.length; start += blockSizeMax) {
    const part = plain.subarray(start, start + blockSizeMax);
    // The library puts the plain size (4 bytes) in front of the block.
    const block = compressSync(asBuffer(part)).subarray(4);
    const isStored = block.length >= part.length;
    parts.push(u32(isStored ? part.length + STORED_BIT : block.length), isStored ? part : block);
  }
  parts.push(u32(0));
  return Buffer.concat(parts);
};

/** @throws CorruptChunkError for anything but one whole frame of at most `maxBytes` plain bytes */
export const decompressLz4Frame = (framed: Uint8Array, maxBytes: number): Buffer => {
  const bytes = asBuffer(framed);
  try {
    const header = readLz4Header(bytes);
    const parts = [...lz4Blocks(bytes, header, maxBytes)];
    // Linked blocks (nobody is known to write them into chunks): now that the structure and a bound are known, the library may do it.
    return header.isIndependent ? Buffer.concat(parts) : decompressLinked(bytes, maxBytes);
  } catch (cause) {
    throw cause instanceof Lz4FrameError ? new CorruptChunkError(cause.message, { cause }) : cause;
  }
};

const decompressLinked = (bytes: Buffer, maxBytes: number): Buffer => {
  if (bytes.length * LZ4_RATIO_MAX > maxBytes) {
    throw new CorruptChunkError('an LZ4 frame with linked blocks is too large');
  }
  try {
    return decompressFrameSync(bytes);
  } catch (cause) {
    throw new CorruptChunkError('an LZ4 frame is corrupt', { cause });
  }
};

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

const u32 = (value: number): Buffer => {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
