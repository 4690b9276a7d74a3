/**
 * Zstandard of any length, block by block: no block has more than 128 KiB of plain bytes (RFC 8878, 3.1).
 *
 *   28 b5 2f fd | descriptor | [window] | [dictionary id] | [content size] | blocks | [checksum u32]     per frame
 *   size and type in 3 bytes | bytes                                                                     per block
 */
import { Decompress } from 'fzstd';

const MAGIC = 0xfd2fb528;
const SKIPPABLE_MAGIC = 0x184d2a50;
const RLE_BLOCK = 1;

/** What a frame may make the decompressor hold: four times what encoders use by default (chosen; 8 MiB is what RFC 8878 recommends to support). */
export const ZSTD_WINDOW_MAX = 32 * 1024 * 1024;

/** Bytes that are not whole frames. */
export class ZstdError extends Error {
  constructor(what: string, options?: ErrorOptions) {
    super(what, options);
    this.name = 'ZstdError';
  }
}

interface FrameHeader {
  /** Where the blocks begin. */
  readonly end: number;
  readonly windowSize: number;
  readonly hasChecksum: boolean;
}

/**
 * The plain bytes, a block at a time.
 * @param onWindow hears of the memory that a frame needs before it is taken; may throw
 * @throws ZstdError
 */
export function* zstdBlocks(bytes: Buffer, onWindow: (size: number) => void): Generator<Uint8Array, void> {
  for (let at = 0; at < bytes.length; ) {
    need(bytes, at, 8);
    const magic = bytes.readUInt32LE(at);
    if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC) {
      at += 8 + bytes.readUInt32LE(at + 4);
      if (at > bytes.length) throw cutShort();
      continue;
    }
    if (magic !== MAGIC) throw new ZstdError('zstd: magic number mismatch');
    const header = readHeader(bytes, at);
    if (header.windowSize > ZSTD_WINDOW_MAX) throw new ZstdError(`zstd: window size ${header.windowSize} too large`);
    onWindow(header.windowSize);
    at = yield* frameBlocks(bytes, at, header);
  }
}

/** @returns the end of the frame */
function* frameBlocks(bytes: Buffer, start: number, { end, hasChecksum }: FrameHeader): Generator<Uint8Array, number> {
  let plain: Uint8Array[] = [];
  const decompressor = new Decompress((block) => plain.push(block));
  // The decompressor gets a block at a time, the first with the header in front, so that it never has more to do than one.
  let from = start;
  let at = end;
  for (let isLast = false; !isLast; ) {
    need(bytes, at, 3);
    const head = bytes.readUIntLE(at, 3);
    isLast = (head & 1) !== 0;
    at += 3 + (((head >> 1) & 3) === RLE_BLOCK ? 1 : head >> 3);
    if (isLast && hasChecksum) at += 4;
    if (at > bytes.length) throw cutShort();
    try {
      decompressor.push(bytes.subarray(from, at), isLast);
    } catch (cause) {
      throw new ZstdError(`zstd: ${(cause as Error).message}`, { cause });
    }
    from = at;
    yield* plain;
    plain = [];
  }
  return at;
}

const readHeader = (bytes: Buffer, start: number): FrameHeader => {
  const descriptor = bytes[start + 4]!;
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const hasChecksum = (descriptor & 0x04) !== 0;
  const dictionarySize = [0, 1, 2, 4][descriptor & 3]!;
  const sizeAt = start + 5 + (isSingleSegment ? 0 : 1) + dictionarySize;
  const fieldSize = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6]!;
  const end = sizeAt + fieldSize;
  need(bytes, start, end - start);
  if (dictionarySize > 0 && bytes.readUIntLE(sizeAt - dictionarySize, dictionarySize) > 0) {
    throw new ZstdError('zstd: unknown dictionary');
  }
  if (!isSingleSegment) {
    const window = bytes[start + 5]!;
    const base = 2 ** (10 + (window >> 3));
    return { end, windowSize: base + (base / 8) * (window & 7), hasChecksum };
  }
  const size = fieldSize === 8 ? Number(bytes.readBigUInt64LE(sizeAt)) : bytes.readUIntLE(sizeAt, fieldSize);
  return { end, windowSize: size + (fieldSize === 2 ? 256 : 0), hasChecksum };
};

const need = (bytes: Buffer, at: number, size: number): void => {
  if (at + size > bytes.length) throw cutShort();
};

const cutShort = (): ZstdError => new ZstdError('zstd: unexpected EOF');
