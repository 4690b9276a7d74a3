import type { SymbolTable } from './symbol-table.ts';

const ENTRIES_MIN = 16;
/** A detected level is a name and a value. */
const REFS_PER_ENTRY = 2;

interface Columns {
  readonly refs: Uint32Array<SharedArrayBuffer>;
  readonly ends: Uint32Array<SharedArrayBuffer>;
}

/** Both in one buffer: there is one of these for each stream, and each buffer is objects for V8 to mark and memory for malloc to scatter. */
const columnsOf = (entries: number, refs: number): Columns => {
  const buffer = new SharedArrayBuffer((entries + refs) * Uint32Array.BYTES_PER_ELEMENT);
  return {
    refs: new Uint32Array(buffer, 0, refs),
    ends: new Uint32Array(buffer, refs * Uint32Array.BYTES_PER_ELEMENT, entries),
  };
};

/** Structured metadata of a head's entries as symbol numbers: refs [name, value, …] of all entries, and where each entry's end. */
export class MetadataColumns {
  refs: Uint32Array<SharedArrayBuffer>;
  ends: Uint32Array<SharedArrayBuffer>;

  /** For a head whose first `entryCount` entries have none. */
  constructor(entryCount: number) {
    const entries = Math.max(ENTRIES_MIN, 2 * entryCount);
    const { refs, ends } = columnsOf(entries, REFS_PER_ENTRY * ENTRIES_MIN);
    this.refs = refs;
    this.ends = ends;
  }

  get memoryBytes(): number {
    return this.refs.byteLength + this.ends.byteLength;
  }

  /** The metadata of entry `index`, the last one so far. */
  append(index: number, pairs: readonly string[] | undefined, symbols: SymbolTable): void {
    let end = index === 0 ? 0 : this.ends[index - 1]!;
    const size = pairs?.length ?? 0;
    if (end + size > this.refs.length || index >= this.ends.length) this.#grow(index + 1, end + size);
    for (let at = 0; at < size; at += 1) {
      this.refs[end] = symbols.numberOf(pairs![at]!);
      end += 1;
    }
    this.ends[index] = end;
  }

  /** A new buffer: readers of the old one keep what they have. More entries have room for as many pairs each as those before them. */
  #grow(entries: number, refs: number): void {
    const { refs: oldRefs, ends: oldEnds } = this;
    const isLonger = entries > oldEnds.length;
    const room = isLonger ? Math.max(entries, 2 * oldEnds.length) : oldEnds.length;
    const refRoom = refs > oldRefs.length ? Math.max(refs, 2 * oldRefs.length) : oldRefs.length;
    const grown = columnsOf(room, isLonger ? Math.max(refRoom, Math.ceil((refs / entries) * room)) : refRoom);
    grown.refs.set(oldRefs);
    grown.ends.set(oldEnds);
    this.refs = grown.refs;
    this.ends = grown.ends;
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
