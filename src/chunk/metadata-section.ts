/** The metadata section behind each line of a v4 block. */
import type { HeadSnapshot } from './memory-format.ts';
import { writeUvarint } from './varint.ts';

/** Most bytes of a section without its symbol numbers: its size and the pair count. */
export const SECTION_SIZE_MAX = 10;
export const SYMBOL_SIZE_MAX = 5;

/** uvarint size of the rest | uvarint pairs | symbol numbers. Gives the offset after it. */
export const writeSection = (head: HeadSnapshot, index: number, out: Uint8Array, offset: number): number => {
  const { metadataEnds: ends, metadataRefs: refs } = head;
  const start = ends && index > 0 ? ends[index - 1]! : 0;
  const end = ends ? ends[index]! : 0;
  if (!refs || start === end) {
    out[offset] = 1;
    out[offset + 1] = 0;
    return offset + 2;
  }
  // The size comes first but is known last: one byte is left for it, and more made where it does not do.
  let at = writeUvarint(out, offset + 1, (end - start) / 2);
  for (let ref = start; ref < end; ref += 1) at = writeUvarint(out, at, refs[ref]!);
  const size = at - offset - 1;
  if (size < 128) {
    out[offset] = size;
    return at;
  }
  const sizeEnd = writeUvarint(sizeBytes, 0, size);
  out.copyWithin(offset + sizeEnd, offset + 1, at);
  out.set(sizeBytes.subarray(0, sizeEnd), offset);
  return at + sizeEnd - 1;
};

const sizeBytes = new Uint8Array(8);
