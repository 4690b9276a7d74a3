import { RefusedError } from './refusal.ts';
import { badRequest, unexpectedEnd } from './wire.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** What is read in one go, so that no hostile text holds up the event loop (chosen; Loki's default for a line is 256 KiB). */
const STRING_BYTES_MAX = 8 * 1024 * 1024;
const BLANKS_MAX = 64 * 1024;
const SCALAR_BYTES_MAX = 4096;

/** Bytes looked at one by one before the native search takes over, whose call costs as much. */
const NEAR_BYTES = 48;

/** Hexadecimal digits → their value; others → −1. */
const HEX = new Int8Array(256).fill(-1);
for (const digit of '0123456789abcdefABCDEF') HEX[digit.charCodeAt(0)] = Number.parseInt(digit, 16);

const SCALAR = /^(?:true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)$/;

/** JSON's two-character escapes: the byte after the backslash → what it stands for. */
const ESCAPES = new Uint8Array(256);
for (const [letter, byte] of Object.entries({ '"': 34, '\\': 92, '/': 47, b: 8, f: 12, n: 10, r: 13, t: 9 })) {
  ESCAPES[letter.charCodeAt(0)] = byte;
}

/**
 * Walks JSON text as bytes. Strings are unescaped where they stand, which never makes them longer: a string is then a range of the
 * buffer. Bytes that are not UTF-8 stay as they are; half a surrogate pair becomes U+FFFD. Takes the buffer over.
 */
export class JsonCursor {
  readonly bytes: Buffer;
  /** The next byte to read. */
  at = 0;
  /** Bytes [stringStart, stringEnd) of the last string read. */
  stringStart = 0;
  stringEnd = 0;
  /** First backslash at or after some place the cursor has been at; the end if there is none. */
  #nextBackslash = -1;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  /** Goes back, over what has not been unescaped. */
  rewind(at: number): void {
    this.at = at;
    this.#nextBackslash = -1;
  }

  /** The byte after blanks; not taken. @throws RefusedError at the end */
  peek(): number {
    const stop = Math.min(this.bytes.length, this.at + BLANKS_MAX);
    while (this.at < stop) {
      const byte = this.bytes[this.at]!;
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return byte;
      this.at += 1;
    }
    if (this.at < this.bytes.length) throw badRequest('json: too many blanks');
    throw unexpectedEnd();
  }

  /** Takes the byte if it comes next. */
  take(byte: number): boolean {
    if (this.peek() !== byte) return false;
    this.at += 1;
    return true;
  }

  expect(byte: number): void {
    if (!this.take(byte)) throw this.unexpected(`expected ${String.fromCharCode(byte)}`);
  }

  /** Between the members of an object or an array. @returns false when `close` was taken: that was all */
  more(close: number): boolean {
    if (this.take(close)) return false;
    this.expect(0x2c);
    return true;
  }

  unexpected(wanted: string): RefusedError {
    const byte = this.bytes[this.at];
    const found = byte === undefined ? 'the end' : JSON.stringify(this.bytes.toString('latin1', this.at, this.at + 1));
    return badRequest(`json: ${wanted}, but found ${found} at offset ${this.at}`);
  }

  /** Reads a string and leaves its range. */
  string(): void {
    this.expect(QUOTE);
    const { bytes } = this;
    this.stringStart = this.at;
    const near = Math.min(bytes.length, this.at + NEAR_BYTES);
    let at = this.at;
    while (at < near) {
      const byte = bytes[at]!;
      if (byte === QUOTE || byte === BACKSLASH) break;
      at += 1;
    }
    if (at === near) at = this.#specialFrom(at);
    if (at - this.stringStart > STRING_BYTES_MAX) throw stringTooLong();
    if (bytes[at] === QUOTE) {
      this.stringEnd = at;
      this.at = at + 1;
    } else {
      this.#unescape(at);
    }
  }

  /** The last string as text. */
  stringText(): string {
    return this.bytes.toString('utf8', this.stringStart, this.stringEnd);
  }

  stringEquals(text: string): boolean {
    return this.stringEnd - this.stringStart === text.length && this.stringText() === text;
  }

  /**
   * Skips any value. Inside arrays and objects only strings and brackets are looked at: what is skipped is not checked further, as
   * Loki's decoder does not.
   */
  skipValue(): void {
    const byte = this.peek();
    if (byte === QUOTE) {
      this.#skipString();
    } else if (byte === 0x7b || byte === 0x5b) {
      this.#skipNested();
    } else {
      const start = this.at;
      while (this.at < this.bytes.length && !isDelimiter(this.bytes[this.at]!)) this.at += 1;
      if (this.at - start <= SCALAR_BYTES_MAX && SCALAR.test(this.bytes.toString('latin1', start, this.at))) return;
      this.at = start;
      throw this.unexpected('expected a value');
    }
  }

