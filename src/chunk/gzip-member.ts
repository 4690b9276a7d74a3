/**
 * gzip members: how ours are written and how any are read.
 *
 *   1f 8b 08 00 | 00 00 00 00 | 52 ff | deflate data … 00 00 00 ff ff | 01 00 00 ff ff | CRC-32 u32 le | size u32 le
 *   magic, deflate, no fields; time 0; XFL, OS | ends in a full flush | an empty last block | trailer (RFC 1952)
 *
 * The full flush before the empty last block lets one long-lived inflate state read member after member (`zlib-sync-inflate.ts`); to
 * gzip, Go, Python and node:zlib it is an ordinary member. XFL 'R' marks it: readers of gzip ignore the byte.
 */
import zlib from 'node:zlib';
import { CorruptChunkError } from './corrupt-chunk-error.ts';
import { FlushedInflater, isZlibSyncLoaded } from './zlib-sync-inflate.ts';

const HEADER_SIZE = 10;
const TRAILER_SIZE = 8;
const XFL_OFFSET = 8;
const OUR_XFL = 0x52;
const HEADER = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, OUR_XFL, 0xff]);
/** An empty stored block, marked as the last one. */
const LAST_BLOCK = Buffer.from([0x01, 0x00, 0x00, 0xff, 0xff]);
const FLUSH_TAIL = Buffer.from([0x00, 0x00, 0xff, 0xff]);
const TAIL_SIZE = LAST_BLOCK.length + TRAILER_SIZE;

/**
 * Plain sizes up to which zlib-sync reads our blocks: what streams with few lines flush. Measured (test/bench/chunk/inflate.bench.ts, µs of
 * CPU, zlib-sync / node:zlib): 1 KiB 5.8 / 7.6, 16 KiB 14.9 / 15.7, 64 KiB 70 / 62, 256 KiB 239 / 230. Setting up a state costs node:zlib
 * 5 µs; above 16 KiB its faster inner loop and one copy less win them back.
 */
export const ZLIB_SYNC_SIZE_MAX = 16 << 10;

/** One for this thread. */
const inflater = new FlushedInflater();

/** Which engine reads our blocks of up to ZLIB_SYNC_SIZE_MAX plain bytes; all others are read by node:zlib. */
export const inflateEngine = (): 'zlib-sync' | 'node:zlib' => (isZlibSyncLoaded() ? 'zlib-sync' : 'node:zlib');

/** The parts of a member that holds `plain`, to be concatenated by the caller. */
export const gzipMemberParts = (plain: Uint8Array, level: number): readonly Uint8Array[] => {
  const trailer = Buffer.allocUnsafe(TRAILER_SIZE);
  trailer.writeUInt32LE(zlib.crc32(plain), 0);
  trailer.writeUInt32LE(plain.length, 4);
  const deflated = zlib.deflateRawSync(plain, {
    level,
    chunkSize: 64 << 10,
    finishFlush: zlib.constants.Z_FULL_FLUSH,
  });
  return [HEADER, deflated, LAST_BLOCK, trailer];
};

export interface GunzipOptions {
  readonly maxBytes: number;
  /** The compressed bytes passed a checksum of their own: the member's CRC-32 need not be computed. */
  readonly isVerified: boolean;
}

/** Plain bytes of one or more gzip members. @throws CorruptChunkError */
export const gunzip = (member: Uint8Array, { maxBytes, isVerified }: GunzipOptions): Buffer => {
  const bytes = Buffer.from(member.buffer, member.byteOffset, member.byteLength);
  if (!isPlainMember(bytes)) return gunzipSlowly(bytes, maxBytes);
  const size = bytes.readUInt32LE(bytes.length - 4);
  // A size beyond the limit may also be the middle of something with several members: let the slow path say.
  if (size > maxBytes) return gunzipSlowly(bytes, maxBytes);
  const flushed = size <= ZLIB_SYNC_SIZE_MAX ? inflateOurs(bytes, size, isVerified) : undefined;
  if (flushed) return flushed;
  const plain = inflateBody(bytes.subarray(HEADER_SIZE, bytes.length - TRAILER_SIZE), size);
  if (!plain || !(isVerified || hasTrailerChecksum(bytes, plain))) return gunzipSlowly(bytes, maxBytes);
  return plain;
};

/** No optional header fields, and long enough to be one. */
const isPlainMember = (bytes: Buffer): boolean =>
  bytes.length >= HEADER_SIZE + TRAILER_SIZE + 2 &&
  bytes[0] === 0x1f &&
  bytes[1] === 0x8b &&
  bytes[2] === 8 &&
  bytes[3] === 0;

const inflateOurs = (bytes: Buffer, size: number, isVerified: boolean): Buffer | undefined => {
  const end = bytes.length - TAIL_SIZE;
  if (bytes[XFL_OFFSET] !== OUR_XFL || end < HEADER_SIZE + FLUSH_TAIL.length) return undefined;
  if (bytes.compare(LAST_BLOCK, 0, LAST_BLOCK.length, end, end + LAST_BLOCK.length) !== 0) return undefined;
  if (bytes.compare(FLUSH_TAIL, 0, FLUSH_TAIL.length, end - FLUSH_TAIL.length, end) !== 0) return undefined;
  const plain = inflater.inflate(bytes.subarray(HEADER_SIZE, end), size);
  if (!plain || isVerified || hasTrailerChecksum(bytes, plain)) return plain;
  inflater.drop();
  return undefined;
};

/** One deflate stream that fills the member exactly and has the size the trailer says; else undefined. */
const inflateBody = (body: Buffer, size: number): Buffer | undefined => {
  try {
    // The whole output in one piece: the default chunk size costs 25 % (measured). 64 is the least that zlib takes.
    const { buffer, engine } = zlib.inflateRawSync(body, {
      chunkSize: Math.max(64, size + 1),
      maxOutputLength: size + 1,
      info: true,
    }) as unknown as { buffer: Buffer; engine: { bytesWritten: number } };
    return buffer.length === size && engine.bytesWritten === body.length ? buffer : undefined;
  } catch {
    return undefined;
  }
};

const hasTrailerChecksum = (bytes: Buffer, plain: Buffer): boolean =>
  zlib.crc32(plain) === bytes.readUInt32LE(bytes.length - TRAILER_SIZE);

/** Several members, optional header fields, or nothing that is gzip: node:zlib reads and checks everything. */
const gunzipSlowly = (bytes: Buffer, maxBytes: number): Buffer => {
  try {
    return zlib.gunzipSync(bytes, { maxOutputLength: Math.max(1, maxBytes) });
  } catch (cause) {
    throw new CorruptChunkError('a gzip block is corrupt or too large', { cause });
  }
};
