/**
 * Finds a needle inside one line. Buffer.indexOf has no end bound and costs a native call, so short lines are searched here
 * (Horspool: about one probe per needle length).
 */

const LONG_LINE = 2048;

const lowered = (byte: number): number => (byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte);

export class ByteFinder {
  readonly needle: Buffer;
  readonly #skips = new Uint8Array(256);
  readonly #ignoresCase: boolean;

  /** With `ignoresCase` ASCII letters match in both cases; other bytes only themselves. */
  constructor(needle: Buffer, ignoresCase = false) {
    this.#ignoresCase = ignoresCase;
    this.needle = ignoresCase ? Buffer.from(needle.map(lowered)) : needle;
    const length = needle.length;
    this.#skips.fill(Math.min(length, 255));
    for (let index = 0; index < length - 1; index++) {
      const skip = Math.min(length - 1 - index, 255);
      const byte = this.needle[index]!;
      this.#skips[byte] = skip;
      if (ignoresCase && byte >= 0x61 && byte <= 0x7a) this.#skips[byte - 0x20] = skip;
    }
  }

  /** Position of the first needle in [start, end), or -1. */
  indexIn(bytes: Buffer, start: number, end: number): number {
    const length = this.needle.length;
    if (length === 0) return start;
    if (this.#ignoresCase) return this.#searchIgnoringCase(bytes, start, end);
    if (end - start > LONG_LINE) {
      const index = bytes.subarray(start, end).indexOf(this.needle);
      return index < 0 ? -1 : index + start;
    }
    return this.#search(bytes, start, end);
  }

  isIn(bytes: Buffer, start: number, end: number): boolean {
    return this.indexIn(bytes, start, end) >= 0;
  }

  #search(bytes: Buffer, start: number, end: number): number {
    const needle = this.needle;
    const skips = this.#skips;
    const last = needle.length - 1;
    const lastByte = needle[last]!;
    for (let position = start + last; position < end; ) {
      const byte = bytes[position]!;
      if (byte === lastByte) {
        let index = last - 1;
        while (index >= 0 && bytes[position - last + index] === needle[index]) index--;
        if (index < 0) return position - last;
      }
      position += skips[byte]!;
    }
    return -1;
  }

  #searchIgnoringCase(bytes: Buffer, start: number, end: number): number {
    const needle = this.needle;
    const skips = this.#skips;
    const last = needle.length - 1;
    const lastByte = needle[last]!;
    for (let position = start + last; position < end; ) {
      const byte = bytes[position]!;
      if (lowered(byte) === lastByte) {
        let index = last - 1;
        while (index >= 0 && lowered(bytes[position - last + index]!) === needle[index]) index--;
        if (index < 0) return position - last;
      }
      position += skips[byte]!;
    }
    return -1;
  }
}
