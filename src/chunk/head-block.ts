import type { EntryMetadata } from '../protocol/entry-metadata.ts';
import { BorderEntries } from './border-entries.ts';
import { crc32c } from './checksum.ts';
import { type HeadMemorySource, UNSHARED_HEAD_MEMORY } from './head-memory.ts';
import { areBytesEqual, lineLengthAt, lineStartAt } from './line-bounds.ts';
import type { HeadSnapshot } from './memory-format.ts';
import { MetadataColumns } from './metadata-columns.ts';
import type { MemoryRegion } from './slab-memory.ts';
import { SymbolTable } from './symbol-table.ts';
import { compareInt64, int64 } from './varint.ts';

/** A run of entries that goes into a head: [first, end) of a push's columns. Borrowed for the call. */
export interface EntryRun {
  readonly bytes: Uint8Array;
  readonly lineOffsets: Uint32Array;
  /** The columns' times as 32-bit words, low first. */
  readonly timeWords: Int32Array;
  readonly metadata: EntryMetadata | undefined;
  readonly first: number;
  readonly end: number;
  /** Σ line lengths. */
  readonly lineBytes: number;
}

/** The entry a stream was offered last: an equal one (time and line) that follows is dropped. */
export interface LastEntry {
  readonly timeLow: number;
  readonly timeHigh: number;
  readonly line: Uint8Array;
}

export interface AppendCounts {
  readonly accepted: number;
  readonly duplicates: number;
  /** Σ line lengths of the accepted. */
  readonly acceptedBytes: number;
}

/** Bytes between two lines that are cheaper to keep than to leave out: a push's own framing is about 20. */
const GAP_SIZE_MAX = 64;
/** Entries at one time that are compared one by one; above it they are found by checksum. */
const COMPARED_MAX = 16;
/** Entries looked at behind one checksum: hostile lines may share it, and a duplicate kept is dropped by every read. */
const CANDIDATES_MAX = 8;
const NO_SYMBOLS = new SymbolTable();
/** A time (2 words) and a line offset (1 word). */
const WORDS_PER_ENTRY = 3;
const ENTRY_COLUMNS_SIZE = 12;

/**
 * The open block of a stream, as columns in one SharedArrayBuffer (see memory-format.ts for the layout and what readers may
 * assume). A push's run of bytes is copied in one piece, its framing included; times and offsets are loops over typed arrays.
 */
export class HeadBlock {
  #region: MemoryRegion;
  /** times (2 words an entry), then lineOffsets (1 word an entry). */
  #words: Int32Array;
  #bytes: Uint8Array;
  #capacity: number;
  #byteCount = 0;
  #minLow = 0;
  #minHigh = 0;
  #maxLow = 0;
  #maxHigh = 0;
  #metadata: MetadataColumns | undefined = undefined;
  /** The entry offered last, or the one it was a duplicate of. */
  #last = -1;
  /** First entry that may be at the highest time. */
  #newestStart = 0;
  /** Checksum of a line → entries at the highest time that have it; only while there are many. */
  #newestByChecksum: Map<number, number[]> | undefined = undefined;
  count = 0;
  lineBytes = 0;
  isSorted = true;

  readonly #source: HeadMemorySource;

  /** Room to begin with; it grows by doubling. A stream with one short line should cost little more than that line. */
  constructor(capacity: number, byteCapacity: number, source: HeadMemorySource = UNSHARED_HEAD_MEMORY) {
    this.#source = source;
    const room = roomIn(source, capacity, byteCapacity);
    this.#region = room.region;
    this.#capacity = room.capacity;
    this.#words = room.words;
    this.#bytes = room.bytes;
  }

  /** Bytes of lines with their framing. */
  get byteCount(): number {
    return this.#byteCount;
  }

  get memoryBytes(): number {
    return this.#region.size + (this.#metadata?.memoryBytes ?? 0);
  }

