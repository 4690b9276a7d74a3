/**
 * ReadRowsResponse messages → rows, without an object for each chunk: a query reads a million of them. Source: CellChunk in google/bigtable/v2/bigtable.proto.
 *
 *   message    1 chunk*
 *   chunk      1 row key, 2 {1 family}, 3 {1 qualifier}, 6 value, 7 size of a value that goes on in the next chunk, 8 reset row, 9 commit row
 *
 * What a chunk leaves out is as in the chunk before. A row is one once it is committed; a reset takes back what came of it.
 */
import { isAscii } from 'node:buffer';
import { textOfBytes } from '../protocol/byte-text.ts';
import { BigtableError } from './bigtable-status.ts';

export interface DecodedRow<Cell> {
  /** Its bytes as latin1 text. */
  readonly key: string;
  readonly cells: readonly Cell[];
}

export class RowDecoder<Cell> {
  readonly #cellOf: (family: string, qualifier: string, value: string) => Cell;
  #bytes: Buffer = NOTHING;
  #at = 0;
  #key: string | undefined;
  #family = '';
  #qualifier = '';
  /** Of a value in several chunks. */
  #valueParts: Buffer[] = [];
  #cells: Cell[] = [];

  constructor(cellOf: (family: string, qualifier: string, value: string) => Cell) {
    this.#cellOf = cellOf;
  }

  /** A whole message; the one before must be taken. */
  feed(message: Buffer): void {
    this.#bytes = message;
    this.#at = 0;
  }

  get isTaken(): boolean {
    return this.#at >= this.#bytes.length;
  }

  /** Adds the rows that the next chunks of the message complete. @returns how many chunks those were, at most so many */
  take(chunksMax: number, rows: DecodedRow<Cell>[]): number {
    let count = 0;
    for (; count < chunksMax && !this.isTaken; count++) {
      const tag = this.#varint();
      if (tag === TAG_CHUNK) this.#chunk(this.#varint(), rows);
      else this.#skip(tag);
    }
    return count;
  }

  #chunk(size: number, rows: DecodedRow<Cell>[]): void {
    const end = this.#at + size;
    let [valueStart, valueEnd, valueSize, isReset, isCommit, hasQualifier] = [0, 0, 0, false, false, false];
    while (this.#at < end) {
      const tag = this.#varint();
      switch (tag) {
        case TAG_ROW_KEY: {
          const start = this.#length();
          this.#key = latin1Slice.call(this.#bytes, start, this.#at);
          break;
        }
        case TAG_FAMILY:
          this.#family = this.#wrapped();
          break;
        case TAG_QUALIFIER:
          this.#qualifier = this.#wrapped();
          hasQualifier = true;
          break;
        case TAG_VALUE:
          valueStart = this.#length();
          valueEnd = this.#at;
          break;
        case TAG_VALUE_SIZE:
          valueSize = this.#varint();
          break;
        case TAG_RESET:
          isReset = this.#varint() !== 0;
          break;
        case TAG_COMMIT:
          isCommit = this.#varint() !== 0;
          break;
        default:
          this.#skip(tag);
      }
    }
    if (this.#at !== end) throw malformed();
    if (isReset) {
      this.#forgetRow();
      return;
    }
    // A row's last chunk may hold nothing but its end.
    if (hasQualifier || valueEnd > valueStart || this.#valueParts.length > 0) {
      this.#cell(valueStart, valueEnd, valueSize > 0);
    }
    if (!isCommit) return;
    rows.push({ key: this.#key ?? '', cells: this.#cells });
    this.#forgetRow();
  }

  #cell(start: number, end: number, goesOn: boolean): void {
    if (goesOn) {
      this.#valueParts.push(this.#bytes.subarray(start, end));
      return;
    }
    let value: string;
    if (this.#valueParts.length === 0) value = textOf(this.#bytes, start, end);
    else {
      value = textOfBytes(Buffer.concat([...this.#valueParts, this.#bytes.subarray(start, end)]));
      this.#valueParts = [];
    }
    this.#cells.push(this.#cellOf(this.#family, this.#qualifier, value));
  }

  #forgetRow(): void {
    this.#key = undefined;
    this.#valueParts = [];
    this.#cells = [];
  }

  /** Text in a message of its own: StringValue, BytesValue. */
  #wrapped(): string {
    const size = this.#varint();
    const end = this.#at + size;
    let text = '';
    while (this.#at < end) {
      const tag = this.#varint();
      if (tag !== TAG_WRAPPED) {
        this.#skip(tag);
        continue;
      }
      const start = this.#length();
      text = textOf(this.#bytes, start, this.#at);
    }
    return text;
  }

  /** Passes over a field with a length. @returns where it begins */
  #length(): number {
    const size = this.#varint();
    const start = this.#at;
    this.#at += size;
    if (this.#at > this.#bytes.length) throw malformed();
    return start;
  }

  #skip(tag: number): void {
    const type = tag & 7;
    if (type === 0) this.#varint();
    else if (type === 1) this.#at += 8;
    else if (type === 2) this.#length();
    else if (type === 5) this.#at += 4;
    else throw malformed();
  }

  /** Exact below 2^53: sizes and tags are; of a timestamp only the end matters. */
  #varint(): number {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) throw malformed();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
  }
}

const NOTHING = Buffer.alloc(0);

/** Field number and wire type. */
const TAG_CHUNK = 0x0a;
const TAG_ROW_KEY = 0x0a;
const TAG_FAMILY = 0x12;
const TAG_QUALIFIER = 0x1a;
const TAG_VALUE = 0x32;
const TAG_VALUE_SIZE = 0x38;
const TAG_RESET = 0x40;
const TAG_COMMIT = 0x48;
const TAG_WRAPPED = 0x0a;

const { latin1Slice } = Buffer.prototype as unknown as {
  latin1Slice(this: Uint8Array, start: number, end: number): string;
};

/** Most values are one character and most texts short: one call each, without a view of the bytes. */
const textOf = (bytes: Buffer, start: number, end: number): string => {
  if (end - start > SHORT_TEXT) {
    const part = bytes.subarray(start, end);
    return isAscii(part) ? latin1Slice.call(part, 0, part.length) : textOfBytes(part);
  }
  const text = latin1Slice.call(bytes, start, end);
  return ASCII.test(text) ? text : textOfBytes(bytes, start, end);
};

const SHORT_TEXT = 256;

const ASCII = /^[\0-\x7f]*$/;

const INTERNAL = 13;

const malformed = (): BigtableError => new BigtableError(INTERNAL, 'a malformed answer to ReadRows');
