/**
 * LZ4 frames, over the library's block functions (its own frame functions have no bound on the size, and are slower).
 *
 *   04 22 4d 18 | FLG | BD | [content size u64] | [dictionary id u32] | header checksum
 *   size u32 le (high bit: stored) | bytes | [block checksum u32]      per block
 *   00 00 00 00 | [content checksum u32]                               https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md
 */
import { compressSync, decompressFrameSync, uncompressSync } from 'lz4-napi';
import { CorruptChunkError } from './corrupt-chunk-error.ts';

const MAGIC = 0x184d2204;
/** Version 1, independent blocks, no content size, no checksums: what Loki writes. */
const FLAGS = 0x60;
const BLOCKS_ARE_INDEPENDENT = 0x20;
const HAS_BLOCK_CHECKSUMS = 0x10;
const HAS_CONTENT_SIZE = 0x08;
const HAS_CONTENT_CHECKSUM = 0x04;
const HAS_DICTIONARY = 0x01;
const STORED_BIT = 0x80000000;
/** An LZ4 sequence says at most 255 more bytes with each byte. */
const RATIO_MAX = 255;

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
  const frame = readHeader(bytes);
  const parts: Uint8Array[] = [];
  let size = 0;
  let offset = frame.headerSize;
  for (;;) {
    if (bytes.length - offset < 4) throw new CorruptChunkError('an LZ4 frame is cut short');
    const word = bytes.readUInt32LE(offset);
    offset += 4;
    if (word === 0) break;
    const end = offset + (word & 0x7fffffff);
    if (end > bytes.length) throw new CorruptChunkError('an LZ4 frame is cut short');
    const block = bytes.subarray(offset, end);
    const room = Math.min(frame.blockSizeMax, maxBytes - size);
    const plain = word >= STORED_BIT ? block : uncompressBlock(block, room);
    if (plain.length > room) throw new CorruptChunkError(`more than ${maxBytes} bytes when decompressed`);
    size += plain.length;
    parts.push(plain);
    offset = end + (frame.hasBlockChecksums ? 4 : 0);
  }
  if (offset + (frame.hasContentChecksum ? 4 : 0) !== bytes.length) {
    throw new CorruptChunkError('an LZ4 frame does not end where its bytes end');
  }
  // Linked blocks (nobody is known to write them into chunks): now that the structure and a bound are known, the library may do it.
  return frame.isIndependent ? Buffer.concat(parts, size) : decompressLinked(bytes, maxBytes);
};

interface FrameHeader {
  readonly headerSize: number;
  readonly blockSizeMax: number;
  readonly isIndependent: boolean;
  readonly hasBlockChecksums: boolean;
  readonly hasContentChecksum: boolean;
}

const readHeader = (bytes: Buffer): FrameHeader => {
  if (bytes.length < 11 || bytes.readUInt32LE(0) !== MAGIC) throw new CorruptChunkError('not an LZ4 frame');
  const flags = bytes[4]!;
  const sizeCode = (bytes[5]! >> 4) & 7;
  if (flags >> 6 !== 1 || sizeCode < 4 || (flags & HAS_DICTIONARY) !== 0) {
    throw new CorruptChunkError('an LZ4 frame header is wrong');
  }
  return {
    headerSize: 7 + ((flags & HAS_CONTENT_SIZE) !== 0 ? 8 : 0),
    blockSizeMax: 1 << (8 + 2 * sizeCode),
    isIndependent: (flags & BLOCKS_ARE_INDEPENDENT) !== 0,
    hasBlockChecksums: (flags & HAS_BLOCK_CHECKSUMS) !== 0,
    hasContentChecksum: (flags & HAS_CONTENT_CHECKSUM) !== 0,
  };
};

const uncompressBlock = (block: Buffer, room: number): Buffer => {
  try {
    return uncompressSync(Buffer.concat([u32(Math.min(room, block.length * RATIO_MAX + 64)), block]));
  } catch (cause) {
    throw new CorruptChunkError('an LZ4 block is corrupt or too large', { cause });
  }
};

const decompressLinked = (bytes: Buffer, maxBytes: number): Buffer => {
  if (bytes.length * RATIO_MAX > maxBytes) throw new CorruptChunkError('an LZ4 frame with linked blocks is too large');
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