  /** Bounds in ns; meaningless while empty. */
  get minTime(): bigint {
    return int64(this.#minLow, this.#minHigh);
  }

  get maxTime(): bigint {
    return int64(this.#maxLow, this.#maxHigh);
  }

  /**
   * The last entry, as the next head or segment needs it to know a repetition; undefined if it has metadata (repetitions of such an
   * entry across a cut are left to the readers). Copies the line.
   */
  lastEntry(): LastEntry | undefined {
    const index = this.#last;
    if (index < 0 || this.#metadata?.isEqual(index, undefined, NO_SYMBOLS) === false) return undefined;
    const offset = this.#words[2 * this.#capacity + index]!;
    const start = lineStartAt(this.#bytes, offset);
    return {
      timeLow: this.#words[2 * index]!,
      timeHigh: this.#words[2 * index + 1]!,
      line: Uint8Array.from(this.#bytes.subarray(start, start + lineLengthAt(this.#bytes, offset))),
    };
  }

  /** Adds the entries at the highest time. */
  addNewestTo(border: BorderEntries, symbols: SymbolTable): void {
    const words = this.#words;
    for (let index = this.#newestStart; index < this.count; index += 1) {
      if (words[2 * index] !== this.#maxLow || words[2 * index + 1] !== this.#maxHigh) continue;
      const offset = words[2 * this.#capacity + index]!;
      const start = lineStartAt(this.#bytes, offset);
      const line = this.#bytes.subarray(start, start + lineLengthAt(this.#bytes, offset));
      border.add(line, this.#metadata?.pairsOf(index, symbols));
    }
  }

  /** Nothing is held yet of what is at the highest time. */
  newBorder(): BorderEntries {
    return new BorderEntries(this.#maxLow, this.#maxHigh);
  }

  /** What readers get: no copy, and stable whatever is appended later, for as long as the memory is lent to them. */
  snapshot(): HeadSnapshot {
    return {
      region: this.#region,
      capacity: this.#capacity,
      count: this.count,
      byteCount: this.#byteCount,
      lineBytes: this.lineBytes,
      minTime: this.minTime,
      maxTime: this.maxTime,
      isSorted: this.isSorted,
      metadataRefs: this.#metadata?.refs,
      metadataEnds: this.#metadata?.ends,
    };
  }

  /**
   * Appends the run without exact duplicates: entries equal in time, line and metadata to one at the highest time so far, or to the
   * last one. Duplicates among late entries stay until the block is cut (`isSorted` tells readers).
   */
  append(run: EntryRun, symbols: SymbolTable): AppendCounts {
    const { first, end } = run;
    const countBefore = this.count;
    const bytesBefore = this.lineBytes;
    const runSize = endOfEntry(run, end - 1) - run.lineOffsets[first]!;
    if (runSize - run.lineBytes <= GAP_SIZE_MAX * (end - first)) this.#appendPiece(run, first, end, symbols);
    else for (let index = first; index < end; index += 1) this.#appendPiece(run, index, index + 1, symbols);
    const accepted = this.count - countBefore;
    return { accepted, duplicates: end - first - accepted, acceptedBytes: this.lineBytes - bytesBefore };
  }

  /** Copies [first, end) in one piece, then takes the entries over one by one. */
  #appendPiece(run: EntryRun, first: number, end: number, symbols: SymbolTable): void {
    const { bytes, lineOffsets, timeWords, metadata } = run;
    const start = lineOffsets[first]!;
    const pieceEnd = endOfEntry(run, end - 1);
    const countBefore = this.count;
    this.#reserve(end - first, pieceEnd - start);
    this.#bytes.set(bytes.subarray(start, pieceEnd), this.#byteCount);
    const shift = this.#byteCount - start;
    const words = this.#words;
    const offsetsStart = 2 * this.#capacity;
    const hasMetadata = metadata !== undefined || this.#metadata !== undefined;
    let maxLow = this.#maxLow;
    let maxHigh = this.#maxHigh;
    for (let index = first; index < end; index += 1) {
      const low = timeWords[2 * index]!;
      const high = timeWords[2 * index + 1]!;
      const offset = lineOffsets[index]! + shift;
      const length = lineLengthAt(bytes, lineOffsets[index]!);
      const count = this.count;
      // An entry later than all before it, the usual case, needs no second look.
      const isLatest = high > maxHigh || (high === maxHigh && low >>> 0 > maxLow >>> 0);
      if (!(isLatest && count > 0) && !this.#admit(low, high, offset, length, metadata?.get(index), symbols)) continue;
      if (isLatest || count === 0) {
        maxLow = low;
        maxHigh = high;
        this.#startNewest(low, high);
      }
      words[2 * count] = low;
      words[2 * count + 1] = high;
      words[offsetsStart + count] = offset;
      this.#last = count;
      this.count = count + 1;
      this.lineBytes += length;
      if (hasMetadata) this.#appendMetadata(count, metadata?.get(index), symbols);
    }
    // Where nothing was taken over, the piece is overwritten by the next one.
    if (this.count > countBefore) this.#byteCount = pieceEnd + shift;
  }

  /** For an entry that is the first, or not later than all before it: false for a duplicate. Keeps the lower bound. */
  #admit(
    low: number,
    high: number,
    offset: number,
    length: number,
    pairs: readonly string[] | undefined,
    symbols: SymbolTable,
  ): boolean {
    if (this.count === 0) {
      this.#minLow = low;
      this.#minHigh = high;
      return true;
    }
    const order = compareInt64(low, high, this.#maxLow, this.#maxHigh);
    if (order !== 0 && this.#isLike(this.#last, low, high, offset, length, pairs, symbols)) return false;
    if (order === 0) return this.#isNewAtNewest(offset, length, pairs, symbols);
    this.isSorted = false;
    if (compareInt64(low, high, this.#minLow, this.#minHigh) < 0) {
      this.#minLow = low;
      this.#minHigh = high;
    }
    return true;
  }

  #startNewest(low: number, high: number): void {
    this.#maxLow = low;
    this.#maxHigh = high;
    this.#newestStart = this.count;
    this.#newestByChecksum = undefined;
  }

  /** For an entry at the highest time: is there none like it? No closures: this runs for every entry of a burst. */
  #isNewAtNewest(offset: number, length: number, pairs: readonly string[] | undefined, symbols: SymbolTable): boolean {
    const low = this.#maxLow;
    const high = this.#maxHigh;
    if (this.count - this.#newestStart < COMPARED_MAX) {
      for (let index = this.#newestStart; index < this.count; index += 1) {
        if (this.#isLike(index, low, high, offset, length, pairs, symbols)) return this.#drop(index);
      }
      return true;
    }
    const byChecksum = this.#newestByChecksum ?? this.#indexNewest();
    const checksum = this.#checksumAt(offset);
    const candidates = byChecksum.get(checksum);
    if (!candidates) {
      byChecksum.set(checksum, [this.count]);
      return true;
    }
    for (const index of candidates) {
      if (this.#isLike(index, low, high, offset, length, pairs, symbols)) return this.#drop(index);
    }
    if (candidates.length < CANDIDATES_MAX) candidates.push(this.count);
    return true;
  }

  #drop(original: number): false {
    this.#last = original;
    return false;
  }

  #indexNewest(): Map<number, number[]> {
    const byChecksum = new Map<number, number[]>();
    for (let index = this.#newestStart; index < this.count; index += 1) {
      const words = this.#words;
      if (words[2 * index] !== this.#maxLow || words[2 * index + 1] !== this.#maxHigh) continue;
      const checksum = this.#checksumAt(words[2 * this.#capacity + index]!);
      const candidates = byChecksum.get(checksum);
      if (candidates) candidates.push(index);
      else byChecksum.set(checksum, [index]);
    }
    this.#newestByChecksum = byChecksum;
    return byChecksum;
  }

  #checksumAt(offset: number): number {
    const start = lineStartAt(this.#bytes, offset);
    return crc32c(this.#bytes.subarray(start, start + lineLengthAt(this.#bytes, offset)));
  }

  /** Is entry `index` at this time, with the line whose length stands at `offset`? */
  #isSame(index: number, low: number, high: number, offset: number, length: number): boolean {
    const words = this.#words;
    if (words[2 * index] !== low || words[2 * index + 1] !== high) return false;
    const other = words[2 * this.#capacity + index]!;
    if (lineLengthAt(this.#bytes, other) !== length) return false;
    const bytes = this.#bytes;
    return areBytesEqual(bytes, lineStartAt(bytes, other), bytes, lineStartAt(bytes, offset), length);
  }

  /** Is entry `index` the same in time, line and metadata? */
  #isLike(
    index: number,
    low: number,
    high: number,
    offset: number,
    length: number,
    pairs: readonly string[] | undefined,
    symbols: SymbolTable,
  ): boolean {
    if (!this.#isSame(index, low, high, offset, length)) return false;
    return this.#metadata?.isEqual(index, pairs, symbols) ?? pairs === undefined;
  }

  #appendMetadata(index: number, pairs: readonly string[] | undefined, symbols: SymbolTable): void {
    if (!this.#metadata && pairs === undefined) return;
    this.#metadata ??= new MetadataColumns(index);
    this.#metadata.append(index, pairs, symbols);
  }

  /** Room for so many more. Growth moves to a new buffer; snapshots keep the old one. */
  #reserve(entries: number, byteCount: number): void {
    const bytesNeeded = this.#byteCount + byteCount;
    if (this.count + entries <= this.#capacity && bytesNeeded <= this.#bytes.length) return;
    const { count } = this;
    const words = this.#words;
    const bytes = this.#bytes.subarray(0, this.#byteCount);
    const offsetsStart = 2 * this.#capacity;
    const entriesNeeded = count + entries;
    const capacity = entriesNeeded > this.#capacity ? Math.max(entriesNeeded, 2 * this.#capacity) : this.#capacity;
    const bytesSize =
      bytesNeeded > this.#bytes.length ? Math.max(bytesNeeded, 2 * this.#bytes.length) : this.#bytes.length;
    const outgrown = this.#region;
    // First of all: it throws when there is no memory, and then the head must be as it was.
    const room = roomIn(this.#source, capacity, bytesSize);
    this.#region = room.region;
    this.#capacity = room.capacity;
    this.#words = room.words;
    this.#bytes = room.bytes;
    this.#words.set(words.subarray(0, 2 * count));
    this.#words.set(words.subarray(offsetsStart, offsetsStart + count), 2 * room.capacity);
    this.#bytes.set(bytes);
    this.#source.give(outgrown);
  }
}

interface Room {
  readonly region: MemoryRegion;
  readonly capacity: number;
  readonly words: Int32Array;
  readonly bytes: Uint8Array;
}

/** Room for at least so many entries and bytes; what the region has beyond is shared out in the same proportion. */
const roomIn = (source: HeadMemorySource, entries: number, byteCount: number): Room => {
  const wanted = ENTRY_COLUMNS_SIZE * entries + byteCount;
  const region = source.take(wanted);
  const { buffer, offset, size } = region;
  const capacity = wanted > 0 ? Math.floor((entries * size) / wanted) : 0;
  const bytesStart = ENTRY_COLUMNS_SIZE * capacity;
  const words = new Int32Array(buffer, offset, WORDS_PER_ENTRY * capacity);
  return { region, capacity, words, bytes: new Uint8Array(buffer, offset + bytesStart, size - bytesStart) };
};

/** Offset after the line of entry `index`. */
const endOfEntry = ({ bytes, lineOffsets }: EntryRun, index: number): number => {
  const offset = lineOffsets[index]!;
  return lineStartAt(bytes, offset) + lineLengthAt(bytes, offset);
};
