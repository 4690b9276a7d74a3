/**
 * Row keys as Loki lays them out in Bigtable (storage format, section 5.2):
 *
 *   bigtable          hash value
 *   bigtable-hashed   H-hash value      H: FNV-1a 64 of the whole hash value, its bytes in little-endian order as 16 hex digits
 *
 * Cells lie in the family `f` under the range value, all with the timestamp 0, so that writing one again replaces it.
 */
import { hash } from 'node:crypto';
import { bytesOfText, textOfBytes } from '../protocol/byte-text.ts';

export const BIGTABLE_LAYOUTS = ['bigtable', 'bigtable-hashed'] as const;

export type BigtableLayout = (typeof BIGTABLE_LAYOUTS)[number];

export const INDEX_FAMILY = 'f';

/** Bigtable's limit, in bytes. */
const ROW_KEY_SIZE_MAX = 4_096;

/**
 * A hash value that Bigtable takes for no key (a label name of about 4,000 bytes; Loki cannot store it at all) lies under its SHA-256. No hash value begins with
 * a zero byte.
 */
const LONG_ROW_PREFIX = '\0sha256\0';

export const rowKeyOf = (layout: BigtableLayout, hashValue: string): Buffer => {
  const bytes = bytesOfText(hashValue);
  const key = layout === 'bigtable' ? bytes : hashed(bytes);
  return key.length <= ROW_KEY_SIZE_MAX ? key : Buffer.from(LONG_ROW_PREFIX + hash('sha256', bytes, 'hex'), 'latin1');
};

/**
 * The inverse: undefined for a row of the other layout, and where the key holds only a hash.
 * @param key its bytes as latin1 text
 */
export const hashValueOf = (layout: BigtableLayout, key: string): string | undefined => {
  if (key.startsWith(LONG_ROW_PREFIX)) return undefined;
  const hashValue = textOfBytes(Buffer.from(layout === 'bigtable' ? key : key.slice(HASH_DIGITS + 1), 'latin1'));
  return rowKeyOf(layout, hashValue).toString('latin1') === key ? hashValue : undefined;
};

const HASH_DIGITS = 16;
const DASH = 0x2d;

const hashed = (bytes: Buffer): Buffer => {
  // FNV-1a with 64 bits: the offset basis 0xcbf29ce484222325 and the prime 2^40 + 0x1b3, in halves of 32 bits; bigints take fifty times as long.
  let high = 0xcbf29ce4 | 0;
  let low = 0x84222325 | 0;
  for (let at = 0; at < bytes.length; at++) {
    low ^= bytes[at] ?? 0;
    const lower = (low & 0xffff) * PRIME_LOW;
    const upper = (low >>> 16) * PRIME_LOW + (lower >>> 16);
    high = (Math.imul(high, PRIME_LOW) + (upper >>> 16) + (low << 8)) | 0;
    low = (upper << 16) | (lower & 0xffff);
  }
  const key = Buffer.allocUnsafe(HASH_DIGITS + 1 + bytes.length);
  writeReversedHex(key, 0, low);
  writeReversedHex(key, HASH_DIGITS / 2, high);
  key[HASH_DIGITS] = DASH;
  key.set(bytes, HASH_DIGITS + 1);
  return key;
};

const PRIME_LOW = 0x1b3;

const HEX = Buffer.from('0123456789abcdef');

/** The lowest byte first. */
const writeReversedHex = (target: Buffer, start: number, word: number): void => {
  for (let byte = 0; byte < 4; byte++) {
    const value = word >>> (8 * byte);
    target[start + 2 * byte] = HEX[(value >>> 4) & 0xf] ?? 0;
    target[start + 2 * byte + 1] = HEX[value & 0xf] ?? 0;
  }
};
