/**
 * What every record of a log file begins with (docs/log-format.md). All numbers little-endian, records aligned to 8 bytes.
 *
 *   0         4           8         9     10           12     16            24
 *   │ crc u32 │ length u32│ type u8 │ 0 u8│ writer u16 │ 0 u32│ counter u64 │ payload … │ zeros up to a multiple of 8
 *
 * `length` counts from `crc` to the end of the payload. `crc` = CRC-32C of all after it, seeded with the file's salt, so that nobody who
 * writes log lines can write records. (writer, counter) is the segment; the writer's number is explained by a BATCH record.
 */
import { crc32c } from '../chunk/checksum.ts';

export const RECORD_HEADER_SIZE = 24;

/** A longer record is not believed. Chosen: above any half of a double buffer. */
export const RECORD_SIZE_MAX = 64 << 20;

/** Readers skip what they do not know. */
export const RecordType = {
  BATCH: 1,
  OPEN: 2,
  APPEND: 3,
  SEAL: 4,
  FLUSHED: 5,
  DROP: 6,
  ADOPT: 7,
  CUSTODY: 8,
  RELEASED: 9,
  FOOTER: 16,
} as const;

/** Types above are no records: a quick filter when a damaged file is searched. */
const RECORD_TYPE_MAX = 16;

const NAMES = new Map<number, string>(Object.entries(RecordType).map(([name, type]) => [type, name]));

export const recordTypeName = (type: number): string => NAMES.get(type) ?? `type ${type}`;

/** What a record says of itself, read from its header. */
export interface RecordHeader {
  readonly type: number;
  /** Without the padding. */
  readonly length: number;
  readonly writer: number;
  readonly counter: number;
}

const WORD = 2 ** 32;

/** Up to the next record. */
export const paddedSize = (length: number): number => (length + 7) & ~7;

/** A machine of the other byte order would misread its own log, silently. */
export const isLittleEndian = (): boolean => new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

/**
 * Puts header and checksum around a payload that stands at `at` + RECORD_HEADER_SIZE, and zeros behind it.
 * @param words the same memory as `bytes`, which begins at a multiple of 4; `at` is a multiple of 8
 * @returns the offset of the next record
 */
export const sealRecord = (
  bytes: Uint8Array,
  words: Uint32Array,
  at: number,
  header: RecordHeader,
  salt: number,
): number => {
  const { length } = header;
  const word = at >>> 2;
  writeHeader(words, word, header);
  words[word] = crc32c(bytes.subarray(at + 4, at + length), salt);
  const end = at + paddedSize(length);
  bytes.fill(0, at + length, end);
  return end;
};

/** All of it but the checksum, which is the first word. */
export const writeHeader = (
  words: Uint32Array,
  word: number,
  { type, length, writer, counter }: RecordHeader,
): void => {
  words[word + 1] = length;
  words[word + 2] = type | (writer << 16);
  words[word + 3] = 0;
  words[word + 4] = counter % WORD;
  words[word + 5] = Math.floor(counter / WORD);
};

/** The header at `at`, if it can be one: nothing is checked but what all headers have in common. */
export const readHeader = (view: DataView, at: number): RecordHeader | undefined => {
  const length = view.getUint32(at + 4, true);
  if (length < RECORD_HEADER_SIZE || length > RECORD_SIZE_MAX) return undefined;
  const type = view.getUint8(at + 8);
  if (type === 0 || type > RECORD_TYPE_MAX || view.getUint8(at + 9) !== 0) return undefined;
  if (view.getUint32(at + 12, true) !== 0) return undefined;
  const counter = view.getUint32(at + 16, true) + WORD * view.getUint32(at + 20, true);
  return { type, length, writer: view.getUint16(at + 10, true), counter };
};

/** True if `record` (header and payload, no padding) is as it was written. */
export const isIntact = (record: Uint8Array, salt: number): boolean => {
  const stored = new DataView(record.buffer, record.byteOffset).getUint32(0, true);
  return crc32c(record.subarray(4), salt) === stored;
};

/** It says that the log need not have the segment: without it other records would be taken for an unflushed one. */
export const isEndType = (type: number): boolean =>
  type === RecordType.FLUSHED || type === RecordType.DROP || type === RecordType.RELEASED || type === RecordType.ADOPT;
