import type { EntryColumns } from './entry-columns.ts';
import { EntryMetadata } from './entry-metadata.ts';
import { RefusedError } from './refusal.ts';

const WORD = 2 ** 32;
const NS_PER_SECOND = 1_000_000_000;

/** An entry without a timestamp has the year 1 in Loki; here it has the earliest time there is. */
export const SECONDS_MIN = -62_135_596_800;

/**
 * What one push may hold, so that a body of tiny messages does not become a hundred times its size in memory (chosen: some ten times
 * what a body of 100 MiB of real lines has).
 */
const ENTRIES_MAX = 8_000_000;
const ENTRIES_WITH_METADATA_MAX = 500_000;

/** Gathers the entries of one push as columns. Nothing is kept per entry but 12 bytes. */
export class ColumnBuilder {
  readonly #bytes: Uint8Array;
  #count = 0;
  #capacity: number;
  #lineOffsets: Uint32Array;
  /** Low and high words of the times. */
  #words: Uint32Array;
  #metadata: EntryMetadata | undefined;
  /** Words of the second that came last: entries of a push are close in time. */
  #baseSeconds = 0;
  #baseHigh = 0;
  #baseLow = 0;

  /** @param capacity a guess at how many entries will come; the columns grow when it was too low */
  constructor(bytes: Uint8Array, capacity: number) {
    this.#bytes = bytes;
    this.#capacity = Math.max(16, capacity);
    this.#lineOffsets = new Uint32Array(this.#capacity);
    this.#words = new Uint32Array(this.#capacity * 2);
  }

  get count(): number {
    return this.#count;
  }

  /**
   * @param lineOffset where the length of the line stands in the bytes; above those before
   * @param seconds whole, |seconds| < 2⁵³; times that do not fit into 64 bits of ns become the nearest that does (1677 or 2262)
   * @param nanos |nanos| < 10⁹
   * @throws RefusedError TOO_LARGE
   */
  add(lineOffset: number, seconds: number, nanos: number): void {
    const index = this.#count;
    if (index === this.#capacity) this.#grow(lineOffset);
    if (seconds !== this.#baseSeconds) this.#rebase(seconds);
    const low = this.#baseLow + nanos;
    const carry = low >= WORD ? 1 : low < 0 ? -1 : 0;
    const high = this.#baseHigh + carry;
    this.#lineOffsets[index] = lineOffset;
    if (high > 0x7fffffff || high < -0x80000000) {
      this.#words[index * 2] = high < 0 ? 0 : 0xffffffff;
      this.#words[index * 2 + 1] = high < 0 ? 0x80000000 : 0x7fffffff;
    } else {
      this.#words[index * 2] = low - carry * WORD;
      this.#words[index * 2 + 1] = high;
    }
    this.#count = index + 1;
  }

  /** As `add`, of a time that comes as the two words of 64 bits of ns: an unsigned one past 2⁶³ is one before 1970, as in Go. */
  addWords(lineOffset: number, low: number, high: number): void {
    const index = this.#count;
    if (index === this.#capacity) this.#grow(lineOffset);
    this.#lineOffsets[index] = lineOffset;
    this.#words[index * 2] = low;
    this.#words[index * 2 + 1] = high;
    this.#count = index + 1;
  }

  /** Structured metadata of the entry that will be added next: flat pairs. */
  addMetadata(pairs: readonly string[]): void {
    this.#metadata ??= new EntryMetadata();
    if (this.#metadata.ownCount === ENTRIES_WITH_METADATA_MAX)
      throw tooMany('entries with structured metadata in one push');
    this.#metadata.set(this.#count, pairs);
  }

  /** @param bytes what the lines lie in, if they have moved since the builder was made */
  build(bytes: Uint8Array = this.#bytes): EntryColumns {
    return {
      bytes,
      lineOffsets: this.#lineOffsets.subarray(0, this.#count),
      times: new BigInt64Array(this.#words.buffer as ArrayBuffer, 0, this.#count),
      metadata: this.#metadata,
    };
  }

  /**
   * Splits seconds × 10⁹ into two words, exactly in doubles: seconds are cut into 16-bit digits so that no product passes 2⁵³
   * (for the years that Loki accepts; beyond them the words are only far outside).
   */
  #rebase(seconds: number): void {
    const secondsHigh = Math.floor(seconds / 65536);
    const upper = secondsHigh * NS_PER_SECOND;
    const upperHigh = Math.floor(upper / 65536);
    const lower = (upper - upperHigh * 65536) * 65536 + (seconds - secondsHigh * 65536) * NS_PER_SECOND;
    const carry = Math.floor(lower / WORD);
    this.#baseSeconds = seconds;
    this.#baseHigh = upperHigh + carry;
    this.#baseLow = lower - carry * WORD;
  }

  #grow(lineOffset: number): void {
    if (this.#count >= ENTRIES_MAX) throw tooMany('entries in one push');
    // As many as the rest of the bytes would hold of such entries.
    const guess = Math.ceil((this.#count * this.#bytes.length * 1.1) / (lineOffset + 1));
    this.#capacity = Math.max(this.#capacity * 2, Math.min(guess, this.#capacity * 16));
    const lineOffsets = new Uint32Array(this.#capacity);
    lineOffsets.set(this.#lineOffsets);
    this.#lineOffsets = lineOffsets;
    const words = new Uint32Array(this.#capacity * 2);
    words.set(this.#words);
    this.#words = words;
  }
}

export const tooMany = (what: string): RefusedError =>
  new RefusedError({ code: 'TOO_LARGE', text: `too many ${what}` });

/** Writes the minimal uvarint of `size` so that it ends before `end`; @returns where it starts. There must be room. */
export const writeSizeBefore = (bytes: Uint8Array, end: number, size: number): number => {
  let start = end - sizeOfUvarint(size);
  const first = start;
  let rest = size;
  while (rest >= 0x80) {
    bytes[start] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
    start += 1;
  }
  bytes[start] = rest;
  return first;
};

export const sizeOfUvarint = (value: number): number =>
  value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x200000 ? 3 : value < 0x10000000 ? 4 : 5;
