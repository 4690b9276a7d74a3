import xxhash from 'xxhash-wasm';
import { writeText } from './byte-text.ts';

// Loaded while the module is: hashing is synchronous for whoever imports this.
const { h64Raw } = await xxhash();

let scratch = Buffer.allocUnsafe(4096);

/**
 * Loki's fingerprint of a label set: XXH64, seed 0, over name 0xFF value 0xFF … of the sorted labels without `__name__`.
 * @param pairs name1, value1, … sorted by the bytes of the names
 */
export const fingerprintOf = (pairs: readonly string[]): bigint => {
  let used = 0;
  for (let index = 0; index < pairs.length; index += 2) {
    if (pairs[index] === '__name__') continue;
    used = append(pairs[index]!, used);
    used = append(pairs[index + 1]!, used);
  }
  return h64Raw(scratch.subarray(0, used), 0n);
};

const append = (text: string, at: number): number => {
  const needed = at + text.length * 3 + 1;
  if (needed > scratch.length) {
    const bigger = Buffer.allocUnsafe(needed * 2);
    scratch.copy(bigger, 0, 0, at);
    scratch = bigger;
  }
  const end = writeText(scratch, text, at);
  scratch[end] = 0xff;
  return end + 1;
};

/** XXH64 of a line: what Loki tells equal samples by. */
export const lineHashOf = (line: string): bigint => h64Raw(Buffer.from(line), 0n);
