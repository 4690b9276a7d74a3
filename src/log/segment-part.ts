/**
 * A part of a segment as it goes from node to node. All numbers little-endian, sections aligned to 8 bytes.
 *
 *   0                4        5         6            8         12     16
 *   │ magic "RLSP"   │ major u8│ minor u8│ start u16  │ crc u32 │ 0 u32│ … sections from `start` on
 *
 *   section:  type u32 │ size u32 │ payload │ zeros up to a multiple of 8
 *     1 ID      uvarint incarnation, uvarint counter, text nodeId, uvarint epoch under which the giver has it
 *     2 OPEN    the payload of the segment's OPEN record
 *     3 RUN     the payload of an APPEND record
 *
 * crc: CRC-32C of all but itself. A reader refuses another major version; of a newer minor one it skips the sections and the header bytes that it
 * does not know.
 */
import { crc32c } from '../chunk/checksum.ts';
import { CorruptChunkError } from '../chunk/corrupt-chunk-error.ts';
import type { SegmentId } from '../chunk/memory-format.ts';
import { uvarintSize, VarintReader, writeUvarint } from '../chunk/varint.ts';
import { bytesOfText, textOfBytes } from '../protocol/byte-text.ts';
import type { SegmentPart } from './adoption.ts';
import { type AppendRun, planAppend, recordedRun, writeAppend } from './append-record.ts';
import { paddedSize, RECORD_HEADER_SIZE } from './record-format.ts';

/** "RLSP" as the bytes lie. */
const MAGIC = 0x50534c52;
const MAJOR = 1;
const MINOR = 0;
const HEADER_SIZE = 16;
const CRC_AT = 8;
const SECTION_HEADER_SIZE = 8;
const Section = { ID: 1, OPEN: 2, RUN: 3 } as const;

/** The part in pieces, one behind the other: the runs' payloads are not copied. */
export const encodeSegmentPart = ({ id, epoch, open, runs }: SegmentPart): readonly Uint8Array[] => {
  const about = [{ type: Section.ID as number, payload: encodeId(id, epoch) }];
  if (open) about.push({ type: Section.OPEN, payload: open });
  const payloads = runs.map((run) => run.payload ?? encodeRun(run));
  const size =
    HEADER_SIZE +
    about.reduce((sum, { payload }) => sum + SECTION_HEADER_SIZE + paddedSize(payload.length), 0) +
    payloads.reduce((sum, { length }) => sum + SECTION_HEADER_SIZE + paddedSize(length) - length, 0);
  // All but the payloads of the runs. From node's pool: a part of its own has V8 keep account of each.
  const bytes = Buffer.allocUnsafe(size).fill(0);
  bytes.writeUInt32LE(MAGIC, 0);
  bytes[4] = MAJOR;
  bytes[5] = MINOR;
  bytes.writeUInt16LE(HEADER_SIZE, 6);
  let at = HEADER_SIZE;
  for (const { type, payload } of about) {
    at = writeSectionHeader(bytes, at, type, payload.length);
    bytes.set(payload, at);
    at += paddedSize(payload.length);
  }
  const pieces: Uint8Array[] = [];
  let from = 0;
  for (const payload of payloads) {
    at = writeSectionHeader(bytes, at, Section.RUN, payload.length);
    pieces.push(bytes.subarray(from, at), payload);
    from = at;
    at += paddedSize(payload.length) - payload.length;
  }
  if (from < size) pieces.push(bytes.subarray(from));
  bytes.writeUInt32LE(checksumOf(pieces), CRC_AT);
  return pieces;
};

const writeSectionHeader = (bytes: Buffer, at: number, type: number, size: number): number =>
  bytes.writeUInt32LE(size, bytes.writeUInt32LE(type, at));

/**
 * @param bytes belong to the part from now on: its OPEN and its runs are views of them
 * @throws CorruptChunkError if the bytes are not whole, or of another major version
 */
export const decodeSegmentPart = (bytes: Uint8Array): SegmentPart => {
  if (bytes.length < HEADER_SIZE) throw new CorruptChunkError('a part of a segment is too short');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (view.getUint32(0, true) !== MAGIC) throw new CorruptChunkError('this is no part of a segment');
  const major = view.getUint8(4);
  if (major !== MAJOR)
    throw new CorruptChunkError(`a part of a segment has version ${major}; this program knows ${MAJOR}`);
  if (view.getUint32(CRC_AT, true) !== checksumOf([bytes])) {
    throw new CorruptChunkError('a part of a segment has a wrong checksum');
  }
  let segment: Pick<SegmentPart, 'id' | 'epoch'> | undefined;
  let open: Uint8Array | undefined;
  const runs: AppendRun[] = [];
  let at = view.getUint16(6, true);
  if (at < HEADER_SIZE || (bytes.byteOffset + at) % 8 !== 0) {
    throw new CorruptChunkError('the sections of a part do not begin at a multiple of 8');
  }
  while (at + SECTION_HEADER_SIZE <= bytes.length) {
    const type = view.getUint32(at, true);
    const size = view.getUint32(at + 4, true);
    const start = at + SECTION_HEADER_SIZE;
    if (start + size > bytes.length) throw new CorruptChunkError('a section of a part is longer than the part');
    const payload = bytes.subarray(start, start + size);
    if (type === Section.ID) segment = decodeId(payload);
    else if (type === Section.OPEN) open = payload;
    // What stands where a record has its header is nobody's business: there are as many bytes in front of each payload.
    else if (type === Section.RUN) runs.push(recordedRun(bytes.subarray(start - RECORD_HEADER_SIZE, start + size)));
    at = start + paddedSize(size);
  }
  if (!segment) throw new CorruptChunkError('a part of a segment does not say of which');
  return { ...segment, open, runs };
};

/** Of the pieces of a part, of which the first has its header. */
const checksumOf = ([first = new Uint8Array(0), ...others]: readonly Uint8Array[]): number => {
  const begun = crc32c(first.subarray(CRC_AT + 4), crc32c(first.subarray(0, CRC_AT)));
  return others.reduce((sum, piece) => crc32c(piece, sum), begun) >>> 0;
};

const encodeId = ({ nodeId, incarnation, counter }: SegmentId, epoch: number): Uint8Array => {
  const name = bytesOfText(nodeId);
  const numbers = [incarnation, counter, name.length, epoch];
  const bytes = new Uint8Array(numbers.reduce((size, number) => size + uvarintSize(number), name.length));
  let at = 0;
  for (const number of numbers.slice(0, -1)) at = writeUvarint(bytes, at, number);
  bytes.set(name, at);
  writeUvarint(bytes, at + name.length, epoch);
  return bytes;
};

const decodeId = (payload: Uint8Array): Pick<SegmentPart, 'id' | 'epoch'> => {
  const reader = new VarintReader(payload);
  const incarnation = reader.uvarint();
  const counter = reader.uvarint();
  const nodeId = textOfBytes(reader.take(reader.uvarint()));
  return { id: { nodeId, incarnation, counter }, epoch: reader.uvarint() };
};

const encodeRun = ({ first, count, columns }: AppendRun): Uint8Array => {
  const plan = planAppend({ columns, first: 0, end: count });
  const record = new Uint8Array(paddedSize(plan.length));
  writeAppend(record, new Uint32Array(record.buffer), 0, first, plan);
  return record.subarray(RECORD_HEADER_SIZE, plan.length);
};
