import { ColumnBuilder, SECONDS_MIN, tooMany, writeSizeBefore } from './column-builder.ts';
import type { PushedStream } from './entry-columns.ts';
import { JsonCursor } from './json-cursor.ts';
import { canonicalText, compareBytes } from './label-text.ts';
import { parseRfc3339 } from './time-text.ts';
import { badRequest } from './wire.ts';

const QUOTE = 0x22;
const COLON = 0x3a;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const LETTER_N = 0x6e;
const MINUS = 0x2d;

/** As in push-decoder.ts: what becomes an object, and what a step counts beyond the bytes it reads. */
const STREAMS_MAX = 100_000;
const LABELS_MAX = 4096;
const PAIRS_MAX = 65_536;
const STREAM_COST = 512;
const ENTRY_COST = 128;
const LABELS_COST = 4096;
const PAIR_COST = 512;

const ENTRY_BYTES_GUESS = 128;
const NO_LABELS = Buffer.from('{}');

/** int64 in the digits of a time: seconds, then nine digits of nanoseconds. */
const INT64_SECONDS_MAX = 9_223_372_036;
const INT64_NANOS_MAX = 854_775_807;

interface StreamRange {
  readonly labelText: Uint8Array;
  readonly first: number;
  readonly end: number;
}

/**
 * A push as JSON → columns that lie in the body (the API specification, 1.4 and 1.5): each line is unescaped where it stands, its
 * length put over the punctuation in front of it. Takes the bytes over. Text after the object is not looked at, as in Loki.
 */
export class PushJsonDecoder {
  readonly #cursor: JsonCursor;
  readonly #columns: ColumnBuilder;
  readonly #streams: StreamRange[] = [];
  readonly #isLegacy: boolean;
  readonly #walk: Generator<undefined, void>;
  #stop = 0;
  /** The label object read last, if it had no escapes: many senders repeat it for each line. */
  #labelsStart = 0;
  #labelsEnd = 0;
  #labelText: Buffer = NO_LABELS;

  /** @param isLegacy the shape of `/api/prom/push`: `labels` as text, `entries` of `ts` and `line` */
  constructor(bytes: Buffer, isLegacy: boolean) {
    this.#cursor = new JsonCursor(bytes);
    this.#columns = new ColumnBuilder(bytes, Math.ceil(bytes.length / ENTRY_BYTES_GUESS));
    this.#isLegacy = isLegacy;
    this.#walk = this.#request();
  }

  /** As PushDecoder.step. @throws RefusedError BAD_REQUEST, TOO_LARGE */
  step(budget: number): boolean {
    this.#stop = this.#cursor.at + budget;
    return this.#walk.next().done === true;
  }

  streams(): readonly PushedStream[] {
    const columns = this.#columns.build();
    return this.#streams.map(({ labelText, first, end }) => ({ columns, first, end, labelText }));
  }

