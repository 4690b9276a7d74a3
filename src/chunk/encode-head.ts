import { encodeUnsortedHead } from './encode-unsorted-head.ts';
import type { EncodedHead, EncodeOptions } from './encoded-head.ts';
import { headBytes, headWords } from './head-views.ts';
import { lineLengthAt, lineStartAt } from './line-bounds.ts';
import type { HeadSnapshot } from './memory-format.ts';
import { SECTION_SIZE_MAX, SYMBOL_SIZE_MAX, writeSection } from './metadata-section.ts';
import { VARINT_64_SIZE_MAX, writeVarint64 } from './varint.ts';

/** One per thread, so that a block does not cost fresh pages. Kept up to this size. */
const SCRATCH_SIZE_MAX = 8 << 20;
let scratch = new Uint8Array(1 << 19);

const scratchOf = (size: number): Uint8Array => {
  if (size <= scratch.length) return scratch;
  const larger = new Uint8Array(size + (size >> 1));
  if (larger.length <= SCRATCH_SIZE_MAX) scratch = larger;
  return larger;
};

/**
 * A head's columns → block content, in time order (stable), exact duplicates dropped:
 * `varint time | uvarint length | line | [metadata section]` for each entry.
 *
 * The head's bytes are copied to the end of the buffer in one piece, and its lines moved down in place, each behind its time. The room
 * in front is what times and sections need in all, so that writing never catches up with reading. Measured at 124-byte lines
 * (test/bench/chunk/head.bench.ts): 40 ns an entry;
 * single lines cost 39 by copyWithin, 52 by set(subarray) and by 32-bit words, 61 by Buffer.copy, 180 byte by byte.
 */
export const encodeHead = (head: HeadSnapshot, options: EncodeOptions): EncodedHead => {
  const sectionsSize = options.withMetadataSections
    ? SECTION_SIZE_MAX * head.count + SYMBOL_SIZE_MAX * (head.metadataEnds?.[head.count - 1] ?? 0)
    : 0;
  const room = VARINT_64_SIZE_MAX * head.count + sectionsSize;
  const out = scratchOf(room + head.byteCount);
  if (!head.isSorted) return encodeUnsortedHead(head, options, out);
  const source = headBytes(head);
  out.set(source, room);
  const size = options.withMetadataSections ? withSections(head, out, room) : withoutSections(head, out, room);
  const metadataSize = options.withMetadataSections ? 4 * (head.metadataEnds?.[head.count - 1] ?? 0) : 0;
  return {
    bytes: out.subarray(0, size),
    count: head.count,
    minTime: head.minTime,
    maxTime: head.maxTime,
    uncompressedSize: head.lineBytes + metadataSize,
  };
};

const withoutSections = (head: HeadSnapshot, out: Uint8Array, sourceStart: number): number => {
  const { capacity, count } = head;
  const words = headWords(head);
  const offsets = words.subarray(2 * capacity);
  let at = 0;
  for (let index = 0; index < count; index += 1) {
    at = writeVarint64(out, at, words[2 * index]!, words[2 * index + 1]!);
    const start = sourceStart + offsets[index]!;
    const end = lineStartAt(out, start) + lineLengthAt(out, start);
    out.copyWithin(at, start, end);
    at += end - start;
  }
  return at;
};

const withSections = (head: HeadSnapshot, out: Uint8Array, sourceStart: number): number => {
  const { capacity, count } = head;
  const words = headWords(head);
  const offsets = words.subarray(2 * capacity);
  let at = 0;
  for (let index = 0; index < count; index += 1) {
    at = writeVarint64(out, at, words[2 * index]!, words[2 * index + 1]!);
    const start = sourceStart + offsets[index]!;
    const end = lineStartAt(out, start) + lineLengthAt(out, start);
    out.copyWithin(at, start, end);
    at = writeSection(head, index, out, at + end - start);
  }
  return at;
};
