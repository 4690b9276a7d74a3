/** The columns of a head where they lie. */
import type { HeadSnapshot } from './memory-format.ts';

/** Lines with what stands between them. */
export const headBytes = ({ region: { buffer, offset }, capacity, byteCount }: HeadSnapshot): Buffer =>
  Buffer.from(buffer, offset + 12 * capacity, byteCount);

/** Times as two words each, low first, then line offsets from 2 × capacity on. */
export const headWords = ({ region: { buffer, offset }, capacity }: HeadSnapshot): Int32Array =>
  new Int32Array(buffer, offset, 3 * capacity);

export const headTimes = ({ region: { buffer, offset }, count }: HeadSnapshot): BigInt64Array =>
  new BigInt64Array(buffer, offset, count);

export const headLineOffsets = ({ region: { buffer, offset }, capacity, count }: HeadSnapshot): Uint32Array =>
  new Uint32Array(buffer, offset + 8 * capacity, count);
