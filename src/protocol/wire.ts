/** Reading the protobuf wire format with a cursor, with the checks and error texts of the Go decoder that Loki uses. */
import { RefusedError } from './refusal.ts';

/** Where the last read ended. One for all readers: it is taken at once, and reading is synchronous. */
let cursor = 0;
let highWord = 0;
let lowWord = 0;

export const cursorAfterRead = (): number => cursor;

export const badRequest = (text: string): RefusedError => new RefusedError({ code: 'BAD_REQUEST', text });

export const unexpectedEnd = (): RefusedError => badRequest('unexpected EOF');

/**
 * An unsigned varint at `at`, which must end before `end`. Exact below 2⁵³.
 * @throws RefusedError BAD_REQUEST
 */
export const readVarint = (bytes: Uint8Array, at: number, end: number): number => {
  if (at + 5 > end) return readLongVarint(bytes, at, end);
  let byte = bytes[at]!;
  if (byte < 0x80) {
    cursor = at + 1;
    return byte;
  }
  let value = byte & 0x7f;
  byte = bytes[at + 1]!;
  value |= (byte & 0x7f) << 7;
  if (byte < 0x80) {
    cursor = at + 2;
    return value;
  }
  byte = bytes[at + 2]!;
  value |= (byte & 0x7f) << 14;
  if (byte < 0x80) {
    cursor = at + 3;
    return value;
  }
  byte = bytes[at + 3]!;
  value |= (byte & 0x7f) << 21;
  if (byte < 0x80) {
    cursor = at + 4;
    return value;
  }
  byte = bytes[at + 4]!;
  if (byte < 0x80) {
    cursor = at + 5;
    return value + byte * 0x10000000;
  }
  return readLongVarint(bytes, at, end);
};

/** A varint of any size; bits past the 64th are dropped. Leaves its two words. */
const readLongVarint = (bytes: Uint8Array, at: number, end: number): number => {
  let low = 0;
  let high = 0;
  for (let index = 0; index < 10; index += 1) {
    if (at + index >= end) throw unexpectedEnd();
    const byte = bytes[at + index]!;
    const bits = byte & 0x7f;
    const shift = index * 7;
    if (shift < 28) low |= bits << shift;
    else if (shift === 28) {
      low |= bits << 28;
      high = bits >>> 4;
    } else high |= bits << (shift - 32);
    if (byte < 0x80) {
      cursor = at + index + 1;
      lowWord = low >>> 0;
      highWord = high;
      return (high >>> 0) * 2 ** 32 + lowWord;
    }
  }
  throw badRequest('proto: integer overflow');
};

/** A signed 64-bit varint (two's complement, not zig-zag). Exact within ±2⁵³. */
export const readInt64 = (bytes: Uint8Array, at: number, end: number): number => {
  const value = readVarint(bytes, at, end);
  return value < 0x800000000 ? value : highWord * 2 ** 32 + lowWord;
};

/** As readInt64, exact for all 64 bits: a bigint where a number would not be. */
export const readExactInt64 = (bytes: Uint8Array, at: number, end: number): number | bigint => {
  const value = readInt64(bytes, at, end);
  return Number.isSafeInteger(value) ? value : (BigInt(highWord) << 32n) | BigInt(lowWord);
};

/** A signed 32-bit varint: the low half of what is sent. */
export const readInt32 = (bytes: Uint8Array, at: number, end: number): number => {
  const value = readVarint(bytes, at, end);
  return value < 0x800000000 ? value | 0 : lowWord | 0;
};

/** The size of a length-delimited field, checked against the end of what holds it. The cursor is then at its first byte. */
export const readSize = (bytes: Uint8Array, at: number, end: number): number => {
  const size = readVarint(bytes, at, end);
  if (size > end - cursor) {
    throw size >= 2 ** 63 ? badRequest('proto: negative length found during unmarshaling') : unexpectedEnd();
  }
  return size;
};

/** A field's tag. Field numbers have 32 bits, as in Go. @throws RefusedError for numbers below 1 and stray group ends */
export const readTag = (bytes: Uint8Array, at: number, end: number, message: string): number => {
  const tag = readVarint(bytes, at, end);
  const wireType = tag % 8;
  const field = Math.floor(tag / 8) | 0;
  if (wireType === 4) throw badRequest(`proto: ${message}: wiretype end group for non-group`);
  if (field <= 0) throw badRequest(`proto: ${message}: illegal tag ${field} (wire type ${tag})`);
  return field * 8 + wireType;
};

export const wrongWireType = (tag: number, field: string): RefusedError =>
  badRequest(`proto: wrong wireType = ${tag % 8} for field ${field}`);

/** A group is skipped in one go; one larger than this would hold up the event loop (chosen; no sender writes groups). */
const GROUP_BYTES_MAX = 1024 * 1024;

/** Skips the value of an unknown field; the cursor is then behind it. Groups may nest to any depth. */
export const skipValue = (bytes: Uint8Array, at: number, end: number, wireType: number): void => {
  let depth = 0;
  let type = wireType;
  cursor = at;
  for (;;) {
    skipScalar(bytes, end, type);
    if (type === 3) depth += 1;
    else if (type === 4) depth -= 1;
    if (depth < 0) throw badRequest('proto: unexpected end of group');
    if (depth === 0) return;
    if (cursor - at > GROUP_BYTES_MAX) throw badRequest('proto: group is too large');
    type = readVarint(bytes, cursor, end) % 8;
  }
};

const skipScalar = (bytes: Uint8Array, end: number, wireType: number): void => {
  if (wireType === 0) {
    readVarint(bytes, cursor, end);
  } else if (wireType === 1 || wireType === 5) {
    cursor += wireType === 1 ? 8 : 4;
    if (cursor > end) throw unexpectedEnd();
  } else if (wireType === 2) {
    const size = readSize(bytes, cursor, end);
    cursor += size;
  } else if (wireType > 5) {
    throw badRequest(`proto: illegal wireType ${wireType}`);
  }
};
