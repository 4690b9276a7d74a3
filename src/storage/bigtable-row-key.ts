/**
 * Row keys as Loki lays them out in Bigtable (storage format, section 5.2):
 *
 *   bigtable          hash value
 *   bigtable-hashed   H-hash value      H: FNV-1a 64 of the whole hash value, its bytes in little-endian order as 16 hex digits
 *
 * Cells lie in the family `f` under the range value, all with the timestamp 0, so that writing one again replaces it.
 */
import { hash } from 'node:crypto';
import { bytesOfText } from '../protocol/byte-text.ts';

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
  const key =
    layout === 'bigtable' ? bytes : Buffer.concat([Buffer.from(`${fnv1a64LittleEndian(bytes)}-`, 'latin1'), bytes]);
  return key.length <= ROW_KEY_SIZE_MAX ? key : Buffer.from(LONG_ROW_PREFIX + hash('sha256', bytes, 'hex'), 'latin1');
};

/** FNV-1a with 64 bits, as hex of its bytes from the lowest to the highest. */
export const fnv1a64LittleEndian = (bytes: Uint8Array): string => {
  // The offset basis 0xcbf29ce484222325 and the prime 2^40 + 0x1b3, in halves: bigints take ten times as long.
  let high = 0xcbf29ce4;
  let low = 0x84222325;
  for (const byte of bytes) {
    low = (low ^ byte) >>> 0;
    const product = low * PRIME_LOW;
    high = (Math.imul(high, PRIME_LOW) + Math.floor(product / TWO_32) + (low << 8)) >>> 0;
    low = product % TWO_32;
  }
  return hexOfBytesReversed(low) + hexOfBytesReversed(high);
};

const PRIME_LOW = 0x1b3;
const TWO_32 = 2 ** 32;

const hexOfBytesReversed = (word: number): string => {
  const reversed = ((word & 0xff) << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);
  return (reversed >>> 0).toString(16).padStart(8, '0');
};
