/** Zstandard by WebAssembly. The module starts asynchronously, once; everything after that is synchronous. */
import { compress, decompress, init } from '@bokuweb/zstd-wasm';
import { CorruptChunkError } from './corrupt-chunk-error.ts';

const MAGIC = 0xfd2fb528;
const SKIPPABLE_MAGIC = 0x184d2a50;
/** No block of a frame holds more plain bytes than this. */
const BLOCK_PLAIN_MAX = 128 << 10;
const RAW_BLOCK = 0;
const RLE_BLOCK = 1;

/**
 * The library is one per thread and breaks when it is started twice (its functions then work on one memory and its copies go to another), so
 * the start is remembered where a second copy of this file (require beside import) finds it too.
 */
const STARTING = Symbol.for('ringlog.zstd.starting');
const shared = globalThis as { [STARTING]?: Promise<void> };
let isReady = false;

/** Resolves once zstd blocks can be read and written; 14 ms the first time. */
export const prepareZstd = async (): Promise<void> => {
  shared[STARTING] ??= init();
  await shared[STARTING];
  isReady = true;
};

/** A copy: the library's memory is not handed out. `prepareZstd` must have resolved. */
export const compressZstd = (plain: Uint8Array, level: number): Buffer => {
  if (!isReady) throw new Error('zstd is not started: await prepareZstd()');
  const compressed = compress(plain, level);
  return Buffer.from(compressed.buffer, compressed.byteOffset, compressed.byteLength);
};

/** @throws CorruptChunkError for anything but whole frames of at most `maxBytes` plain bytes */
export const decompressZstd = (bytes: Uint8Array, maxBytes: number): Buffer => {
  if (!isReady) throw new Error('zstd is not started: await prepareZstd()');
  const frames = asBuffer(bytes);
  const parts: Uint8Array[] = [];
  let size = 0;
  // The library believes the size in the header, and reads one frame; so each frame's structure is walked first.
  for (let offset = 0; offset < frames.length; ) {
    const frame = walkFrame(frames, offset);
    if (!frame.isSkippable) {
      const room = maxBytes - size;
      if (frame.sizeSaid > room) throw new CorruptChunkError(`more than ${maxBytes} bytes when decompressed`);
      // One byte is the least the library can be given room for.
      const plain = decompressFrame(frames.subarray(offset, frame.end), Math.max(1, Math.min(frame.sizeMax, room)));
      size += plain.length;
      parts.push(plain);
    }
    offset = frame.end;
  }
  return Buffer.concat(parts, size);
};

interface Frame {
  readonly end: number;
  /** Plain size as the header says it; 0 where it does not. The library allocates as much. */
  readonly sizeSaid: number;
  /** Upper bound of the plain size, from the blocks. */
  readonly sizeMax: number;
  readonly isSkippable: boolean;
}

/** RFC 8878, 3.1: header, blocks (3-byte headers), optional checksum. */
const walkFrame = (bytes: Buffer, start: number): Frame => {
  need(bytes, start, 8);
  const magic = bytes.readUInt32LE(start);
  if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC) {
    const length = bytes.readUInt32LE(start + 4);
    need(bytes, start + 8, length);
    return { end: start + 8 + length, sizeSaid: 0, sizeMax: 0, isSkippable: true };
  }
  if (magic !== MAGIC) throw new CorruptChunkError('not a Zstandard frame');
  const descriptor = bytes[start + 4]!;
  const contentSize = readContentSize(bytes, start + 5, descriptor);
  let offset = contentSize.end;
  let sizeMax = 0;
  for (let isLast = false; !isLast; ) {
    need(bytes, offset, 3);
    const header = bytes.readUIntLE(offset, 3);
    const type = (header >> 1) & 3;
    const size = header >> 3;
    isLast = (header & 1) !== 0;
    offset += 3 + (type === RLE_BLOCK ? 1 : size);
    sizeMax += type === RAW_BLOCK || type === RLE_BLOCK ? size : BLOCK_PLAIN_MAX;
  }
  const end = offset + ((descriptor & 0x04) !== 0 ? 4 : 0);
  need(bytes, start, end - start);
  if (contentSize.value !== undefined && contentSize.value > sizeMax) {
    throw new CorruptChunkError('a Zstandard frame lies about its size');
  }
  return { end, sizeSaid: contentSize.value ?? 0, sizeMax, isSkippable: false };
};

/** The frame's content size, if it says one, and where its header ends. */
const readContentSize = (
  bytes: Buffer,
  start: number,
  descriptor: number,
): { value: number | undefined; end: number } => {
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const dictionarySize = [0, 1, 2, 4][descriptor & 3]!;
  const offset = start + (isSingleSegment ? 0 : 1) + dictionarySize;
  const fieldSize = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6]!;
  need(bytes, offset, fieldSize);
  const end = offset + fieldSize;
  if (fieldSize === 0) return { value: undefined, end };
  if (fieldSize === 8) return { value: Number(bytes.readBigUInt64LE(offset)), end };
  return { value: bytes.readUIntLE(offset, fieldSize) + (fieldSize === 2 ? 256 : 0), end };
};

const decompressFrame = (frame: Buffer, room: number): Uint8Array => {
  try {
    return decompress(frame, { defaultHeapSize: room });
  } catch (cause) {
    throw new CorruptChunkError('a Zstandard frame is corrupt or too large', { cause });
  }
};

const need = (bytes: Buffer, offset: number, size: number): void => {
  if (offset + size > bytes.length) throw new CorruptChunkError('a Zstandard frame is cut short');
};

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
