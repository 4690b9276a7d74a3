/** Where lines begin in the bytes of columns, and how long they are. */

/** The uvarint at `at`: a decoder has checked that it is minimal and in bounds. */
export const lineSizeAt = (bytes: Uint8Array, at: number): number => {
  let byte = bytes[at]!;
  if (byte < 0x80) return byte;
  let size = byte & 0x7f;
  for (let index = 1, shift = 7; ; index += 1, shift += 7) {
    byte = bytes[at + index]!;
    if (shift < 32) size |= (byte & 0x7f) << shift;
    if (byte < 0x80) return size;
  }
};

export const lineStartAt = (bytes: Uint8Array, at: number): number => {
  let start = at;
  while (bytes[start]! >= 0x80) start += 1;
  return start + 1;
};
