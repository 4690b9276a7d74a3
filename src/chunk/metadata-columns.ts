import type { SymbolTable } from './symbol-table.ts';

const shared = (length: number): Uint32Array<SharedArrayBuffer> =>
  new Uint32Array(new SharedArrayBuffer(length * Uint32Array.BYTES_PER_ELEMENT));

/** Structured metadata of a head's entries as symbol numbers: refs [name, value, …] of all entries, and where each entry's end. */
export class MetadataColumns {
  refs: Uint32Array<SharedArrayBuffer>;
  ends: Uint32Array<SharedArrayBuffer>;

  /** For a head whose first `entryCount` entries have none. */
  constructor(entryCount: number) {
    this.refs = shared(16);
    this.ends = shared(Math.max(16, 2 * entryCount));
  }

  get memoryBytes(): number {
    return this.refs.byteLength + this.ends.byteLength;
  }

  /** The metadata of entry `index`, the last one so far. */
  append(index: number, pairs: readonly string[] | undefined, symbols: SymbolTable): void {
    let end = index === 0 ? 0 : this.ends[index - 1]!;
    const size = pairs?.length ?? 0;
    if (end + size > this.refs.length) this.refs = grown(this.refs, end + size);
    if (index >= this.ends.length) this.ends = grown(this.ends, index + 1);
    for (let at = 0; at < size; at += 1) {
      this.refs[end] = symbols.numberOf(pairs![at]!);
      end += 1;
    }
    this.ends[index] = end;
  }

  /** The pairs of entry `index`; undefined if it has none. */
  pairsOf(index: number, symbols: SymbolTable): readonly string[] | undefined {
    const start = index === 0 ? 0 : this.ends[index - 1]!;
    const end = this.ends[index]!;
    if (start === end) return undefined;
    return Array.from(this.refs.subarray(start, end), (number) => symbols.texts[number]!);
  }

  /** True if entry `index` has exactly these pairs, in this order. */
  isEqual(index: number, pairs: readonly string[] | undefined, symbols: SymbolTable): boolean {
    const start = index === 0 ? 0 : this.ends[index - 1]!;
    const size = this.ends[index]! - start;
    if (size !== (pairs?.length ?? 0)) return false;
    for (let at = 0; at < size; at += 1) {
      if (this.refs[start + at] !== symbols.find(pairs![at]!)) return false;
    }
    return true;
  }
}

/** A new buffer: readers of the old one keep what they have. */
const grown = (column: Uint32Array<SharedArrayBuffer>, needed: number): Uint32Array<SharedArrayBuffer> => {
  const larger = shared(Math.max(needed, 2 * column.length));
  larger.set(column);
  return larger;
};
