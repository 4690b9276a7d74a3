/**
 * How a closed file ends: a FOOTER record, then 32 bytes that lead to it.
 *
 *   FOOTER payload, all uvarints unless said otherwise:
 *     writers, then each: number, incarnation, text nodeId
 *     damaged stretches, then each: offset, size, records
 *     segments, then each:
 *       writer, counter, flags (1 = OPEN is here, 2 = has bounds)
 *       [ size of the OPEN payload, payload ]  [ lowest time i64, highest time i64, little-endian ]
 *       entries, records, then each: type, (offset − end of the one before) / 8, length, zigzag(first − expected), count
 *
 *   trailer:  footer offset u64 │ footer length u32 │ salt u32 │ createdMs u64 │ crc u32 of the 24 bytes before │ magic "RLGE"
 *
 * `expected` is one more than the last index that the segment's records before it in this file reach. The salt stands here too, so that neither
 * end of the file is needed to read the other.
 */
import { crc32c } from '../chunk/checksum.ts';
import { uvarintSize, VarintReader, writeUvarint } from '../chunk/varint.ts';
import { bytesOfText, textOfBytes } from '../protocol/byte-text.ts';
import type { TimeBounds } from './append-record.ts';
import type { IndexedRecord } from './file-index.ts';
import { isIntact, paddedSize, RECORD_HEADER_SIZE, RecordType, readHeader, writeHeader } from './record-format.ts';
import type { IndexedFile, LogSegment, Place, SegmentTable } from './segment-table.ts';
import type { Writer } from './state-records.ts';

export const TRAILER_SIZE = 32;

/** "RLGE" as the bytes lie. */
const TRAILER_MAGIC = 0x45474c52;
const HAS_OPEN = 1;
const HAS_BOUNDS = 2;

/** Where a closed file's footer is, and what its header would say. */
export interface Trailer {
  readonly offset: number;
  readonly length: number;
  readonly salt: number;
  readonly createdMs: number;
}

/** Chosen: written, sent to a thread or summed up in a fraction of a millisecond. */
const PIECE_SIZE = 256 << 10;

/** Uvarints and bytes one after another, in pieces: one buffer of tens of MB would take as many ms to grow, to copy and to send. */
class ByteWriter {
  readonly #full: Uint8Array[] = [];
  #piece = new Uint8Array(PIECE_SIZE);
  #at = 0;
  size = 0;

