/**
 * APPEND: a run of entries as columns, so that writing is a copy per column and reading is none.
 *
 *   24          28          32             36                 40
 *   │ first u32 │ count u32 │ run size u32 │ metadata size u32│ times i64[count] │ offsets u32[count] │ run │ metadata │
 *
 * first: index of the first entry in its segment. offsets: of the uvarint length in front of each line, from the start of the run. run: the bytes
 * as they were pushed, framing between the lines included; where framing is most of it, lines one behind the other.
 * metadata: uvarint texts, then (uvarint size, text) each; then for each entry that has any: uvarint index, uvarint numbers, uvarint number …
 */
import { CorruptChunkError } from '../chunk/corrupt-chunk-error.ts';
import { lineLengthAt, lineStartAt } from '../chunk/line-bounds.ts';
import { timeWordsOf } from '../chunk/time-words.ts';
import { compareInt64, VarintReader } from '../chunk/varint.ts';
import type { EntryColumns, EntryRange } from '../protocol/entry-columns.ts';
import { decodeMetadata, encodeMetadata } from './metadata-record.ts';
import { RECORD_HEADER_SIZE } from './record-format.ts';

const COLUMNS_AT = RECORD_HEADER_SIZE + 16;

/** A time and an offset. */
const ENTRY_COLUMNS_SIZE = 12;

/** Bytes between two lines that are cheaper to keep than to leave out. As in the head block. */
const GAP_SIZE_MAX = 64;

/** Highest and lowest time of a run, as words (low, high). */
export interface TimeBounds {
  minLow: number;
  minHigh: number;
  maxLow: number;
  maxHigh: number;
}

/** How a range will lie in a record; from `planAppend` to `writeAppend`. */
export interface AppendPlan {
  readonly range: EntryRange;
  readonly runSize: number;
  /** The range's bytes in one piece; otherwise line by line. */
  readonly isWhole: boolean;
  readonly metadata: Uint8Array | undefined;
  /** Of the whole record. */
  readonly length: number;
}

/** What the record will take; nothing is written yet. The range has at least one entry. */
export const planAppend = (range: EntryRange): AppendPlan => {
  const { columns, first, end } = range;
  const { bytes, lineOffsets } = columns;
  const last = lineOffsets[end - 1] as number;
  let runSize = lineStartAt(bytes, last) + lineLengthAt(bytes, last) - (lineOffsets[first] as number);
  const isWhole = runSize <= GAP_SIZE_MAX * (end - first) || runSize <= wholeSizeMax(range);
  if (!isWhole) runSize = linesSize(columns, first, end);
  const metadata = columns.metadata ? encodeMetadata(columns.metadata, first, end) : undefined;
  const length = COLUMNS_AT + ENTRY_COLUMNS_SIZE * (end - first) + runSize + (metadata?.length ?? 0);
  return { range, runSize, isWhole, metadata, length };
};

const wholeSizeMax = ({ columns, first, end, lineBytes }: EntryRange): number =>
  GAP_SIZE_MAX * (end - first) + (lineBytes ?? linesSize(columns, first, end));

/** Lines and their lengths, without what stands between. */
const linesSize = ({ bytes, lineOffsets }: EntryColumns, first: number, end: number): number => {
  let size = 0;
  for (let index = first; index < end; index += 1) {
    const offset = lineOffsets[index] as number;
    size += lineStartAt(bytes, offset) - offset + lineLengthAt(bytes, offset);
  }
  return size;
};

/**
 * Writes the payload; `at` is where the record begins, a multiple of 8.
 * @param words the same memory as `bytes`
 * @returns the bounds of its times
 */
export const writeAppend = (
  bytes: Uint8Array,
  words: Uint32Array,
  at: number,
  firstIndex: number,
  { range, runSize, isWhole, metadata }: AppendPlan,
): TimeBounds => {
  const { columns, first, end } = range;
  const count = end - first;
  const header = (at + RECORD_HEADER_SIZE) >>> 2;
  words[header] = firstIndex;
  words[header + 1] = count;
  words[header + 2] = runSize;
  words[header + 3] = metadata?.length ?? 0;
  const timeWords = timeWordsOf(columns);
  const timesAt = (at + COLUMNS_AT) >>> 2;
  words.set(timeWords.subarray(2 * first, 2 * end), timesAt);
  const runAt = at + COLUMNS_AT + ENTRY_COLUMNS_SIZE * count;
  const offsetsAt = timesAt + 2 * count;
  if (isWhole) copyWhole(bytes, words, runAt, offsetsAt, range, runSize);
  else copyLines(bytes, words, runAt, offsetsAt, range);
  if (metadata) bytes.set(metadata, runAt + runSize);
  return boundsOf(timeWords, first, end);
};

const copyWhole = (
  bytes: Uint8Array,
  words: Uint32Array,
  runAt: number,
  offsetsAt: number,
  { columns, first, end }: EntryRange,
  runSize: number,
): void => {
  const { lineOffsets } = columns;
  const start = lineOffsets[first] as number;
  bytes.set(columns.bytes.subarray(start, start + runSize), runAt);
  for (let index = first; index < end; index += 1) {
    words[offsetsAt + index - first] = (lineOffsets[index] as number) - start;
  }
};

