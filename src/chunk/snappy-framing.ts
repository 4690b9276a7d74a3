/**
 * The snappy framing format, over snappy's block functions.
 *
 *   ff 06 00 00 "sNaPpY"                                             stream identifier, first and anywhere again
 *   type u8 | length u24 le | masked CRC-32C u32 le | payload        per frame; the CRC is of the plain bytes (≤ 65536)
 *
 * type 00: payload is a snappy block; 01: stored; 80–fd: to be skipped; 02–7f: must not be skipped. https://github.com/google/snappy
 */
import { compressSync, uncompressSync } from 'snappy';
import { maskedCrc32c } from './checksum.ts';
import { CorruptChunkError } from './corrupt-chunk-error.ts';
import { VarintReader } from './varint.ts';

const STREAM_IDENTIFIER = Buffer.from([0xff, 0x06, 0x00, 0x00, 0x73, 0x4e, 0x61, 0x50, 0x70, 0x59]);
const PLAIN_SIZE_MAX = 65536;
const COMPRESSED_FRAME = 0x00;
const STORED_FRAME = 0x01;
/** Without it the library's buffers are finalised one by one by the collector: 3–4 × slower (measured). */
const COPY_OUTPUT = { copyOutputData: true } as const;

export const compressSnappyFrames = (plain: Uint8Array): Buffer => {
  const parts: Uint8Array[] = [STREAM_IDENTIFIER];
  for (let start = 0; start < plain.length; start += PLAIN_SIZE_MAX) {
    const part = plain.subarray(start, start + PLAIN_SIZE_MAX);
    const compressed = compressSync(part, COPY_OUTPUT) as Buffer;
    // Stored when less than 1/8 is saved: what Go's writer does, so that small metadata comes out the same.
    const isStored = compressed.length >= part.length - (part.length >> 3);
    parts.push(...frame(isStored ? STORED_FRAME : COMPRESSED_FRAME, part, isStored ? part : compressed));
  }
  return Buffer.concat(parts);
};

const frame = (type: number, plain: Uint8Array, payload: Uint8Array): Uint8Array[] => {
  const header = Buffer.allocUnsafe(8);
  header[0] = type;
  header.writeUIntLE(payload.length + 4, 1, 3);
  header.writeUInt32LE(maskedCrc32c(plain), 4);
  return [header, payload];
};

/** @throws CorruptChunkError for anything but a whole, valid stream of at most `maxBytes` plain bytes */
export const decompressSnappyFrames = (framed: Uint8Array, maxBytes: number): Buffer => {
  const bytes = Buffer.from(framed.buffer, framed.byteOffset, framed.byteLength);
  if (!bytes.subarray(0, 10).equals(STREAM_IDENTIFIER)) throw new CorruptChunkError('not a snappy stream');
  const parts: Uint8Array[] = [];
  let size = 0;
  for (let offset = 10; offset < bytes.length; ) {
    if (bytes.length - offset < 4) throw new CorruptChunkError('a snappy frame is cut short');
    const end = offset + 4 + bytes.readUIntLE(offset + 1, 3);
    if (end > bytes.length) throw new CorruptChunkError('a snappy frame is cut short');
    const plain = readFrame(bytes[offset]!, bytes.subarray(offset + 4, end));
    size += plain.length;
    if (size > maxBytes) throw new CorruptChunkError(`more than ${maxBytes} bytes when decompressed`);
    if (plain.length > 0) parts.push(plain);
    offset = end;
  }
  return Buffer.concat(parts, size);
};

const EMPTY = Buffer.alloc(0);

const readFrame = (type: number, body: Buffer): Uint8Array => {
  if (type === 0xff) {
    if (body.equals(STREAM_IDENTIFIER.subarray(4))) return EMPTY;
    throw new CorruptChunkError('a snappy stream identifier is wrong');
  }
  if (type >= 0x80) return EMPTY;
  if (type > STORED_FRAME || body.length < 4) throw new CorruptChunkError('a snappy frame is unreadable');
  const plain = type === STORED_FRAME ? body.subarray(4) : uncompressPart(body.subarray(4));
  if (plain.length > PLAIN_SIZE_MAX) throw new CorruptChunkError('a snappy frame is too large');
  if (maskedCrc32c(plain) !== body.readUInt32LE(0)) throw new CorruptChunkError('a snappy frame has a wrong checksum');
  return plain;
};

/** A snappy block starts with its plain size: looked at before anything is allocated. */
const uncompressPart = (block: Buffer): Buffer => {
  if (new VarintReader(block).uvarint() > PLAIN_SIZE_MAX) throw new CorruptChunkError('a snappy frame is too large');
  try {
    return uncompressSync(block, COPY_OUTPUT) as Buffer;
  } catch (cause) {
    throw new CorruptChunkError('a snappy block is corrupt', { cause });
  }
};