  *#request(): Generator<undefined, void> {
    const cursor = this.#cursor;
    if (cursor.bytes.length === 0) throw badRequest('EOF');
    if (this.#takeNull()) return;
    if (cursor.peek() !== OPEN_OBJECT) {
      const found = String.fromCodePoint(cursor.bytes.toString('utf8', cursor.at, cursor.at + 4).codePointAt(0) ?? 0);
      throw badRequest(`readObjectStart: expect { or n, but found ${found}`);
    }
    for (const _ of this.#members()) {
      if (cursor.stringEquals('streams')) yield* this.#streamList();
      else cursor.skipValue();
      if (cursor.at >= this.#stop) yield;
    }
  }

  *#streamList(): Generator<undefined, void> {
    for (const _ of this.#elements()) {
      yield* this.#stream();
      if (this.#cursor.at >= this.#stop) yield;
    }
  }

  *#stream(): Generator<undefined, void> {
    const cursor = this.#cursor;
    if (this.#streams.length === STREAMS_MAX) throw tooMany('streams in one push');
    const [labelsKey, entriesKey] = this.#isLegacy ? ['labels', 'entries'] : ['stream', 'values'];
    this.#stop -= STREAM_COST;
    const first = this.#columns.count;
    let labelText: Uint8Array = NO_LABELS;
    for (const _ of this.#members()) {
      if (cursor.stringEquals(labelsKey)) labelText = this.#isLegacy ? this.#legacyLabels() : this.#labels();
      else if (cursor.stringEquals(entriesKey)) yield* this.#entries();
      else cursor.skipValue();
      if (cursor.at >= this.#stop) yield;
    }
    this.#streams.push({ labelText, first, end: this.#columns.count });
  }

  *#entries(): Generator<undefined, void> {
    const cursor = this.#cursor;
    if (this.#takeNull()) return;
    cursor.expect(OPEN_ARRAY);
    if (cursor.take(CLOSE_ARRAY)) return;
    do {
      this.#stop -= ENTRY_COST;
      if (this.#isLegacy) this.#legacyEntry();
      else this.#entry();
      if (cursor.at >= this.#stop) yield;
    } while (cursor.more(CLOSE_ARRAY));
  }

  /** `["1710028801000000000", "line", {"name": "value"}, …]` */
  #entry(): void {
    const cursor = this.#cursor;
    cursor.expect(OPEN_ARRAY);
    const { seconds, nanos } = this.#nanoseconds();
    if (!cursor.more(CLOSE_ARRAY)) {
      this.#columns.add(this.#emptyLine(), seconds, nanos);
      return;
    }
    const lineOffset = this.#line();
    if (cursor.more(CLOSE_ARRAY)) {
      this.#metadata();
      while (cursor.more(CLOSE_ARRAY)) cursor.skipValue();
    }
    this.#columns.add(lineOffset, seconds, nanos);
  }

  /** `{"ts": "2024-03-10T00:00:01.5Z", "line": "…"}` */
  #legacyEntry(): void {
    const cursor = this.#cursor;
    let time = { seconds: SECONDS_MIN, nanos: 0 };
    let lineOffset = -1;
    for (const _ of this.#members()) {
      if (cursor.stringEquals('ts')) {
        cursor.string();
        const parsed = parseRfc3339(cursor.stringText());
        if (!parsed) throw badRequest(`json: parsing time ${JSON.stringify(cursor.stringText())}: not RFC 3339`);
        time = parsed;
      } else if (cursor.stringEquals('line')) {
        lineOffset = this.#line();
      } else {
        cursor.skipValue();
      }
    }
    this.#columns.add(lineOffset < 0 ? this.#emptyLine() : lineOffset, time.seconds, time.nanos);
  }

  /** Reads a string and writes its length in front of it. At least five bytes of this entry stand there, already read. */
  #line(): number {
    const cursor = this.#cursor;
    cursor.string();
    return writeSizeBefore(cursor.bytes, cursor.stringStart, cursor.stringEnd - cursor.stringStart);
  }

  /** The bracket just read becomes the length of an empty line. */
  #emptyLine(): number {
    this.#cursor.bytes[this.#cursor.at - 1] = 0;
    return this.#cursor.at - 1;
  }

