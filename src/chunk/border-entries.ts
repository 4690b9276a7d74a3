import type { EntryColumns } from '../protocol/entry-columns.ts';
import { crc32c } from './checksum.ts';
import { areBytesEqual, lineLengthAt, lineStartAt } from './line-bounds.ts';
import { timeWordsOf } from './time-words.ts';

/** An entry at the border. The line is its own copy. */
export interface BorderEntry {
  readonly line: Uint8Array;
  /** Flat pairs. */
  readonly metadata: readonly string[] | undefined;
}

/** Chosen: far more than one push has at one time. Of a longer burst at one time repetitions across a cut may stay. */
const ENTRIES_MAX = 4096;
/** Headers of the objects that hold an entry. */
const ENTRY_OVERHEAD = 200;

/**
 * The entries at the highest time of a segment's closed heads. A push that is repeated after the cut brings them again, and nobody would find that
 * later: blocks that only touch are neither rebuilt nor merged, since nearly all blocks of a busy stream do.
 */
export class BorderEntries {
  readonly timeLow: number;
  readonly timeHigh: number;
  readonly #byChecksum = new Map<number, BorderEntry[]>();
  #count = 0;
  #memoryBytes = 0;

  constructor(timeLow: number, timeHigh: number) {
    this.timeLow = timeLow;
    this.timeHigh = timeHigh;
  }

  get memoryBytes(): number {
    return this.#memoryBytes;
  }

  /** `line` is copied. */
  add(line: Uint8Array, metadata: readonly string[] | undefined): void {
    if (this.#count >= ENTRIES_MAX) return;
    const checksum = crc32c(line);
    const alike = this.#byChecksum.get(checksum);
    const entry = { line: Uint8Array.from(line), metadata };
    if (alike) alike.push(entry);
    else this.#byChecksum.set(checksum, [entry]);
    this.#count += 1;
    this.#memoryBytes += line.length + ENTRY_OVERHEAD;
  }

  /** Entry `index` is among those at the border. */
  holds(columns: EntryColumns, index: number): boolean {
    const words = timeWordsOf(columns);
    if (words[2 * index] !== this.timeLow || words[2 * index + 1] !== this.timeHigh) return false;
    const { bytes, lineOffsets, metadata } = columns;
    const start = lineStartAt(bytes, lineOffsets[index]!);
    return this.#has(bytes.subarray(start, start + lineLengthAt(bytes, lineOffsets[index]!)), metadata?.get(index));
  }

  #has(line: Uint8Array, metadata: readonly string[] | undefined): boolean {
    const alike = this.#byChecksum.get(crc32c(line));
    return alike?.some((entry) => isEqual(entry, line, metadata)) ?? false;
  }
}

const isEqual = (entry: BorderEntry, line: Uint8Array, metadata: readonly string[] = []): boolean => {
  const known = entry.metadata ?? [];
  if (entry.line.length !== line.length || known.length !== metadata.length) return false;
  return areBytesEqual(entry.line, 0, line, 0, line.length) && known.every((text, at) => text === metadata[at]);
};
