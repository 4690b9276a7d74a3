/** The level that a pair of logfmt names. */
import type { LevelFields } from './level-fields.ts';
import { levelOfBytes, NO_LEVEL } from './levels.ts';
import { endOfQuoted } from './quoted-bytes.ts';

const SPACE = 0x20;
const QUOTE = 0x22;
const EQUALS = 0x3d;

/** 1 for bytes that end a key or a value without quotes. */
const ends = new Uint8Array(256).fill(1, 0, SPACE + 1);
ends[QUOTE] = 1;
ends[EQUALS] = 1;

/** The first pair whose key is a field decides. Ends where the text is no logfmt any more. */
export const levelInLogfmt = (bytes: Uint8Array, start: number, end: number, fields: LevelFields): number => {
  let at = start;
  while (at < end) {
    while (at < end && bytes[at]! <= SPACE) at += 1;
    const keyStart = at;
    at = endOfBare(bytes, at, end);
    if (at < end && bytes[at]! <= SPACE) continue;
    if (at === end || bytes[at] === QUOTE || at === keyStart) return NO_LEVEL;
    const valueStart = bytes[at + 1] === QUOTE ? at + 2 : at + 1;
    const valueEnd = endOfValue(bytes, at + 1, end);
    if (valueEnd < 0) return NO_LEVEL;
    if (fields.isFieldInAnyCase(bytes, keyStart, at)) return levelOfBytes(bytes, valueStart, valueEnd);
    at = valueEnd + (valueStart - at - 1);
  }
  return NO_LEVEL;
};

/** Of the value that begins at `at`, without its quotes; −1 if it is none. */
const endOfValue = (bytes: Uint8Array, at: number, end: number): number => {
  if (at < end && bytes[at] === QUOTE) return endOfQuoted(bytes, at + 1, end);
  const valueEnd = endOfBare(bytes, at, end);
  return valueEnd < end && bytes[valueEnd]! > SPACE ? -1 : valueEnd;
};

/** Where a key or a value without quotes that begins at `at` ends. */
const endOfBare = (bytes: Uint8Array, at: number, end: number): number => {
  let index = at;
  while (index < end && ends[bytes[index]!] === 0) index += 1;
  return index;
};
