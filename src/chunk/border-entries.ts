import type { EntryColumns } from '../protocol/entry-columns.ts';
import { crc32c } from './checksum.ts';
import { areBytesEqual, lineLengthAt, lineStartAt } from './line-bounds.ts';
import { timeWordsOf } from './time-words.ts';

/** Chosen: far more than one push has at one time. Of a longer burst at one time repetitions across a cut may stay. */
const ENTRIES_MAX = 4096;
/** Of the object, its arrays and an entry's place in them. */
const OWN_BYTES = 200;
const ENTRY_BYTES = 8;

/**
 * The entries at the highest time of a segment's closed heads. A push that is repeated after the cut brings them again, and nobody would find that
 * later: blocks that only touch are neither rebuilt nor merged, since nearly all blocks of a busy stream do.
 *
 * Nearly always nobody asks: lines are copied one behind the other, and an index is made when the first entry at this time comes.
 */
export class BorderEntries {
  readonly timeLow: number;
  readonly timeHigh: number;
  #bytes = new Uint8Array(0);
  #used = 0;
  /** Where each line ends. */
  readonly #ends: number[] = [];
  #metadata: Map<number, readonly string[]> | undefined;
  /** Checksum of a line → its entries. */
  #index: Map<number, number[]> | undefined;

  constructor(timeLow: number, timeHigh: number) {
    this.timeLow = timeLow;
    this.timeHigh = timeHigh;
  }

  get memoryBytes(): number {
    return OWN_BYTES + this.#bytes.length + ENTRY_BYTES * this.#ends.length;
  }

  /** `line` is copied. */
  add(line: Uint8Array, metadata: readonly string[] | undefined): void {
    const number = this.#ends.length;
    if (number >= ENTRIES_MAX) return;
    const end = this.#used + line.length;
    if (end > this.#bytes.length) {
      const larger = new Uint8Array(number === 0 ? end : 2 * end);
      larger.set(this.#bytes.subarray(0, this.#used));
      this.#bytes = larger;
    }
    this.#bytes.set(line, this.#used);
    this.#used = end;
    this.#ends.push(end);
    if (metadata) {
      this.#metadata ??= new Map();
      this.#metadata.set(number, metadata);
    }
    this.#index = undefined;
  }

  /** Entry `index` is among those at the border. */
  holds(columns: EntryColumns, index: number): boolean {
    const words = timeWordsOf(columns);
    if (words[2 * index] !== this.timeLow || words[2 * index + 1] !== this.timeHigh) return false;
    const { bytes, lineOffsets, metadata } = columns;
    const start = lineStartAt(bytes, lineOffsets[index]!);
    const line = bytes.subarray(start, start + lineLengthAt(bytes, lineOffsets[index]!));
    this.#index ??= this.#newIndex();
    const alike = this.#index.get(crc32c(line));
    return alike?.some((number) => this.#isEqual(number, line, metadata?.get(index))) ?? false;
  }

  #newIndex(): Map<number, number[]> {
    const index = new Map<number, number[]>();
    for (let number = 0; number < this.#ends.length; number += 1) {
      const checksum = crc32c(this.#lineOf(number));
      const alike = index.get(checksum);
      if (alike) alike.push(number);
      else index.set(checksum, [number]);
    }
    return index;
  }

  #lineOf(number: number): Uint8Array {
    return this.#bytes.subarray(number === 0 ? 0 : this.#ends[number - 1], this.#ends[number]);
  }

  #isEqual(number: number, line: Uint8Array, metadata: readonly string[] = []): boolean {
    const own = this.#lineOf(number);
    const known = this.#metadata?.get(number) ?? [];
    if (own.length !== line.length || known.length !== metadata.length) return false;
    return areBytesEqual(own, 0, line, 0, line.length) && known.every((text, at) => text === metadata[at]);
  }
}
