/**
 * The short records.
 *
 *   BATCH    sequence u64 │ batch size u32 │ records u32 │ writers u32 │ per writer: number u16, incarnation u64, size u8, nodeId
 *   OPEN     chunk version u8 │ uvarint openedMs │ text tenant │ uvarint texts │ text name, text value, …    text: uvarint size, bytes
 *   SEAL     final count u32 │ offered u32
 *   FLUSHED  count u32 │ complete u32
 *   DROP     nothing
 *   ADOPT    epoch u32 │ 0 u32
 *   CUSTODY  epoch u32 │ final count u32
 *   RELEASED final count u32 │ epoch u32
 */
import { uvarintSize, VarintReader, writeUvarint } from '../chunk/varint.ts';
import { bytesOfText, textOfBytes } from '../protocol/byte-text.ts';
import { RECORD_HEADER_SIZE } from './record-format.ts';

/** What is known of a segment from its first record on. */
export interface SegmentHeader {
  readonly tenant: string;
  /** name1, value1, …: the stream's label set. */
  readonly labels: readonly string[];
  /** Chunk format of the segment. */
  readonly version: number;
  /** Wall clock, ms. */
  readonly openedMs: number;
}

/** Who writes segments; `number` stands for it in records of this process's batches. */
export interface Writer {
  readonly number: number;
  readonly nodeId: string;
  readonly incarnation: number;
}

export interface BatchHeader {
  /** Counts up in one process. */
  readonly sequence: number;
  /** Its BATCH record included. */
  readonly size: number;
  /** Behind the BATCH record. */
  readonly records: number;
  readonly writers: readonly Writer[];
}

const NODE_ID_SIZE_MAX = 255;
const BATCH_FIXED_SIZE = 20;
const WRITER_FIXED_SIZE = 11;

export const encodeOpen = ({ tenant, labels, version, openedMs }: SegmentHeader): Uint8Array => {
  const texts = [tenant, ...labels].map(bytesOfText);
  const textsSize = texts.reduce((size, { length }) => size + uvarintSize(length) + length, 0);
  const encoded = new Uint8Array(1 + uvarintSize(openedMs) + uvarintSize(labels.length) + textsSize);
  encoded[0] = version;
  let at = writeUvarint(encoded, 1, openedMs);
  for (const [index, text] of texts.entries()) {
    if (index === 1) at = writeUvarint(encoded, at, labels.length);
    at = writeUvarint(encoded, at, text.length);
    encoded.set(text, at);
    at += text.length;
  }
  if (labels.length === 0) writeUvarint(encoded, at, 0);
  return encoded;
};

/** @throws CorruptChunkError */
export const decodeOpen = (payload: Uint8Array): SegmentHeader => {
  const reader = new VarintReader(payload, 1);
  const openedMs = reader.uvarint();
  const tenant = textOfBytes(reader.take(reader.uvarint()));
  const labels: string[] = [];
  for (let left = reader.uvarint(); left > 0; left -= 1) labels.push(textOfBytes(reader.take(reader.uvarint())));
  return { tenant, labels, version: payload[0] ?? 0, openedMs };
};

/** Bytes of the BATCH record that names these writers. */
export const batchRecordSize = (writers: Iterable<Writer>): number => {
  let size = RECORD_HEADER_SIZE + BATCH_FIXED_SIZE;
  for (const { nodeId } of writers) size += WRITER_FIXED_SIZE + bytesOfText(nodeId).length;
  return size;
};

export const isNodeIdShort = (nodeId: string): boolean => bytesOfText(nodeId).length <= NODE_ID_SIZE_MAX;

/** Writes the payload behind the header at `at`. */
export const writeBatch = (bytes: Uint8Array, at: number, { sequence, size, records, writers }: BatchHeader): void => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let next = at + RECORD_HEADER_SIZE;
  view.setBigUint64(next, BigInt(sequence), true);
  view.setUint32(next + 8, size, true);
  view.setUint32(next + 12, records, true);
  view.setUint32(next + 16, writers.length, true);
  next += BATCH_FIXED_SIZE;
  for (const { number, incarnation, nodeId } of writers) {
    const name = bytesOfText(nodeId);
    view.setUint16(next, number, true);
    view.setBigUint64(next + 2, BigInt(incarnation), true);
    view.setUint8(next + 10, name.length);
    bytes.set(name, next + WRITER_FIXED_SIZE);
    next += WRITER_FIXED_SIZE + name.length;
  }
};

/** `record`: an intact BATCH record. @throws RangeError if its sizes are wrong */
export const readBatch = (record: Uint8Array): BatchHeader => {
  const view = new DataView(record.buffer, record.byteOffset, record.length);
  let at = RECORD_HEADER_SIZE + BATCH_FIXED_SIZE;
  const writers: Writer[] = [];
  for (let left = view.getUint32(at - 4, true); left > 0; left -= 1) {
    const end = at + WRITER_FIXED_SIZE + view.getUint8(at + 10);
    const nodeId = textOfBytes(record, at + WRITER_FIXED_SIZE, end);
    writers.push({ number: view.getUint16(at, true), incarnation: Number(view.getBigUint64(at + 2, true)), nodeId });
    at = end;
  }
  return {
    sequence: Number(view.getBigUint64(RECORD_HEADER_SIZE, true)),
    size: view.getUint32(RECORD_HEADER_SIZE + 8, true),
    records: view.getUint32(RECORD_HEADER_SIZE + 12, true),
    writers,
  };
};

/** The two numbers that SEAL, FLUSHED, ADOPT, CUSTODY and RELEASED records carry; zeros for the others. */
export const readPair = (record: Uint8Array): { readonly first: number; readonly count: number } => {
  const view = new DataView(record.buffer, record.byteOffset, record.length);
  const has = (size: number): boolean => record.length >= RECORD_HEADER_SIZE + size;
  return {
    first: has(4) ? view.getUint32(RECORD_HEADER_SIZE, true) : 0,
    count: has(8) ? view.getUint32(RECORD_HEADER_SIZE + 4, true) : 0,
  };
};
