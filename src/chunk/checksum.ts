import { crc32c as nativeCrc32c } from '@node-rs/crc32';

/** CRC-32C (Castagnoli) of `bytes`, unsigned. Works on views of a SharedArrayBuffer. `seed` = the checksum of what came before. */
export const crc32c = (bytes: Uint8Array, seed = 0): number => nativeCrc32c(bytes, seed) >>> 0;

/** The snappy framing format stores checksums rotated and offset, so that a checksum of checksums is no weak spot. */
export const maskedCrc32c = (bytes: Uint8Array): number => {
  const checksum = crc32c(bytes);
  return (((checksum >>> 15) | (checksum << 17)) + 0xa282ead8) >>> 0;
};
