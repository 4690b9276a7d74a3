/**
 * ReadRowsResponse messages → rows, without an object for each chunk: a query reads a million of them. Source: CellChunk in google/bigtable/v2/bigtable.proto.
 *
 *   message    1 chunk*
 *   chunk      1 row key, 2 {1 family}, 3 {1 qualifier}, 6 value, 7 size of a value that goes on in the next chunk, 8 reset row, 9 commit row
 *
 * What a chunk leaves out is as in the chunk before. A row is one once it is committed; a reset takes back what came of it.
 */
import { BigtableError } from './bigtable-status.ts';
import { IndexCells } from './index-cells.ts';

/** Gives one row after the other, in the same place: what is wanted of one is taken before the next. */
export class RowDecoder {
  readonly #cells = new IndexCells();
  /** Of each cell. */
  readonly #families: string[] = [];
  #bytes: Buffer = NOTHING;
  #at = 0;
  #key: string | undefined;
  #family = '';
  /** The qualifier of the chunk before, and where it lies. */
  #qualifierBytes: Buffer = NOTHING;
  #qualifierStart = 0;
  #qualifierEnd = 0;
  /** Of a value in several chunks. */
  #valueParts: Buffer[] = [];
  #isWhole = false;
  /** Of the last wrapped field. */
  #wrappedStart = 0;
  #wrappedEnd = 0;

  /** A whole message that nobody writes to; the one before must be taken. */
  feed(message: Buffer): void {
    this.#bytes = message;
    this.#at = 0;
  }

  get isTaken(): boolean {
    return this.#at >= this.#bytes.length;
  }

  /** Its bytes as latin1 text. */
  get key(): string {
    return this.#key ?? '';
  }

  /** Of the row, all shown. */
  get cells(): IndexCells {
    return this.#cells;
  }

  familyOf(index: number): string {
    return this.#families[index] ?? '';
  }

  /** Decodes on to the end of a row, of the message or of so many chunks. @returns true if `key` and `cells` are a row, until the next call */
  take(chunksMax: number): boolean {
    if (this.#isWhole) this.#forgetRow();
    for (let count = 0; count < chunksMax && !this.isTaken && !this.#isWhole; ) {
      const tag = this.#varint();
      if (tag === TAG_CHUNK) {
        this.#chunk(this.#varint());
        count += 1;
      } else this.#skip(tag);
    }
    return this.#isWhole;
  }

  #chunk(size: number): void {
    const end = this.#at + size;
    let valueStart = 0;
    let valueEnd = 0;
    let valueSize = 0;
    let isReset = false;
    let isCommit = false;
    let hasQualifier = false;
    while (this.#at < end) {
      const tag = this.#varint();
      switch (tag) {
        case TAG_ROW_KEY: {
          const start = this.#length();
          this.#key = latin1Slice.call(this.#bytes, start, this.#at);
          break;
        }
        case TAG_FAMILY:
          this.#wrapped();
          this.#family = latin1Slice.call(this.#bytes, this.#wrappedStart, this.#wrappedEnd);
          break;
        case TAG_QUALIFIER:
          this.#wrapped();
          this.#qualifierBytes = this.#bytes;
          this.#qualifierStart = this.#wrappedStart;
          this.#qualifierEnd = this.#wrappedEnd;
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
    this.#isWhole = isCommit;
  }

  #cell(start: number, end: number, goesOn: boolean): void {
    const parts = this.#valueParts;
    if (goesOn) {
      parts.push(this.#bytes.subarray(start, end));
      return;
    }
    this.#families.push(this.#family);
    if (parts.length === 0 && this.#qualifierBytes === this.#bytes) {
      this.#cells.add(this.#bytes, this.#qualifierStart, this.#qualifierEnd, start, end);
      return;
    }
    const qualifier = this.#qualifierBytes.subarray(this.#qualifierStart, this.#qualifierEnd);
    this.#cells.addParts(qualifier, Buffer.concat([...parts, this.#bytes.subarray(start, end)]));
    this.#valueParts = [];
  }

  #forgetRow(): void {
    this.#isWhole = false;
    this.#key = undefined;
    this.#valueParts = [];
    this.#families.length = 0;
    this.#cells.clear();
  }

  /** Bytes in a message of their own: StringValue, BytesValue. */
  #wrapped(): void {
    this.#wrappedStart = 0;
    this.#wrappedEnd = 0;
    const size = this.#varint();
    const end = this.#at + size;
    while (this.#at < end) {
      const tag = this.#varint();
      if (tag !== TAG_WRAPPED) {
        this.#skip(tag);
        continue;
      }
      this.#wrappedStart = this.#length();
      this.#wrappedEnd = this.#at;
    }
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

const INTERNAL = 13;

const malformed = (): BigtableError => new BigtableError(INTERNAL, 'a malformed answer to ReadRows');