  #skipNested(): void {
    const stop = Math.min(this.bytes.length, this.at + STRING_BYTES_MAX);
    let depth = 0;
    while (this.at < stop) {
      const byte = this.bytes[this.at]!;
      if (byte === QUOTE) {
        this.#skipString();
        continue;
      }
      this.at += 1;
      if (byte === 0x7b || byte === 0x5b) depth += 1;
      else if (byte === 0x7d || byte === 0x5d) depth -= 1;
      if (depth === 0) return;
    }
    throw stop < this.bytes.length ? stringTooLong() : unexpectedEnd();
  }

  #skipString(): void {
    const stop = Math.min(this.bytes.length, this.at + STRING_BYTES_MAX);
    let at = this.at + 1;
    while (at < stop && this.bytes[at] !== QUOTE) at += this.bytes[at] === BACKSLASH ? 2 : 1;
    if (at >= stop) throw stop < this.bytes.length ? stringTooLong() : unexpectedEnd();
    this.at = at + 1;
  }

  /** The first quote or backslash at or after `at`. */
  #specialFrom(at: number): number {
    const quote = this.bytes.indexOf(QUOTE, at);
    if (quote < 0) throw unexpectedEnd();
    return Math.min(quote, this.backslashFrom(at));
  }

  /** The first backslash at or after `at`, or the end. `at` must not go back; cheap until a backslash is passed. */
  backslashFrom(at: number): number {
    if (this.#nextBackslash < at) {
      const found = this.bytes.indexOf(BACKSLASH, at);
      this.#nextBackslash = found < 0 ? this.bytes.length : found;
    }
    return this.#nextBackslash;
  }

  /** Goes on with a string whose first backslash is at `first`. */
  #unescape(first: number): void {
    const { bytes } = this;
    const stop = Math.min(bytes.length, this.stringStart + STRING_BYTES_MAX);
    let out = first;
    let at = first;
    while (at < stop) {
      const byte = bytes[at]!;
      if (byte === QUOTE) {
        this.stringEnd = out;
        this.at = at + 1;
        return;
      }
      if (byte !== BACKSLASH) {
        bytes[out] = byte;
        out += 1;
        at += 1;
        continue;
      }
      const kind = bytes[at + 1];
      if (kind === 0x75) {
        const codePoint = this.#codePointAt(at);
        at += codePoint > 0xffff ? 12 : 6;
        out = writeCharacter(bytes, codePoint, out);
        continue;
      }
      const simple = kind === undefined ? 0 : ESCAPES[kind]!;
      if (simple === 0) throw badRequest(`json: unknown escape at offset ${at}`);
      bytes[out] = simple;
      out += 1;
      at += 2;
    }
    throw stop < bytes.length ? stringTooLong() : unexpectedEnd();
  }

  /** The character of the `\uXXXX` at `at`, or of the two that are a surrogate pair. */
  #codePointAt(at: number): number {
    const unit = this.#hex4(at + 2);
    if (unit < 0xd800 || unit > 0xdfff) return unit;
    if (unit > 0xdbff || this.bytes[at + 6] !== BACKSLASH || this.bytes[at + 7] !== 0x75) return 0xfffd;
    const second = this.#hex4(at + 8);
    return second >= 0xdc00 && second <= 0xdfff ? 0x10000 + ((unit - 0xd800) << 10) + second - 0xdc00 : 0xfffd;
  }

  #hex4(at: number): number {
    const { bytes } = this;
    if (at + 4 > bytes.length) throw unexpectedEnd();
    const value =
      (HEX[bytes[at]!]! << 12) | (HEX[bytes[at + 1]!]! << 8) | (HEX[bytes[at + 2]!]! << 4) | HEX[bytes[at + 3]!]!;
    // A digit that is none has made it negative.
    if (value < 0) throw badRequest(`json: bad \\u escape at offset ${at}`);
    return value;
  }
}

/** @returns the end of the UTF-8 written at `at` */
const writeCharacter = (bytes: Uint8Array, codePoint: number, at: number): number => {
  if (codePoint < 0x80) {
    bytes[at] = codePoint;
    return at + 1;
  }
  const size = codePoint < 0x800 ? 2 : codePoint < 0x10000 ? 3 : 4;
  bytes[at] = (0xf00 >> size) | (codePoint >> (6 * (size - 1)));
  for (let index = 1; index < size; index += 1)
    bytes[at + index] = 0x80 | ((codePoint >> (6 * (size - 1 - index))) & 0x3f);
  return at + size;
};

const isDelimiter = (byte: number): boolean =>
  byte === 0x2c || byte === 0x7d || byte === 0x5d || byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);

const stringTooLong = (): RefusedError =>
  new RefusedError({ code: 'TOO_LARGE', text: `json: a string or value of more than ${STRING_BYTES_MAX} bytes` });
