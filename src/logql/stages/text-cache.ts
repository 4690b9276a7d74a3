/** Bytes to strings for the few values that a query needs as text: most repeat, so the string is usually there already. */
import { decodeUtf8 } from './utf8-text.ts';

const SLOTS = 1024;
const CACHED_BYTES_MAX = 32;
const BAD_RUNES = /\uFFFD/g;

const slots: (string | undefined)[] = new Array(SLOTS).fill(undefined);

const equalsAscii = (text: string, bytes: Uint8Array, start: number): boolean => {
  for (let index = 0; index < text.length; index++) if (text.charCodeAt(index) !== bytes[start + index]) return false;
  return true;
};

/** True if no byte of [start, end) is 0x80 or more. */
export const isAscii = (bytes: Uint8Array, start: number, end: number): boolean => {
  let seen = 0;
  for (let position = start; position < end; position++) seen |= bytes[position]!;
  return seen < 0x80;
};

/** UTF-8 text of [start, end); a byte outside UTF-8 becomes U+FFFD. */
export const textOfBytes = (bytes: Buffer, start: number, end: number): string => {
  const length = end - start;
  if (length === 0) return '';
  if (length > CACHED_BYTES_MAX) return decodeUtf8(bytes, start, end);
  let seen = 0;
  let hash = length;
  for (let position = start; position < end; position++) {
    const byte = bytes[position]!;
    seen |= byte;
    hash = (Math.imul(hash, 31) + byte) | 0;
  }
  if (seen >= 0x80) return decodeUtf8(bytes, start, end);
  const slot = (hash ^ (hash >>> 10)) & (SLOTS - 1);
  const cached = slots[slot];
  if (cached !== undefined && cached.length === length && equalsAscii(cached, bytes, start)) return cached;
  const text = bytes.toString('latin1', start, end);
  slots[slot] = text;
  return text;
};

/** Values of json and logfmt: Prometheus refuses U+FFFD in labels, so each bad rune becomes a blank. */
export const withoutBadRunes = (text: string): string =>
  text.includes('\uFFFD') ? text.replace(BAD_RUNES, ' ') : text;
