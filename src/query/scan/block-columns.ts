import { CorruptChunkError } from '../../chunk/corrupt-chunk-error.ts';
import { headBytes, headLineOffsets, headTimes } from '../../chunk/head-views.ts';
import { lineLengthAt, lineStartAt } from '../../chunk/line-bounds.ts';
import type { HeadSnapshot } from '../../chunk/memory-format.ts';
import { highWord, lowWord, VarintReader } from '../../chunk/varint.ts';
import { DistinctEntries } from './distinct-entries.ts';

const TWO_32 = 4294967296;
/** A task makes its own columns, and most tasks of small streams read a few entries. */
const INITIAL_CAPACITY = 256;
/** Nine bytes of time, one or two of length. */
const ENTRY_SIZE_MIN = 11;
/** A section that says: no pairs. */
const EMPTY_SECTION_SIZE = 1;
/** The bit of four varint bytes that says more follow. */
const CONTINUED = 0x80808080 | 0;

/** The payload of four varint bytes in a little-endian word: 28 bits. */
const sevenBits = (word: number): number =>
  (word & 0x7f) | ((word >>> 1) & 0x3f80) | ((word >>> 2) & 0x1fc000) | ((word >>> 3) & 0xfe00000);

/**
 * The entries of one block as columns over its bytes, in time order: 10–15 ns an entry to fill, no object, no text. Reused from block to
 * block; what it says holds until the next `read…`.
 *
 *   bytes       … | line 0 | …between… | line 1 | …       between: times, lengths, metadata, gaps
 */
export class BlockColumns {
  bytes: Buffer = Buffer.alloc(0);
  count = 0;
  /** True if any entry has structured metadata. */
  hasMetadata = false;
  lineStarts = new Uint32Array(INITIAL_CAPACITY);
  lineEnds = new Uint32Array(INITIAL_CAPACITY);
  /** ns relative to the base given to `read…`. */
  times = new Float64Array(INITIAL_CAPACITY);
  /** The same, absolute. */
  timesNs = new BigInt64Array(INITIAL_CAPACITY);
  #words = new Int32Array(this.timesNs.buffer);
  /** v4 blocks: where each entry's metadata section starts. */
  #sectionStarts: Uint32Array | undefined;
  #head: HeadSnapshot | undefined;
  /** Unsorted heads: the head's entry behind each of ours. */
  #order: Uint32Array | undefined;
  #symbols: readonly string[] = [];
  #baseLow = 0;
  #baseHigh = 0;

  /** Texts of metadata, names and values, by number: the same list for blocks of one chunk. */
  get symbols(): readonly string[] {
    return this.#symbols;
  }

  /**
   * An inflated block: entries of varint time, uvarint length, line and (v4) a metadata section, up to the end of the bytes.
   * @throws CorruptChunkError
   */
  readInflated(bytes: Buffer, hasMetadataSections: boolean, symbols: readonly string[], baseNs: bigint): void {
    this.bytes = bytes;
    this.#symbols = symbols;
    this.#head = undefined;
    this.#order = undefined;
    this.#sectionStarts = hasMetadataSections ? (this.#sectionStarts ?? new Uint32Array(this.times.length)) : undefined;
    this.#baseLow = Number(BigInt.asUintN(32, baseNs));
    this.#baseHigh = Number(baseNs >> 32n);
    this.count = 0;
    this.hasMetadata = false;
    for (let offset = 0; offset < bytes.length; ) {
      if (this.count === this.times.length) this.#grow(this.count);
      offset = this.#readUsual(offset);
      if (offset < bytes.length && this.count < this.times.length) offset = this.#readAny(offset);
    }
  }

