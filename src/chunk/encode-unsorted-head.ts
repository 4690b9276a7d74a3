import { crc32c } from './checksum.ts';
import type { EncodedHead, EncodeOptions } from './encoded-head.ts';
import { headBytes, headWords } from './head-views.ts';
import { areBytesEqual, lineLengthAt, lineStartAt } from './line-bounds.ts';
import type { HeadSnapshot } from './memory-format.ts';
import { writeSection } from './metadata-section.ts';
import { orderByTime } from './time-order.ts';
import { writeVarint64 } from './varint.ts';

/** A head with late entries → block content in `out` (large enough for all of it): sorted by time, arrival order kept, duplicates dropped. */
export const encodeUnsortedHead = (head: HeadSnapshot, options: EncodeOptions, out: Uint8Array): EncodedHead => {
  const { capacity } = head;
  const words = headWords(head);
  const offsets = words.subarray(2 * capacity);
  const source = headBytes(head);
  const duplicates = new DuplicateFinder(head, words, source);
  let at = 0;
  let count = 0;
  let uncompressedSize = 0;
  for (const index of orderByTime(words, head.count)) {
    if (duplicates.isDuplicate(index)) continue;
    at = writeVarint64(out, at, words[2 * index]!, words[2 * index + 1]!);
    const start = offsets[index]!;
    const length = lineLengthAt(source, start);
    const end = lineStartAt(source, start) + length;
    out.set(source.subarray(start, end), at);
    at += end - start;
    if (options.withMetadataSections) {
      at = writeSection(head, index, out, at);
      uncompressedSize += 4 * metadataCount(head, index);
    }
    uncompressedSize += length;
    count += 1;
  }
  const { minTime, maxTime } = head;
  return { bytes: out.subarray(0, at), count, minTime, maxTime, uncompressedSize };
};

const metadataStart = ({ metadataEnds }: HeadSnapshot, index: number): number =>
  metadataEnds && index > 0 ? metadataEnds[index - 1]! : 0;

const metadataCount = (head: HeadSnapshot, index: number): number =>
  (head.metadataEnds?.[index] ?? 0) - metadataStart(head, index);

/** Asked in time order; remembers the entries of the current time. */
class DuplicateFinder {
  readonly #head: HeadSnapshot;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #atThisTime = new Map<number, number[]>();
  #first = -1;

  constructor(head: HeadSnapshot, words: Int32Array, bytes: Uint8Array) {
    this.#head = head;
    this.#words = words;
    this.#bytes = bytes;
  }

  isDuplicate(index: number): boolean {
    const words = this.#words;
    const first = this.#first;
    if (first < 0 || words[2 * index] !== words[2 * first] || words[2 * index + 1] !== words[2 * first + 1]) {
      this.#atThisTime.clear();
      this.#first = index;
      return false;
    }
    if (this.#atThisTime.size === 0) this.#atThisTime.set(this.#checksum(first), [first]);
    const checksum = this.#checksum(index);
    const candidates = this.#atThisTime.get(checksum);
    if (!candidates) {
      this.#atThisTime.set(checksum, [index]);
      return false;
    }
    if (candidates.some((other) => this.#isEqual(other, index))) return true;
    if (candidates.length < CANDIDATES_MAX) candidates.push(index);
    return false;
  }

  #offset(index: number): number {
    return this.#words[2 * this.#head.capacity + index]!;
  }

  #checksum(index: number): number {
    const start = lineStartAt(this.#bytes, this.#offset(index));
    return crc32c(this.#bytes.subarray(start, start + lineLengthAt(this.#bytes, this.#offset(index))));
  }

  #isEqual(left: number, right: number): boolean {
    const bytes = this.#bytes;
    const length = lineLengthAt(bytes, this.#offset(left));
    if (length !== lineLengthAt(bytes, this.#offset(right))) return false;
    const leftStart = lineStartAt(bytes, this.#offset(left));
    if (!areBytesEqual(bytes, leftStart, bytes, lineStartAt(bytes, this.#offset(right)), length)) return false;
    const count = metadataCount(this.#head, left);
    if (count !== metadataCount(this.#head, right)) return false;
    const refs = this.#head.metadataRefs;
    const leftRefs = metadataStart(this.#head, left);
    const rightRefs = metadataStart(this.#head, right);
    for (let at = 0; at < count; at += 1) if (refs![leftRefs + at] !== refs![rightRefs + at]) return false;
    return true;
  }
}

/** Entries looked at behind one checksum, as in head-block.ts. */
const CANDIDATES_MAX = 8;
