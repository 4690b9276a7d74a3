/**
 * The first 8192 bytes of a log file: the same 80 bytes at 0 and at 4096, so that one bad sector does not cost the file; zeros elsewhere.
 *
 *   0         4             8             12         16           24                32              40
 *   │ crc u32 │ magic "RLOG"│ version u32 │ salt u32 │ number u64 │ incarnation u64 │ createdMs u64 │ uid (16 bytes) │
 *   56                    64                  72
 *   │ previous number u64 │ previous size u64 │ 0 u64 │
 *
 * previous: the file whose batches come before this one's, and how many of its bytes were durable when this one was begun. What it has behind
 * them (a batch whose sync failed) does not count.
 */
import { crc32c } from '../chunk/checksum.ts';

/** Where the first batch begins. */
export const DATA_START = 8192;

const SECOND_COPY_AT = 4096;
const SIZE = 80;
const UID_SIZE = 16;

/** Stands where it is not known whether there was a previous file. */
const UNKNOWN = 2n ** 64n - 1n;

/** "RLOG" as the bytes lie. */
const MAGIC = 0x474f4c52;

export const LOG_VERSION = 1;

export interface FileHeader {
  readonly version: number;
  /** Seeds the checksums of the file's records. Random for each process. */
  readonly salt: number;
  readonly number: number;
  readonly incarnation: number;
  /** Wall clock, ms. */
  readonly createdMs: number;
  /** Of the data folder, 32 hex digits: the log of another disk is not taken for this one's. */
  readonly uid: string;
  /** Number 0 if there was none; undefined if that is not known. */
  readonly previous: PreviousFile | undefined;
}

export interface PreviousFile {
  readonly number: number;
  readonly size: number;
}

/** @returns the first DATA_START bytes of the file */
export const encodeFileHeader = (header: Omit<FileHeader, 'version'>): Uint8Array => {
  const bytes = new Uint8Array(DATA_START);
  const view = new DataView(bytes.buffer);
  view.setUint32(4, MAGIC, true);
  view.setUint32(8, LOG_VERSION, true);
  view.setUint32(12, header.salt, true);
  view.setBigUint64(16, BigInt(header.number), true);
  view.setBigUint64(24, BigInt(header.incarnation), true);
  view.setBigUint64(32, BigInt(header.createdMs), true);
  view.setBigUint64(56, header.previous ? BigInt(header.previous.number) : UNKNOWN, true);
  view.setBigUint64(64, BigInt(header.previous?.size ?? 0), true);
  bytes.set(Buffer.from(header.uid, 'hex').subarray(0, UID_SIZE), 40);
  view.setUint32(0, crc32c(bytes.subarray(4, SIZE)), true);
  bytes.copyWithin(SECOND_COPY_AT, 0, SIZE);
  return bytes;
};

/** `start`: the first DATA_START bytes, or as many as there are. undefined if neither copy is whole. */
export const decodeFileHeader = (start: Uint8Array): FileHeader | undefined =>
  decodeCopy(start.subarray(0, SIZE)) ?? decodeCopy(start.subarray(SECOND_COPY_AT, SECOND_COPY_AT + SIZE));

const decodeCopy = (bytes: Uint8Array): FileHeader | undefined => {
  if (bytes.length < SIZE) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, SIZE);
  if (view.getUint32(4, true) !== MAGIC || view.getUint32(0, true) !== crc32c(bytes.subarray(4))) return undefined;
  const previous = view.getBigUint64(56, true);
  return {
    version: view.getUint32(8, true),
    salt: view.getUint32(12, true),
    number: Number(view.getBigUint64(16, true)),
    incarnation: Number(view.getBigUint64(24, true)),
    createdMs: Number(view.getBigUint64(32, true)),
    uid: Buffer.from(bytes.buffer, bytes.byteOffset + 40, UID_SIZE).toString('hex'),
    previous:
      previous === UNKNOWN ? undefined : { number: Number(previous), size: Number(view.getBigUint64(64, true)) },
  };
};

/** `0000000000000041.log` */
export const fileNameOf = (number: number): string => `${String(number).padStart(16, '0')}.log`;

/** undefined for files that are none of the log's. */
export const numberOfFile = (name: string): number | undefined => {
  const match = /^(\d{16})\.log$/.exec(name);
  return match ? Number(match[1]) : undefined;
};