  /**
   * Entries as they nearly always are, until one is not: a time of nine bytes, a length of one or two, little metadata. Everything in local
   * variables: half the time of the plain way.
   */
  #readUsual(start: number): number {
    const { bytes, lineStarts, lineEnds, times } = this;
    const words = this.#words;
    const baseLow = this.#baseLow;
    const baseHigh = this.#baseHigh;
    const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const size = bytes.length;
    const sections = this.#sectionStarts;
    const capacity = times.length;
    let offset = start;
    let count = this.count;
    while (count < capacity && offset + ENTRY_SIZE_MIN <= size) {
      const first = data.getInt32(offset, true);
      const second = data.getInt32(offset + 4, true);
      const last = bytes[offset + 8]!;
      const size0 = bytes[offset + 9]!;
      const size1 = bytes[offset + 10]!;
      const isLong = size0 >>> 7;
      const lineStart = offset + 10 + isLong;
      const lineEnd = lineStart + ((size0 & 127) | ((size1 << 7) & -isLong));
      const isUsual = (first & second & CONTINUED) === CONTINUED && last < 128 && (isLong & (size1 >>> 7)) === 0;
      if (!isUsual || lineEnd > size) break;
      let end = lineEnd;
      if (sections) {
        const sectionSize = bytes[lineEnd] ?? 128;
        end = lineEnd + 1 + sectionSize;
        if (sectionSize > 127 || end > size) break;
        sections[count] = lineEnd + 1;
        if (sectionSize > EMPTY_SECTION_SIZE) this.hasMetadata = true;
      }
      const middle = sevenBits(second);
      const zigLow = sevenBits(first) | (middle << 28);
      const zigHigh = (middle >>> 4) | (last << 24);
      const sign = -(zigLow & 1);
      const low = ((zigLow >>> 1) | (zigHigh << 31)) ^ sign;
      const high = (zigHigh >>> 1) ^ sign;
      words[2 * count] = low;
      words[2 * count + 1] = high;
      times[count] = (high - baseHigh) * TWO_32 + ((low >>> 0) - baseLow);
      lineStarts[count] = lineStart;
      lineEnds[count] = lineEnd;
      count += 1;
      offset = end;
    }
    this.count = count;
    return offset;
  }

  /** One entry of any kind. @throws CorruptChunkError */
  #readAny(start: number): number {
    const index = this.count;
    const reader = new VarintReader(this.bytes, start);
    const time = reader.varint64();
    const low = lowWord(time);
    const high = highWord(time);
    this.#words[2 * index] = low;
    this.#words[2 * index + 1] = high;
    this.times[index] = (high - this.#baseHigh) * TWO_32 + ((low >>> 0) - this.#baseLow);
    const length = reader.uvarint();
    this.lineStarts[index] = reader.offset;
    reader.take(length);
    this.lineEnds[index] = reader.offset;
    if (this.#sectionStarts) {
      const sectionLength = reader.uvarint();
      this.#sectionStarts[index] = reader.offset;
      if (sectionLength > EMPTY_SECTION_SIZE) this.hasMetadata = true;
      reader.take(sectionLength);
    }
    this.count = index + 1;
    return reader.offset;
  }

  /** The columns of a head. Its bytes are read where they lie, unless entries came out of order. Gives the duplicates dropped. */
  readHead(head: HeadSnapshot, symbols: readonly string[], baseNs: bigint): number {
    this.#sectionStarts = undefined;
    this.#order = undefined;
    this.#symbols = symbols;
    this.#head = head;
    this.hasMetadata = head.metadataEnds !== undefined && (head.metadataEnds[head.count - 1] ?? 0) > 0;
    while (this.times.length < head.count) this.#grow(0);
    const { count } = head;
    this.bytes = headBytes(head);
    this.timesNs.set(headTimes(head));
    const offsets = headLineOffsets(head);
    const baseLow = Number(BigInt.asUintN(32, baseNs));
    const baseHigh = Number(baseNs >> 32n);
    for (let index = 0; index < count; index += 1) {
      const low = this.#words[2 * index]! >>> 0;
      this.times[index] = (this.#words[2 * index + 1]! - baseHigh) * TWO_32 + (low - baseLow);
      const start = lineStartAt(this.bytes, offsets[index]!);
      this.lineStarts[index] = start;
      this.lineEnds[index] = start + lineLengthAt(this.bytes, offsets[index]!);
    }
    this.count = count;
    return head.isSorted ? 0 : this.#sort();
  }

  /** Structured metadata of an entry as flat pairs; undefined if it has none. */
  metadataOf(index: number): readonly string[] | undefined {
    if (this.#head?.metadataEnds) return this.#headMetadata(this.#head, this.#order?.[index] ?? index);
    if (!this.#sectionStarts) return undefined;
    const start = this.#sectionStarts[index]!;
    if (this.bytes[start] === 0) return undefined;
    const reader = new VarintReader(this.bytes, start);
    const pairs = reader.uvarint();
    const metadata: string[] = [];
    for (let word = 0; word < 2 * pairs; word += 1) metadata.push(this.#symbol(reader.uvarint()));
    return metadata;
  }

  /** First entry with a time at or after `time`. */
  lowerBound(time: number, from = 0): number {
    let low = from;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.times[middle]! < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** First entry after `time`. */
  upperBound(time: number, from = 0): number {
    let low = from;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.times[middle]! <= time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** True if two entries have the same time, line and metadata. */
  isSameEntry(index: number, other: BlockColumns, otherIndex: number): boolean {
    if (this.timesNs[index] !== other.timesNs[otherIndex]) return false;
    const start = this.lineStarts[index]!;
    const end = this.lineEnds[index]!;
    const otherStart = other.lineStarts[otherIndex]!;
    const otherEnd = other.lineEnds[otherIndex]!;
    if (end - start !== otherEnd - otherStart) return false;
    if (this.bytes.compare(other.bytes, otherStart, otherEnd, start, end) !== 0) return false;
    if (!this.hasMetadata && !other.hasMetadata) return true;
    return isSameMetadata(this.metadataOf(index), other.metadataOf(otherIndex));
  }

  /** Puts a head's entries in time order (equal times stay in order of arrival), lines copied so that they ascend in the bytes too. */
  #sort(): number {
    const { count, times } = this;
    const sorted = Uint32Array.from({ length: count }, (_, index) => index).sort(
      (a, b) => times[a]! - times[b]! || a - b,
    );
    const order = this.#withoutDuplicates(sorted);
    const bytes = Buffer.allocUnsafe(this.bytes.length);
    const old = {
      starts: this.lineStarts.slice(),
      ends: this.lineEnds.slice(),
      times: times.slice(),
      ns: this.timesNs.slice(),
    };
    let offset = 0;
    for (let index = 0; index < order.length; index += 1) {
      const from = order[index]!;
      this.lineStarts[index] = offset;
      offset += this.bytes.copy(bytes, offset, old.starts[from]!, old.ends[from]!);
      this.lineEnds[index] = offset;
      times[index] = old.times[from]!;
      this.timesNs[index] = old.ns[from]!;
    }
    this.bytes = bytes.subarray(0, offset);
    this.#order = order;
    this.count = order.length;
    return count - order.length;
  }

  #withoutDuplicates(sorted: Uint32Array): Uint32Array {
    const kept = new Uint32Array(sorted.length);
    const seen = new DistinctEntries();
    let count = 0;
    for (const entry of sorted) {
      if (count > 0 && this.times[kept[count - 1]!] !== this.times[entry]) seen.clear();
      if (!seen.add(this, entry)) continue;
      kept[count] = entry;
      count += 1;
    }
    return kept.subarray(0, count);
  }

  #headMetadata(head: HeadSnapshot, index: number): readonly string[] | undefined {
    const ends = head.metadataEnds!;
    const start = index === 0 ? 0 : ends[index - 1]!;
    const end = ends[index]!;
    if (start === end) return undefined;
    const metadata: string[] = [];
    for (let at = start; at < end; at += 1) metadata.push(this.#symbol(head.metadataRefs![at]!));
    return metadata;
  }

  #symbol(number: number): string {
    const text = this.#symbols[number];
    if (text === undefined) throw new CorruptChunkError(`no symbol ${number}`);
    return text;
  }

  #grow(used: number): void {
    const capacity = this.times.length * 2;
    const grown = <T extends Uint32Array | Float64Array | BigInt64Array>(column: T, from: T): T => {
      column.set(from.subarray(0, used) as never);
      return column;
    };
    this.lineStarts = grown(new Uint32Array(capacity), this.lineStarts);
    this.lineEnds = grown(new Uint32Array(capacity), this.lineEnds);
    this.times = grown(new Float64Array(capacity), this.times);
    this.timesNs = grown(new BigInt64Array(capacity), this.timesNs);
    this.#words = new Int32Array(this.timesNs.buffer);
    if (this.#sectionStarts) this.#sectionStarts = grown(new Uint32Array(capacity), this.#sectionStarts);
  }
}

const isSameMetadata = (a: readonly string[] | undefined, b: readonly string[] | undefined): boolean => {
  if (a?.length !== b?.length) return false;
  return !a || a.every((word, index) => word === b?.[index]);
};
