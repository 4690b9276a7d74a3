/**
 * Go's variable-length integers. uvarint: 7 bits a byte, low first, high bit = more follow. varint: zig-zag (0, -1, 1, -2, …), then
 * uvarint. A 64-bit value travels as two 32-bit words (low, high), since BigInt in a loop over entries costs more than the entry.
 */
import { CorruptChunkError } from './corrupt-chunk-error.ts';

/** Bytes a uvarint of `value` takes. `value`: integer in [0, 2^53]. */
export const uvarintSize = (value: number): number => {
  let size = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) size += 1;
  return size;
};

/** Writes a uvarint; gives the offset after it. `value`: integer in [0, 2^53]. */
export const writeUvarint = (bytes: Uint8Array, offset: number, value: number): number => {
  let at = offset;
  let rest = value;
  while (rest > 0x7fffffff) {
    bytes[at] = (rest % 128) | 128;
    rest = Math.floor(rest / 128);
    at += 1;
  }
  while (rest >= 128) {
    bytes[at] = (rest & 127) | 128;
    rest >>>= 7;
    at += 1;
  }
  bytes[at] = rest;
  return at + 1;
};

/** Most bytes that writeVarint64 writes. */
export const VARINT_64_SIZE_MAX = 10;

/** Writes the int64 (`high` << 32 | `low`) as a varint; gives the offset after it. Times of our century take 9 bytes. */
export const writeVarint64 = (bytes: Uint8Array, offset: number, low: number, high: number): number => {
  const sign = high >> 31;
  const zigLow = (low << 1) ^ sign;
  const zigHigh = ((high << 1) | (low >>> 31)) ^ sign;
  if (zigHigh >>> 24 === 0) return writeShortVarint64(bytes, offset, zigLow, zigHigh);
  bytes[offset] = zigLow | 128;
  bytes[offset + 1] = (zigLow >>> 7) | 128;
  bytes[offset + 2] = (zigLow >>> 14) | 128;
  bytes[offset + 3] = (zigLow >>> 21) | 128;
  bytes[offset + 4] = (zigLow >>> 28) | (zigHigh << 4) | 128;
  bytes[offset + 5] = (zigHigh >>> 3) | 128;
  bytes[offset + 6] = (zigHigh >>> 10) | 128;
  bytes[offset + 7] = (zigHigh >>> 17) | 128;
  if (zigHigh >= 0) {
    bytes[offset + 8] = zigHigh >>> 24;
    return offset + 9;
  }
  bytes[offset + 8] = (zigHigh >>> 24) | 128;
  bytes[offset + 9] = 1;
  return offset + 10;
};

const writeShortVarint64 = (bytes: Uint8Array, offset: number, zigLow: number, zigHigh: number): number => {
  let at = offset;
  let low = zigLow;
  let high = zigHigh;
  while (high !== 0 || low >>> 7 !== 0) {
    bytes[at] = (low & 127) | 128;
    low = (low >>> 7) | (high << 25);
    high >>>= 7;
    at += 1;
  }
  bytes[at] = low;
  return at + 1;
};

/** `(high << 32) | low` as a signed 64-bit bigint. */
export const int64 = (low: number, high: number): bigint => (BigInt(high | 0) << 32n) | BigInt(low >>> 0);

/** Words of a bigint, as the writers above want them. */
export const lowWord = (value: bigint): number => Number(BigInt.asIntN(32, value));
export const highWord = (value: bigint): number => Number(BigInt.asIntN(32, value >> 32n));

/** Order of two int64 given as words: negative, 0 or positive. */
export const compareInt64 = (aLow: number, aHigh: number, bLow: number, bHigh: number): number =>
  aHigh === bHigh ? (aLow >>> 0) - (bLow >>> 0) : aHigh - bHigh;

/** Reads varints in sequence from bytes[offset, end): for headers and metas; the loops over entries have their own. */
export class VarintReader {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  offset: number;

  constructor(bytes: Uint8Array, offset = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.#end = end;
    this.offset = offset;
  }

  get isAtEnd(): boolean {
    return this.offset >= this.#end;
  }

  /** @throws CorruptChunkError past the end, or above 2^53 */
  uvarint(): number {
    let value = 0;
    for (let factor = 1; factor <= 2 ** 49; factor *= 128) {
      const byte = this.#next();
      value += (byte & 127) * factor;
      if (byte < 128) return checkedSafe(value);
    }
    throw new CorruptChunkError('a varint is too large');
  }

  /** A signed 64-bit value. @throws CorruptChunkError */
  varint64(): bigint {
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#next();
      const bits = byte & 127;
      if (shift < 32) low |= bits << shift;
      if (shift >= 32) high |= bits << (shift - 32);
      else if (shift > 32 - 7) high |= bits >>> (32 - shift);
      if (byte < 128) {
        const sign = -(low & 1);
        return int64(((low >>> 1) | (high << 31)) ^ sign, (high >>> 1) ^ sign);
      }
    }
    throw new CorruptChunkError('a varint is too large');
  }

  /** The next `size` bytes, a view. @throws CorruptChunkError */
  take(size: number): Uint8Array {
    if (size > this.#end - this.offset) throw new CorruptChunkError('a length reaches past the end');
    const taken = this.#bytes.subarray(this.offset, this.offset + size);
    this.offset += size;
    return taken;
  }

  #next(): number {
    if (this.offset >= this.#end) throw new CorruptChunkError('a varint is cut short');
    const byte = this.#bytes[this.offset]!;
    this.offset += 1;
    return byte;
  }
}

const checkedSafe = (value: number): number => {
  if (!Number.isSafeInteger(value)) throw new CorruptChunkError('a varint is too large');
  return value;
};
