import { ColumnBuilder, SECONDS_MIN, tooMany, writeSizeBefore } from './column-builder.ts';
import { addCommonEntry } from './common-entry.ts';
import type { PushedStream } from './entry-columns.ts';
import type { RefusedError } from './refusal.ts';
import { TextCache } from './text-cache.ts';
import {
  badRequest,
  cursorAfterRead,
  readInt32,
  readInt64,
  readSize,
  readTag,
  skipValue,
  wrongWireType,
} from './wire.ts';

/** First second of the year 10000; the timestamps of protobuf end before it. */
const SECONDS_END = 253_402_300_800;
const NANOS_END = 1_000_000_000;

/** Bytes of wire per entry that the first columns are sized for; lines of about 80 bytes. */
const ENTRY_BYTES_GUESS = 96;

/** Safety valves: what is read in one go, without a look at the budget, and what becomes an object (chosen, far above real pushes). */
const STREAMS_MAX = 100_000;
const ENTRY_FIELDS_MAX = 65_536;

/** What costs more than its bytes is counted as more bytes of the budget; one byte is about 1 ns (measured on bodies made of nothing else). */
const STREAM_COST = 128;
const ODD_ENTRY_COST = 64;
const FIELD_COST = 32;

const NO_LABELS = Buffer.alloc(0);

interface StreamRange {
  readonly labelText: Uint8Array;
  readonly first: number;
  readonly end: number;
}

/**
 * logproto.PushRequest → columns, in one pass over its bytes (numbers in the API specification, 1.3).
 *
 * Takes the bytes over: the columns lie in them, and they are written to where an entry has no line (a zero length is put over bytes
 * already read) or a length is written longer than need be.
 */
