import { paddedSize } from './record-format.ts';

/** No record before this one. No file has so many, and a larger number would be an object in each place of a segment. */
export const NO_RECORD = 0x7fffffff;

/** A record as the index knows it. */
export interface IndexedRecord {
  readonly type: number;
  readonly offset: number;
  /** Without padding. */
  readonly length: number;
  /** APPEND: index of its first entry and number of entries; SEAL: final count; FLUSHED: count and complete. */
  readonly first: number;
  readonly count: number;
}

const FIRST_CAPACITY = 64;
const COLUMNS = 6;

/**
 * Where the records of one file are: 24 bytes each, no object. Records of one segment are chained from its last one back, so that any
 * segment's are found without a look at the others.
 */
export class FileIndex {
  /** type, offset, length, first, count, previous. */
  #rows = new Uint32Array(COLUMNS * FIRST_CAPACITY);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** @param previous the segment's record before this one @returns the record's number */
  add({ type, offset, length, first, count }: IndexedRecord, previous: number): number {
    if (COLUMNS * this.#count === this.#rows.length) {
      const larger = new Uint32Array(2 * this.#rows.length);
      larger.set(this.#rows);
      this.#rows = larger;
    }
    const at = COLUMNS * this.#count;
    const rows = this.#rows;
    rows[at] = type;
    rows[at + 1] = offset;
    rows[at + 2] = length;
    rows[at + 3] = first;
    rows[at + 4] = count;
    rows[at + 5] = previous;
    this.#count += 1;
    return this.#count - 1;
  }

  /** A segment's records in file order, given its last one. */
  chain(last: number): readonly IndexedRecord[] {
    const records: IndexedRecord[] = [];
    const rows = this.#rows;
    for (let number = last; number !== NO_RECORD; number = rows[COLUMNS * number + 5] as number) {
      const at = COLUMNS * number;
      records.push({
        type: rows[at] as number,
        offset: rows[at + 1] as number,
        length: rows[at + 2] as number,
        first: rows[at + 3] as number,
        count: rows[at + 4] as number,
      });
    }
    return records.reverse();
  }

  /** Whether all of a segment's records pass, given its last one; from there back, and no further than to the first that does not. */
  everyBack(last: number, passes: (type: number, first: number, count: number) => boolean): boolean {
    const rows = this.#rows;
    for (let number = last; number !== NO_RECORD; number = rows[COLUMNS * number + 5] as number) {
      const at = COLUMNS * number;
      if (!passes(rows[at] as number, rows[at + 3] as number, rows[at + 4] as number)) return false;
    }
    return true;
  }
}

/** A stretch of a file that should hold records and does not. */
export interface Damage {
  readonly offset: number;
  readonly size: number;
  /** At least so many were lost. */
  readonly records: number;
}

export const sizeInFile = ({ length }: IndexedRecord): number => paddedSize(length);
