/** Where a line lies, given the offset of the uvarint length in front of it. The bytes were checked when they came in. */

/** First byte of the line. */
export const lineStartAt = (bytes: Uint8Array, offset: number): number => {
  let at = offset;
  while (bytes[at]! > 127) at += 1;
  return at + 1;
};

/** Bytes of the line; lines are shorter than 2^31. */
export const lineLengthAt = (bytes: Uint8Array, offset: number): number => {
  let byte = bytes[offset]!;
  if (byte < 128) return byte;
  let length = byte & 127;
  let at = offset + 1;
  for (let shift = 7; ; shift += 7) {
    byte = bytes[at]!;
    if (shift < 32) length |= (byte & 127) << shift;
    if (byte < 128) return length;
    at += 1;
  }
};

/** Beyond this many bytes a call into native code is cheaper than the loop. */
const LOOP_SIZE_MAX = 64;

/** True if a[aStart, +length) and b[bStart, +length) hold the same bytes. */
export const areBytesEqual = (
  a: Uint8Array,
  aStart: number,
  b: Uint8Array,
  bStart: number,
  length: number,
): boolean => {
  if (length > LOOP_SIZE_MAX) {
    const left = a.subarray(aStart, aStart + length);
    return Buffer.compare(left, b.subarray(bStart, bStart + length)) === 0;
  }
  for (let index = 0; index < length; index += 1) {
    if (a[aStart + index] !== b[bStart + index]) return false;
  }
  return true;
};