const copyLines = (
  bytes: Uint8Array,
  words: Uint32Array,
  runAt: number,
  offsetsAt: number,
  { columns, first, end }: EntryRange,
): void => {
  let used = 0;
  for (let index = first; index < end; index += 1) {
    const start = columns.lineOffsets[index] as number;
    const line = columns.bytes.subarray(start, lineStartAt(columns.bytes, start) + lineLengthAt(columns.bytes, start));
    bytes.set(line, runAt + used);
    words[offsetsAt + index - first] = used;
    used += line.length;
  }
};

const boundsOf = (timeWords: Int32Array, first: number, end: number): TimeBounds => {
  const low = timeWords[2 * first] as number;
  const high = timeWords[2 * first + 1] as number;
  const bounds = { minLow: low, minHigh: high, maxLow: low, maxHigh: high };
  for (let index = first + 1; index < end; index += 1) {
    widen(bounds, timeWords[2 * index] as number, timeWords[2 * index + 1] as number);
  }
  return bounds;
};

const widen = (bounds: TimeBounds, low: number, high: number): void => {
  if (compareInt64(low, high, bounds.maxLow, bounds.maxHigh) > 0) {
    bounds.maxLow = low;
    bounds.maxHigh = high;
  } else if (compareInt64(low, high, bounds.minLow, bounds.minHigh) < 0) {
    bounds.minLow = low;
    bounds.minHigh = high;
  }
};

/** Bounds that hold both. */
export const widenBy = (bounds: TimeBounds, other: TimeBounds): void => {
  widen(bounds, other.minLow, other.minHigh);
  widen(bounds, other.maxLow, other.maxHigh);
};

/** A record's entries: views of its bytes. */
export interface AppendRun {
  /** Index in the segment of the columns' first entry. */
  readonly first: number;
  readonly count: number;
  readonly columns: EntryColumns;
  readonly bounds: TimeBounds;
  /** Of the record, if it has these entries and no others. */
  readonly payload?: Uint8Array | undefined;
}

/** Index and number of a record's entries, without a look at them. `record`: at least its first 32 bytes. */
export const readAppendExtent = (record: Uint8Array): { readonly first: number; readonly count: number } => {
  const view = new DataView(record.buffer, record.byteOffset, record.length);
  return { first: view.getUint32(RECORD_HEADER_SIZE, true), count: view.getUint32(RECORD_HEADER_SIZE + 4, true) };
};

/** Bytes of a record's run and metadata. */
export const runSizeOf = ({ length, count }: { readonly length: number; readonly count: number }): number =>
  length - COLUMNS_AT - ENTRY_COLUMNS_SIZE * count;

/** Bounds of a record's times, without a look at the lines. */
export const readAppendBounds = (record: Uint8Array): TimeBounds => {
  const { count } = readAppendExtent(record);
  return boundsOf(new Int32Array(record.buffer, record.byteOffset + COLUMNS_AT, 2 * count), 0, count);
};

/**
 * The run of an intact record. `record` begins at a multiple of 8 in its buffer and belongs to the run from now on.
 * @throws CorruptChunkError if the sizes contradict each other: the writer had a defect
 */
export const readAppend = (record: Uint8Array): AppendRun => {
  const { buffer, byteOffset } = record;
  const view = new DataView(buffer, byteOffset, record.length);
  const { first, count } = readAppendExtent(record);
  const runSize = view.getUint32(RECORD_HEADER_SIZE + 8, true);
  const metadataSize = view.getUint32(RECORD_HEADER_SIZE + 12, true);
  const reader = new VarintReader(record, COLUMNS_AT + ENTRY_COLUMNS_SIZE * count);
  const bytes = reader.take(runSize);
  const metadata = metadataSize > 0 ? decodeMetadata(reader.take(metadataSize), count) : undefined;
  const times = new BigInt64Array(buffer, byteOffset + COLUMNS_AT, count);
  const lineOffsets = new Uint32Array(buffer, byteOffset + COLUMNS_AT + 8 * count, count);
  return { first, count, columns: { bytes, lineOffsets, times, metadata }, bounds: readAppendBounds(record) };
};

/** The run of a record that is most likely passed on as it is: what is in it is read when somebody asks. */
class RecordedRun implements AppendRun {
  readonly first: number;
  readonly count: number;
  readonly #record: Uint8Array;
  #columns: EntryColumns | undefined;

  constructor(record: Uint8Array) {
    const { first, count } = readAppendExtent(record);
    this.first = first;
    this.count = count;
    this.#record = record;
  }

  /** Of the record, by what it says of its parts. */
  get size(): number {
    const view = new DataView(this.#record.buffer, this.#record.byteOffset, COLUMNS_AT);
    const runSize = view.getUint32(RECORD_HEADER_SIZE + 8, true);
    return COLUMNS_AT + ENTRY_COLUMNS_SIZE * this.count + runSize + view.getUint32(RECORD_HEADER_SIZE + 12, true);
  }

  get payload(): Uint8Array {
    return this.#record.subarray(RECORD_HEADER_SIZE);
  }

  get columns(): EntryColumns {
    this.#columns ??= readAppend(this.#record).columns;
    return this.#columns;
  }

  get bounds(): TimeBounds {
    return readAppendBounds(this.#record);
  }
}

/**
 * As readAppend, but the entries are not looked at before somebody asks for them. Of the record's header nothing is read.
 * @throws CorruptChunkError if the sizes contradict each other
 */
export const recordedRun = (record: Uint8Array): AppendRun => {
  const run = record.length >= COLUMNS_AT ? new RecordedRun(record) : undefined;
  if (run === undefined || run.count === 0 || run.size !== record.length) {
    throw new CorruptChunkError('a run has sizes that contradict each other');
  }
  return run;
};
