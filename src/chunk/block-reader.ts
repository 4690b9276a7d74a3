import { CorruptChunkError } from './corrupt-chunk-error.ts';
import { int64 } from './varint.ts';

/**
 * Walks the plain content of a block, entry by entry, with no object for an entry:
 * `varint time | uvarint length | line | [uvarint section length | section]`. After `next()` the fields describe the entry until the
 * following call. About 10 ns an entry.
 */
export class BlockCursor {
  readonly bytes: Uint8Array;
  readonly #hasSections: boolean;
  #offset = 0;
  /** Where the entry starts (its time), and ends. */
  entryStart = 0;
  entryEnd = 0;
  lineStart = 0;
  lineEnd = 0;
  /** Time in ns as int64 words. */
  timeLow = 0;
  timeHigh = 0;
  /** Behind the section's own length; empty without sections. */
  sectionStart = 0;
  sectionEnd = 0;

  constructor(bytes: Uint8Array, hasMetadataSections: boolean) {
    this.bytes = bytes;
    this.#hasSections = hasMetadataSections;
  }

  timeNs(): bigint {
    return int64(this.timeLow, this.timeHigh);
  }

  /** False at the end. @throws CorruptChunkError if a length or a time reaches past it */
  next(): boolean {
    if (this.#offset >= this.bytes.length) return false;
    this.entryStart = this.#offset;
    this.#readTime();
    const length = this.#readSize();
    this.lineStart = this.#offset;
    this.#offset += length;
    this.lineEnd = this.#offset;
    if (this.#offset > this.bytes.length) throw new CorruptChunkError('a line reaches past the end of its block');
    if (this.#hasSections) this.#readSection();
    this.entryEnd = this.#offset;
    return true;
  }

  /** Symbol numbers of the entry's metadata, [name, value, …]. @throws CorruptChunkError */
  metadataRefs(): number[] {
    const resumeAt = this.#offset;
    const refs: number[] = [];
    if (this.sectionStart < this.sectionEnd) {
      this.#offset = this.sectionStart;
      const numbers = 2 * this.#readSize();
      if (numbers > this.sectionEnd - this.#offset) throw new CorruptChunkError('a metadata section is cut short');
      for (let index = 0; index < numbers; index += 1) refs.push(this.#readSize());
      if (this.#offset !== this.sectionEnd) throw new CorruptChunkError('a metadata section has a wrong length');
    }
    this.#offset = resumeAt;
    return refs;
  }

  #readSection(): void {
    const length = this.#readSize();
    this.sectionStart = this.#offset;
    this.#offset += length;
    this.sectionEnd = this.#offset;
    if (this.#offset > this.bytes.length) throw new CorruptChunkError('a metadata section reaches past its block');
  }

  /** Zig-zag, 7 bits a byte, into two words. */
  #readTime(): void {
    const { bytes } = this;
    const at = this.#offset;
    const last = bytes[at + 8]!;
    const b0 = bytes[at]!;
    const b1 = bytes[at + 1]!;
    const b2 = bytes[at + 2]!;
    const b3 = bytes[at + 3]!;
    const b4 = bytes[at + 4]!;
    const b5 = bytes[at + 5]!;
    const b6 = bytes[at + 6]!;
    const b7 = bytes[at + 7]!;
    // Nine bytes, as all times from 1971 to 2116 take; past the end `last` is undefined, which compares false.
    if ((b0 & b1 & b2 & b3 & b4 & b5 & b6 & b7) > 127 && last < 128) {
      const low = (b0 & 127) | ((b1 & 127) << 7) | ((b2 & 127) << 14) | ((b3 & 127) << 21) | (b4 << 28);
      const high = ((b4 & 127) >>> 4) | ((b5 & 127) << 3) | ((b6 & 127) << 10) | ((b7 & 127) << 17) | (last << 24);
      const sign = -(low & 1);
      this.timeLow = ((low >>> 1) | (high << 31)) ^ sign;
      this.timeHigh = (high >>> 1) ^ sign;
      this.#offset = at + 9;
    } else this.#readAnyTime();
  }

  #readAnyTime(): void {
    const { bytes } = this;
    let at = this.#offset;
    let low = 0;
    let high = 0;
    let byte = 128;
    let shift = 0;
    for (; byte > 127 && shift < 28; shift += 7) {
      byte = bytes[at]!;
      at += 1;
      low |= (byte & 127) << shift;
    }
    if (byte > 127) {
      byte = bytes[at]!;
      at += 1;
      low |= byte << 28;
      high = (byte & 127) >>> 4;
      for (shift = 3; byte > 127 && shift < 32; shift += 7) {
        byte = bytes[at]!;
        at += 1;
        high |= (byte & 127) << shift;
      }
    }
    // Past the end a byte is undefined, which compares false and ends the loops.
    if (at > bytes.length || byte > 127) throw new CorruptChunkError('a time is cut short');
    const sign = -(low & 1);
    this.timeLow = ((low >>> 1) | (high << 31)) ^ sign;
    this.timeHigh = (high >>> 1) ^ sign;
    this.#offset = at;
  }

  /** A uvarint below 2^31, the largest there can be inside a block. */
  #readSize(): number {
    const { bytes } = this;
    let at = this.#offset;
    let byte = bytes[at]!;
    at += 1;
    let size = byte & 127;
    for (let shift = 7; byte > 127; shift += 7) {
      byte = bytes[at]!;
      at += 1;
      size |= (byte & 127) << shift;
      if (shift > 28 || size < 0) throw new CorruptChunkError('a length is too large');
    }
    if (at > bytes.length) throw new CorruptChunkError('a length is cut short');
    this.#offset = at;
    return size;
  }
}

/** All entries of a block as columns, by one walk. */
export interface BlockEntries {
  readonly count: number;
  /** starts[i] = first byte of entry i; starts[count] = size of the content. */
  readonly starts: Uint32Array;
  readonly lineStarts: Uint32Array;
  readonly lineEnds: Uint32Array;
  /** Times in ns as int64 words, low first: the words of a BigInt64Array. */
  readonly timeWords: Int32Array;
}

/** `countHint`: entries expected, from the block's meta. @throws CorruptChunkError */
export const readBlockEntries = (bytes: Uint8Array, hasMetadataSections: boolean, countHint = 0): BlockEntries => {
  let capacity = Math.max(16, Math.min(countHint, bytes.length >>> 1)) + 1;
  let starts = new Uint32Array(capacity);
  let lineStarts = new Uint32Array(capacity);
  let lineEnds = new Uint32Array(capacity);
  let timeWords = new Int32Array(2 * capacity);
  const cursor = new BlockCursor(bytes, hasMetadataSections);
  let count = 0;
  while (cursor.next()) {
    if (count + 1 >= starts.length) {
      capacity = 2 * starts.length;
      starts = grown(starts, new Uint32Array(capacity));
      lineStarts = grown(lineStarts, new Uint32Array(capacity));
      lineEnds = grown(lineEnds, new Uint32Array(capacity));
      timeWords = grown(timeWords, new Int32Array(2 * capacity));
    }
    starts[count] = cursor.entryStart;
    lineStarts[count] = cursor.lineStart;
    lineEnds[count] = cursor.lineEnd;
    timeWords[2 * count] = cursor.timeLow;
    timeWords[2 * count + 1] = cursor.timeHigh;
    count += 1;
  }
  starts[count] = bytes.length;
  return { count, starts, lineStarts, lineEnds, timeWords };
};

const grown = <T extends Uint32Array | Int32Array>(column: T, larger: T): T => {
  larger.set(column);
  return larger;
};

/** The entry that holds byte `offset` of the content: binary search. -1 past the end. */
export const entryAt = ({ starts, count }: BlockEntries, offset: number): number => {
  if (count === 0 || offset < 0 || offset >= starts[count]!) return -1;
  let low = 0;
  let high = count - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (starts[middle]! <= offset) low = middle;
    else high = middle - 1;
  }
  return low;
};
