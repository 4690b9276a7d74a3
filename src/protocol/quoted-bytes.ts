const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Where the text that begins at `at` is closed, or `end`. */
export const endOfQuoted = (bytes: Uint8Array, at: number, end: number): number => {
  for (let index = at; index < end; index += 1) {
    const byte = bytes[index]!;
    if (byte === QUOTE) return index;
    if (byte === BACKSLASH) index += 1;
  }
  return end;
};
