/**
 * Wide rows in one ordered key space. A row is a run of keys with the same beginning, in order of the range value's bytes:
 *
 *   short  table 00 | size of hash value: u16 big-endian | hash value | range value      →  value
 *   long   table 00 | FF FF | SHA-256 of the hash value: 32 bytes     | range value      →  size: u16 | hash value | value
 *
 * The size in front keeps one row's keys out of a row whose hash value merely begins alike. A hash value that would leave too little of
 * the key for the range value is replaced by its SHA-256 and kept in the value, so that the row can still be told.
 */
import { createHash } from 'node:crypto';
import { bytesOfText, textOfBytes } from '../protocol/byte-text.ts';
import { RefusedError } from '../protocol/refusal.ts';
import { bytesAfterPrefix } from './bytes-after-prefix.ts';
import type { IndexCell } from './index-cells.ts';
import type { IndexRow } from './index-store.ts';

/** What LMDB takes with 4 KiB pages. */
const KEY_SIZE_MAX = 1_978;

/** Chosen: tenant and day are below 250 bytes, so only label names above 600 bytes become long rows; 1 KiB is left for range values. */
const SHORT_ROW_SIZE_MAX = 900;

const HASH_VALUE_SIZE_MAX = 0xfffe;

export interface RowKey {
  /** What all keys of the row begin with. */
  readonly prefix: Buffer;
  /** Set in front of every value of a long row; empty otherwise. */
  readonly valuePrefix: Buffer;
}

const NOTHING = Buffer.alloc(0);

/** @throws RefusedError BAD_REQUEST if the table's name holds a zero byte or the hash value has 64 KiB or more */
export const rowKey = (table: string, hashValue: string): RowKey => {
  const tableBytes = bytesOfText(`${table}\0`);
  const hashBytes = bytesOfText(hashValue);
  if (table.includes('\0') || table === '' || hashBytes.length > HASH_VALUE_SIZE_MAX) {
    throw new RefusedError({ code: 'BAD_REQUEST', text: 'index entry with a malformed table name or hash value' });
  }
  const size = Buffer.alloc(2);
  size.writeUInt16BE(hashBytes.length);
  if (tableBytes.length + 2 + hashBytes.length <= SHORT_ROW_SIZE_MAX) {
    return { prefix: Buffer.concat([tableBytes, size, hashBytes]), valuePrefix: NOTHING };
  }
  const digest = createHash('sha256').update(hashBytes).digest();
  const valuePrefix = Buffer.concat([size, hashBytes]);
  return { prefix: Buffer.concat([tableBytes, Buffer.of(0xff, 0xff), digest]), valuePrefix };
};

/** @throws RefusedError BAD_REQUEST if the range value is too long for a key */
export const cellKey = (row: RowKey, rangeValue: string): Buffer => {
  const key = Buffer.concat([row.prefix, bytesOfText(rangeValue)]);
  if (key.length > KEY_SIZE_MAX) {
    const text = `index entry with a range value of ${key.length - row.prefix.length} bytes: the most is ${KEY_SIZE_MAX - row.prefix.length}`;
    throw new RefusedError({ code: 'BAD_REQUEST', text });
  }
  return key;
};

export const cellValue = (row: RowKey, value: string): Buffer => {
  const bytes = bytesOfText(value);
  return row.valuePrefix.length === 0 ? bytes : Buffer.concat([row.valuePrefix, bytes]);
};

/** The rows of short keys of a table (bytes as latin1 text) that end so; keys come in order. */
export const rowsOfKeys = (
  table: string,
  found: readonly { readonly key: string; readonly value: string }[],
  rangeEnd: string,
): readonly IndexRow[] => {
  const rows: { readonly start: string; readonly hashValue: string; readonly cells: IndexCell[] }[] = [];
  const sizeAt = table.length + 1;
  for (const { key, value } of found) {
    if (!key.endsWith(rangeEnd)) continue;
    const size = key.charCodeAt(sizeAt) * 256 + key.charCodeAt(sizeAt + 1);
    const rowEnd = sizeAt + 2 + size;
    if (size > HASH_VALUE_SIZE_MAX || key.length < rowEnd + rangeEnd.length) continue;
    const start = key.slice(0, rowEnd);
    let row = rows.at(-1);
    if (row?.start !== start) {
      row = { start, hashValue: textOfLatin1(key.slice(sizeAt + 2, rowEnd)), cells: [] };
      rows.push(row);
    }
    row.cells.push({ rangeValue: textOfLatin1(key.slice(rowEnd)), value: textOfLatin1(value) });
  }
  return rows;
};

const ASCII = /^[\0-\x7f]*$/;

const textOfLatin1 = (bytes: string): string => (ASCII.test(bytes) ? bytes : textOfBytes(Buffer.from(bytes, 'latin1')));

/** Keys [start, end) hold the row's range values with `rangePrefix`, from `rangeStart` on. */
export const keyRange = (row: RowKey, rangePrefix: string, rangeStart: string): { start: Buffer; end: Buffer } => {
  const first = Buffer.concat([row.prefix, bytesOfText(rangePrefix)]);
  const from = rangeStart === '' ? first : Buffer.concat([row.prefix, bytesOfText(rangeStart)]);
  return { start: Buffer.compare(from, first) > 0 ? from : first, end: bytesAfterPrefix(first) };
};

/** The least key greater than `key`. */
export const keyAfter = (key: Buffer): Buffer => Buffer.concat([key, Buffer.of(0)]);