  get pieces(): readonly Uint8Array[] {
    return [...this.#full, this.#piece.subarray(0, this.#at)];
  }

  uvarint(value: number): void {
    this.#reserve(uvarintSize(value));
    this.#wrote(writeUvarint(this.#piece, this.#at, value));
  }

  words(low: number, high: number): void {
    this.#reserve(8);
    const view = new DataView(this.#piece.buffer);
    view.setInt32(this.#at, low, true);
    view.setInt32(this.#at + 4, high, true);
    this.#wrote(this.#at + 8);
  }

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#piece.set(bytes, this.#at);
    this.#wrote(this.#at + bytes.length);
  }

  sized(bytes: Uint8Array): void {
    this.uvarint(bytes.length);
    this.raw(bytes);
  }

  #wrote(end: number): void {
    this.size += end - this.#at;
    this.#at = end;
  }

  #reserve(more: number): void {
    if (this.#at + more <= this.#piece.length) return;
    this.#full.push(this.#piece.subarray(0, this.#at));
    this.#piece = new Uint8Array(Math.max(PIECE_SIZE, more));
    this.#at = 0;
  }
}

/** The footer and the trailer of a file that ends at `file.size`. */
export const encodeFooter = (file: IndexedFile): Uint8Array => {
  const steps = encodeFooterInSteps(file);
  for (;;) {
    const { done, value } = steps.next();
    if (done) return Buffer.concat(value);
  }
};

/** Places of a step: a file may have tens of thousands, and a node that has just begun takes 10 to 20 µs for each. */
const PLACES_A_STEP = 128;
/** Chosen: tens of nanoseconds for each. */
const WRITERS_A_STEP = 4096;

/** The same in pieces, with others having their turn between the steps. Nothing is added to the file meanwhile. */
export function* encodeFooterInSteps(file: IndexedFile): Generator<undefined, readonly Uint8Array[], undefined> {
  const body = new ByteWriter();
  body.raw(new Uint8Array(RECORD_HEADER_SIZE));
  const writers = new Set<Writer>();
  for (const [index, { segment }] of file.places.entries()) {
    if (index > 0 && index % WRITERS_A_STEP === 0) yield;
    writers.add(segment.writer);
  }
  body.uvarint(writers.size);
  for (const { number, incarnation, nodeId } of writers) {
    body.uvarint(number);
    body.uvarint(incarnation);
    body.sized(bytesOfText(nodeId));
  }
  body.uvarint(file.damage.length);
  for (const { offset, size, records } of file.damage) for (const value of [offset, size, records]) body.uvarint(value);
  body.uvarint(file.places.length);
  for (const [index, place] of file.places.entries()) {
    if (index > 0 && index % PLACES_A_STEP === 0) yield;
    writePlace(body, place);
  }
  yield* seal(file, body);
  return [...body.pieces, trailerOf(file, body.size)];
}

const writePlace = (body: ByteWriter, { file, segment, last, entries, bounds }: Place): void => {
  const records = file.index.chain(last);
  const open = records.some(({ type }) => type === RecordType.OPEN) ? segment.open : undefined;
  body.uvarint(segment.writer.number);
  body.uvarint(segment.id.counter);
  body.uvarint((open ? HAS_OPEN : 0) | (bounds ? HAS_BOUNDS : 0));
  if (open) body.sized(open);
  if (bounds) {
    body.words(bounds.minLow, bounds.minHigh);
    body.words(bounds.maxLow, bounds.maxHigh);
  }
  body.uvarint(entries);
  body.uvarint(records.length);
  let end = 0;
  let expected = 0;
  for (const record of records) {
    body.uvarint(record.type);
    body.uvarint((record.offset - end) / 8);
    body.uvarint(record.length);
    body.uvarint(zigzag(record.first - expected));
    body.uvarint(record.count);
    end = record.offset + paddedSize(record.length);
    if (record.type === RecordType.APPEND) expected = record.first + record.count;
  }
};

const zigzag = (value: number): number => (value < 0 ? -2 * value - 1 : 2 * value);
const unzigzag = (value: number): number => (value % 2 === 1 ? -(value + 1) / 2 : value / 2);

/** `body`: room for a record header, then the payload. */
function* seal({ salt }: IndexedFile, { pieces, size }: ByteWriter): Generator<undefined, void, undefined> {
  const [first, ...others] = pieces as readonly [Uint8Array, ...Uint8Array[]];
  const words = new Uint32Array(first.buffer, 0, RECORD_HEADER_SIZE / 4);
  writeHeader(words, 0, { type: RecordType.FOOTER, length: size, writer: 0, counter: 0 });
  let crc = crc32c(first.subarray(4), salt);
  for (const piece of others) {
    yield;
    crc = crc32c(piece, crc);
  }
  words[0] = crc;
}

/** What follows a FOOTER record of so many bytes, its padding included. */
const trailerOf = ({ size, salt, createdMs }: IndexedFile, length: number): Uint8Array => {
  const padding = paddedSize(length) - length;
  const bytes = new Uint8Array(padding + TRAILER_SIZE);
  const view = new DataView(bytes.buffer, padding);
  view.setBigUint64(0, BigInt(size), true);
  view.setUint32(8, length, true);
  view.setUint32(12, salt, true);
  view.setBigUint64(16, BigInt(createdMs), true);
  view.setUint32(24, crc32c(bytes.subarray(padding, padding + 24)), true);
  view.setUint32(28, TRAILER_MAGIC, true);
  return bytes;
};

/** `end`: the last TRAILER_SIZE bytes of a file of `fileSize`. undefined if the file does not end with a footer. */
export const readTrailer = (end: Uint8Array, fileSize: number): Trailer | undefined => {
  if (end.length < TRAILER_SIZE) return undefined;
  const view = new DataView(end.buffer, end.byteOffset, TRAILER_SIZE);
  if (view.getUint32(28, true) !== TRAILER_MAGIC) return undefined;
  if (view.getUint32(24, true) !== crc32c(end.subarray(0, 24))) return undefined;
  const trailer = {
    offset: Number(view.getBigUint64(0, true)),
    length: view.getUint32(8, true),
    salt: view.getUint32(12, true),
    createdMs: Number(view.getBigUint64(16, true)),
  };
  return trailer.offset + paddedSize(trailer.length) + TRAILER_SIZE === fileSize ? trailer : undefined;
};

/** A footer record is whole: its checksum is right and it is where and what the trailer says. */
export const isFooter = (record: Uint8Array, { length, salt }: Trailer): boolean => {
  if (record.length !== length || length < RECORD_HEADER_SIZE) return false;
  const header = readHeader(new DataView(record.buffer, record.byteOffset, length), 0);
  return header?.type === RecordType.FOOTER && header.length === length && isIntact(record, salt);
};

/**
 * Fills the table with what an intact footer says of `file`. Keeps views of `record`.
 * @throws CorruptChunkError if its lengths contradict each other
 */
export const readFooter = (record: Uint8Array, file: IndexedFile, table: SegmentTable): void => {
  const reader = new VarintReader(record, RECORD_HEADER_SIZE);
  const writers = new Map<number, Writer>();
  for (let left = reader.uvarint(); left > 0; left -= 1) {
    const number = reader.uvarint();
    const incarnation = reader.uvarint();
    writers.set(number, table.writer(textOfBytes(reader.take(reader.uvarint())), incarnation));
  }
  for (let left = reader.uvarint(); left > 0; left -= 1) {
    file.damage.push({ offset: reader.uvarint(), size: reader.uvarint(), records: reader.uvarint() });
  }
  for (let left = reader.uvarint(); left > 0; left -= 1) {
    const writer = writers.get(reader.uvarint());
    const counter = reader.uvarint();
    if (writer) readPlace(reader, file, table, table.segment(writer, counter));
  }
};

const readPlace = (reader: VarintReader, file: IndexedFile, table: SegmentTable, segment: LogSegment): void => {
  const flags = reader.uvarint();
  if (flags & HAS_OPEN) segment.open = reader.take(reader.uvarint());
  const bounds = flags & HAS_BOUNDS ? readBounds(reader.take(16)) : undefined;
  reader.uvarint();
  let end = 0;
  let expected = 0;
  for (let left = reader.uvarint(); left > 0; left -= 1) {
    const type = reader.uvarint();
    const offset = end + 8 * reader.uvarint();
    const length = reader.uvarint();
    const first = expected + unzigzag(reader.uvarint());
    const record: IndexedRecord = { type, offset, length, first, count: reader.uvarint() };
    table.add(file, segment, record, type === RecordType.APPEND ? bounds : undefined);
    end = offset + paddedSize(length);
    if (type === RecordType.APPEND) expected = first + record.count;
  }
};

const readBounds = (bytes: Uint8Array): TimeBounds => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, 16);
  return {
    minLow: view.getInt32(0, true),
    minHigh: view.getInt32(4, true),
    maxLow: view.getInt32(8, true),
    maxHigh: view.getInt32(12, true),
  };
};