export class PushDecoder {
  readonly #bytes: Buffer;
  readonly #columns: ColumnBuilder;
  readonly #streams: StreamRange[] = [];
  #at = 0;
  /** Where this step ends. Moves towards the cursor as costs are counted. */
  #stop = 0;
  /** End of the stream being read; 0 between streams. */
  #streamEnd = 0;
  #labelText: Uint8Array = NO_LABELS;
  #first = 0;
  #texts: TextCache | undefined;
  /** The first `#pairTexts` are the pairs of the entry being read. A fresh array would grow in larger steps than an entry has pairs. */
  readonly #pairs: string[] = [];
  #pairTexts = 0;
  #seconds = 0;
  #nanos = 0;
  /** Fields read of the current entry. */
  #fields = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.#columns = new ColumnBuilder(bytes, Math.ceil(bytes.length / ENTRY_BYTES_GUESS));
  }

  /**
   * Reads on for about `budget` bytes, so that a large body can be read in turns of the event loop: 1 MiB is about 1 ms.
   * @returns true when all is read
   * @throws RefusedError BAD_REQUEST with Loki's text, TOO_LARGE; nothing of the push is usable then
   */
  step(budget: number): boolean {
    this.#stop = this.#at + budget;
    while (this.#at < this.#bytes.length) {
      if (this.#streamEnd === 0) this.#requestField();
      else if (this.#at < this.#streamEnd) this.#entries();
      if (this.#streamEnd > 0 && this.#at >= this.#streamEnd) this.#closeStream();
      if (this.#at >= this.#stop) break;
    }
    return this.#at >= this.#bytes.length;
  }

  /** The streams, once `step` has returned true. */
  streams(): readonly PushedStream[] {
    const columns = this.#columns.build();
    return this.#streams.map(({ labelText, first, end }) => ({ columns, first, end, labelText }));
  }

  #closeStream(): void {
    if (this.#streams.length === STREAMS_MAX) throw tooMany('streams in one push');
    this.#stop -= STREAM_COST;
    this.#streams.push({ labelText: this.#labelText, first: this.#first, end: this.#columns.count });
    this.#streamEnd = 0;
  }

  #requestField(): void {
    const bytes = this.#bytes;
    const tag = readTag(bytes, this.#at, bytes.length, 'PushRequest');
    this.#stop -= FIELD_COST;
    if (tag === 10) {
      const size = readSize(bytes, cursorAfterRead(), bytes.length);
      this.#at = cursorAfterRead();
      this.#streamEnd = this.#at + size;
      this.#labelText = NO_LABELS;
      this.#first = this.#columns.count;
      return;
    }
    if (tag >> 3 === 1) throw wrongWireType(tag, 'Streams');
    if (tag >> 3 === 2 && tag !== 18) throw wrongWireType(tag, 'Format');
    skipValue(bytes, cursorAfterRead(), bytes.length, tag & 7);
    this.#at = cursorAfterRead();
  }

  /** Fields of a stream up to its end or a little past the end of the step. */
  #entries(): void {
    const bytes = this.#bytes;
    const end = this.#streamEnd;
    let at = this.#at;
    while (at < end && at < this.#stop) {
      const common = addCommonEntry(bytes, at, end, this.#columns);
      if (common > 0) {
        at = common;
        continue;
      }
      this.#stop -= ODD_ENTRY_COST;
      if (bytes[at] !== 0x12) {
        at = this.#streamField(at, end);
        continue;
      }
      const size = readSize(bytes, at + 1, end);
      at = cursorAfterRead();
      const entryEnd = at + size;
      const lineOffset = this.#entry(at, entryEnd);
      this.#columns.add(lineOffset, this.#seconds, this.#nanos);
      at = entryEnd;
    }
    this.#at = at;
  }

  /** Any field of a stream but a well-formed entry. @returns its end */
  #streamField(at: number, end: number): number {
    const tag = readTag(this.#bytes, at, end, 'StreamAdapter');
    this.#stop -= FIELD_COST;
    if (this.#isPadded(at, tag)) return cursorAfterRead() - 1;
    if (tag === 10) {
      const size = readSize(this.#bytes, cursorAfterRead(), end);
      const start = cursorAfterRead();
      this.#labelText = this.#bytes.subarray(start, start + size);
      return start + size;
    }
    const field = tag >> 3;
    if (field === 1) throw wrongWireType(tag, 'Labels');
    if (field === 2) throw wrongWireType(tag, 'Entries');
    if (field === 3 && tag !== 24) throw wrongWireType(tag, 'Hash');
    skipValue(this.#bytes, cursorAfterRead(), end, tag & 7);
    return cursorAfterRead();
  }

  /** Reads the entry [start, end); its time is left in the fields. @returns where the length of its line stands */
  #entry(start: number, end: number): number {
    const bytes = this.#bytes;
    let at = start;
    let lineOffset = -1;
    this.#seconds = SECONDS_MIN;
    this.#nanos = 0;
    this.#fields = 0;
    while (at < end) {
      const tag = bytes[at]!;
      if (tag === 0x12) {
        const size = readSize(bytes, at + 1, end);
        const lineStart = cursorAfterRead();
        this.#countField();
        lineOffset = at + 1;
        // A length may be padded (0x81 0x80 0x00): readers of the columns expect it minimal.
        if (lineStart - at > 2 && bytes[lineStart - 1] === 0) lineOffset = writeSizeBefore(bytes, lineStart, size);
        at = lineStart + size;
      } else if (tag === 0x0a) {
        const size = readSize(bytes, at + 1, end);
        at = cursorAfterRead();
        this.#countField();
        this.#timestamp(at, at + size);
        at += size;
      } else {
        at = this.#entryField(at, end);
      }
    }
    if (this.#pairTexts > 0) {
      this.#columns.addMetadata(this.#pairs.slice(0, this.#pairTexts));
      this.#pairTexts = 0;
    }
    if (lineOffset >= 0) return lineOffset;
    // No line: the last byte of the entry's own length, already read, becomes the length of an empty one.
    bytes[start - 1] = 0;
    return start - 1;
  }

  #timestamp(start: number, end: number): void {
    const bytes = this.#bytes;
    let at = start;
    let seconds = 0;
    let nanos = 0;
    while (at < end) {
      const tag = bytes[at]!;
      if (tag === 0x08) {
        seconds = readInt64(bytes, at + 1, end);
        at = cursorAfterRead();
      } else if (tag === 0x10) {
        nanos = readInt32(bytes, at + 1, end);
        at = cursorAfterRead();
      } else {
        at = this.#timestampField(at, end);
      }
      if (at - start > 1024) this.#countField();
    }
    if (nanos < 0 || nanos >= NANOS_END || seconds < SECONDS_MIN || seconds >= SECONDS_END) {
      throw timestampRefusal(seconds, nanos);
    }
    this.#seconds = seconds;
    this.#nanos = nanos;
  }

  /** Any field of a timestamp but its well-formed two. @returns its end */
  #timestampField(at: number, end: number): number {
    const tag = readTag(this.#bytes, at, end, 'Timestamp');
    if (this.#isPadded(at, tag)) return cursorAfterRead() - 1;
    if (tag >> 3 === 1) throw wrongWireType(tag, 'Seconds');
    if (tag >> 3 === 2) throw wrongWireType(tag, 'Nanos');
    skipValue(this.#bytes, cursorAfterRead(), end, tag & 7);
    return cursorAfterRead();
  }

  /** Any field of an entry but a well-formed time or line. @returns its end */
  #entryField(at: number, end: number): number {
    const tag = readTag(this.#bytes, at, end, 'EntryAdapter');
    this.#countField();
    if (this.#isPadded(at, tag)) return cursorAfterRead() - 1;
    if (tag === 26) {
      const size = readSize(this.#bytes, cursorAfterRead(), end);
      const start = cursorAfterRead();
      this.#pair(start, start + size);
      return start + size;
    }
    const field = tag >> 3;
    if (field === 1) throw wrongWireType(tag, 'Timestamp');
    if (field === 2) throw wrongWireType(tag, 'Line');
    if (field === 3) throw wrongWireType(tag, 'StructuredMetadata');
    if (field === 4 && tag !== 34) throw wrongWireType(tag, 'Parsed');
    skipValue(this.#bytes, cursorAfterRead(), end, tag & 7);
    return cursorAfterRead();
  }

  /** LabelPairAdapter [start, end). Text that is not UTF-8 gets U+FFFD. */
  #pair(start: number, end: number): void {
    const bytes = this.#bytes;
    let at = start;
    let name = '';
    let value = '';
    while (at < end) {
      const tag = readTag(bytes, at, end, 'LabelPairAdapter');
      const field = tag >> 3;
      this.#countField();
      if (tag === 10 || tag === 18) {
        const size = readSize(bytes, cursorAfterRead(), end);
        at = cursorAfterRead() + size;
        const text = this.#textAt(at - size, size);
        if (field === 1) name = text;
        else value = text;
        continue;
      }
      if (field === 1) throw wrongWireType(tag, 'Name');
      if (field === 2) throw wrongWireType(tag, 'Value');
      skipValue(bytes, cursorAfterRead(), end, tag & 7);
      at = cursorAfterRead();
    }
    this.#pairs[this.#pairTexts] = name;
    this.#pairs[this.#pairTexts + 1] = value;
    this.#pairTexts += 2;
  }

  #textAt(start: number, size: number): string {
    this.#texts ??= new TextCache(this.#bytes);
    return this.#texts.textAt(start, size);
  }

  #countField(): void {
    this.#fields += 1;
    this.#stop -= FIELD_COST;
    if (this.#fields > ENTRY_FIELDS_MAX) throw tooMany('fields in one entry');
  }

  /** A known tag written with more bytes than it needs is made short in place, to be read again from its last byte. */
  #isPadded(at: number, tag: number): boolean {
    if (tag >= 0x80 || cursorAfterRead() - at === 1) return false;
    this.#bytes[cursorAfterRead() - 1] = tag;
    return true;
  }
}

const timestampRefusal = (seconds: number, nanos: number): RefusedError => {
  const shown = `timestamp: &types.Timestamp{Seconds: ${BigInt(seconds)},\nNanos: ${nanos},\n}`;
  if (seconds < SECONDS_MIN) return badRequest(`${shown} before 0001-01-01`);
  if (seconds >= SECONDS_END) return badRequest(`${shown} after 10000-01-01`);
  return badRequest(`${shown}: nanos not in range [0, 1e9)`);
};

/** Reads a whole PushRequest at once. @throws RefusedError BAD_REQUEST */
export const decodePushRequest = (bytes: Buffer): readonly PushedStream[] => {
  const decoder = new PushDecoder(bytes);
  decoder.step(Number.POSITIVE_INFINITY);
  return decoder.streams();
};
