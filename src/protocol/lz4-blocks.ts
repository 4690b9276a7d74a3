/**
 * The blocks of an LZ4 frame, over the library's block functions (its own frame functions have no bound on the size, and are slower).
 *
 *   04 22 4d 18 | FLG | BD | [content size u64] | [dictionary id u32] | header checksum
 *   size u32 le (high bit: stored) | bytes | [block checksum u32]      per block
 *   00 00 00 00 | [content checksum u32]                               https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md
 */
import { uncompressSync } from 'lz4-napi';

const MAGIC = 0x184d2204;
const BLOCKS_ARE_INDEPENDENT = 0x20;
const HAS_BLOCK_CHECKSUMS = 0x10;
const HAS_CONTENT_SIZE = 0x08;
const HAS_CONTENT_CHECKSUM = 0x04;
const HAS_DICTIONARY = 0x01;
const STORED_BIT = 0x80000000;
/** An LZ4 sequence says at most 255 more bytes with each byte. */
export const LZ4_RATIO_MAX = 255;

/** Bytes that are not one whole frame, or more plain bytes than allowed. */
export class Lz4FrameError extends Error {
  constructor(what: string, options?: ErrorOptions) {
    super(what, options);
    this.name = 'Lz4FrameError';
  }
}

export interface Lz4Header {
  readonly headerSize: number;
  readonly blockSizeMax: number;
  readonly isIndependent: boolean;
  readonly hasBlockChecksums: boolean;
  readonly hasContentChecksum: boolean;
}

export const readLz4Header = (bytes: Buffer): Lz4Header => {
  if (bytes.length < 11 || bytes.readUInt32LE(0) !== MAGIC) throw new Lz4FrameError('not an LZ4 frame');
  const flags = bytes[4]!;
  const sizeCode = (bytes[5]! >> 4) & 7;
  if (flags >> 6 !== 1 || sizeCode < 4 || (flags & HAS_DICTIONARY) !== 0) {
    throw new Lz4FrameError('an LZ4 frame header is wrong');
  }
  return {
    headerSize: 7 + ((flags & HAS_CONTENT_SIZE) !== 0 ? 8 : 0),
    blockSizeMax: 1 << (8 + 2 * sizeCode),
    isIndependent: (flags & BLOCKS_ARE_INDEPENDENT) !== 0,
    hasBlockChecksums: (flags & HAS_BLOCK_CHECKSUMS) !== 0,
    hasContentChecksum: (flags & HAS_CONTENT_CHECKSUM) !== 0,
  };
};

/** The plain bytes, block by block; only a frame of independent blocks gives them right. @throws Lz4FrameError */
export function* lz4Blocks(bytes: Buffer, header: Lz4Header, bytesMax: number): Generator<Uint8Array, void> {
  let size = 0;
  let offset = header.headerSize;
  for (;;) {
    if (bytes.length - offset < 4) throw new Lz4FrameError('an LZ4 frame is cut short');
    const word = bytes.readUInt32LE(offset);
    offset += 4;
    if (word === 0) break;
    const end = offset + (word & 0x7fffffff);
    if (end > bytes.length) throw new Lz4FrameError('an LZ4 frame is cut short');
    const block = bytes.subarray(offset, end);
    const room = Math.min(header.blockSizeMax, bytesMax - size);
    const plain = word >= STORED_BIT ? block : uncompressed(block, room);
    if (plain.length > room) throw new Lz4FrameError(`more than ${bytesMax} bytes when decompressed`);
    size += plain.length;
    yield plain;
    offset = end + (header.hasBlockChecksums ? 4 : 0);
  }
  if (offset + (header.hasContentChecksum ? 4 : 0) !== bytes.length) {
    throw new Lz4FrameError('an LZ4 frame does not end where its bytes end');
  }
}

const uncompressed = (block: Buffer, room: number): Buffer => {
  // The library wants the plain size (4 bytes) in front of the block.
  const sized = Buffer.allocUnsafe(4 + block.length);
  sized.writeUInt32LE(Math.min(room, block.length * LZ4_RATIO_MAX + 64));
  sized.set(block, 4);
  try {
    return uncompressSync(sized);
  } catch (cause) {
    throw new Lz4FrameError('an LZ4 block is corrupt or too large', { cause });
  }
};