  /** A string of decimal digits, maybe with a minus: nanoseconds as an int64. */
  #nanoseconds(): { seconds: number; nanos: number } {
    const cursor = this.#cursor;
    if (cursor.peek() !== QUOTE) throw cursor.unexpected('expected the time as a string');
    cursor.string();
    const { bytes, stringEnd } = cursor;
    const isNegative = bytes[cursor.stringStart] === MINUS;
    const start = isNegative ? cursor.stringStart + 1 : cursor.stringStart;
    const split = Math.max(start, stringEnd - 9);
    const seconds = decimal(bytes, start, split);
    const nanos = decimal(bytes, split, stringEnd);
    const isTooLarge =
      seconds > INT64_SECONDS_MAX || (seconds === INT64_SECONDS_MAX && nanos > INT64_NANOS_MAX + (isNegative ? 1 : 0));
    if (start === stringEnd || Number.isNaN(seconds + nanos) || isTooLarge) {
      throw badRequest(`json: ${JSON.stringify(cursor.stringText())} is no time in nanoseconds`);
    }
    return isNegative ? { seconds: -seconds, nanos: -nanos } : { seconds, nanos };
  }

  /** An object of strings; the last of equal names counts. */
  #metadata(): void {
    const cursor = this.#cursor;
    const byName = new Map<string, string>();
    for (const _ of this.#members()) {
      const name = cursor.stringText();
      cursor.string();
      byName.set(name, cursor.stringText());
      this.#stop -= PAIR_COST;
      if (byName.size > PAIRS_MAX) throw tooMany('names in the metadata of one entry');
    }
    if (byName.size > 0) this.#columns.addMetadata([...byName].flat());
  }

  /** An object; values that are no strings keep their JSON text; the last of equal names counts. */
  #labels(): Buffer {
    const cursor = this.#cursor;
    if (cursor.peek() !== OPEN_OBJECT) throw cursor.unexpected('expected the labels as an object');
    const { bytes, at: start } = cursor;
    const sameEnd = start + this.#labelsEnd - this.#labelsStart;
    const isSame =
      sameEnd > start &&
      sameEnd <= bytes.length &&
      bytes.compare(bytes, this.#labelsStart, this.#labelsEnd, start, sameEnd) === 0;
    if (isSame) {
      cursor.at = sameEnd;
      return this.#labelText;
    }
    const firstEscape = cursor.backslashFrom(start);
    const byName = new Map<string, string>();
    for (const _ of this.#members()) {
      const name = cursor.stringText();
      byName.set(name, this.#labelValue());
      this.#stop -= PAIR_COST;
      if (byName.size > LABELS_MAX) throw tooMany('labels in one stream');
    }
    this.#stop -= LABELS_COST;
    const names = [...byName.keys()].sort(compareBytes);
    const labelText = Buffer.from(canonicalText(names.flatMap((name) => [name, byName.get(name) ?? ''])));
    if (firstEscape >= cursor.at) {
      this.#labelsStart = start;
      this.#labelsEnd = cursor.at;
      this.#labelText = labelText;
    }
    return labelText;
  }

  #labelValue(): string {
    const cursor = this.#cursor;
    if (cursor.peek() === QUOTE) {
      cursor.string();
      return cursor.stringText();
    }
    const start = cursor.at;
    cursor.skipValue();
    return cursor.bytes.toString('utf8', start, cursor.at);
  }

  #legacyLabels(): Uint8Array {
    this.#cursor.string();
    return this.#cursor.bytes.subarray(this.#cursor.stringStart, this.#cursor.stringEnd);
  }

  /** Stops at the value of each member of an object; the key is the cursor's last string. */
  *#members(): Generator<undefined, void> {
    const cursor = this.#cursor;
    cursor.expect(OPEN_OBJECT);
    if (cursor.take(CLOSE_OBJECT)) return;
    do {
      cursor.string();
      cursor.expect(COLON);
      yield;
    } while (cursor.more(CLOSE_OBJECT));
  }

  /** Stops at each element of an array, or of `null`, which has none. */
  *#elements(): Generator<undefined, void> {
    const cursor = this.#cursor;
    if (this.#takeNull()) return;
    cursor.expect(OPEN_ARRAY);
    if (cursor.take(CLOSE_ARRAY)) return;
    do yield;
    while (cursor.more(CLOSE_ARRAY));
  }

  #takeNull(): boolean {
    if (this.#cursor.peek() !== LETTER_N) return false;
    this.#cursor.skipValue();
    return true;
  }
}

/** The number that the digits [start, end) write, 0 for none, NaN for other characters. Past 2⁵³ it is only large. */
const decimal = (bytes: Uint8Array, start: number, end: number): number => {
  let value = 0;
  for (let at = start; at < end; at += 1) {
    const digit = bytes[at]! - 0x30;
    if (digit < 0 || digit > 9) return Number.NaN;
    value = value * 10 + digit;
  }
  return value;
};
