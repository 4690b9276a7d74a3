import { crc32c } from '../../chunk/checksum.ts';
import type { BlockColumns } from './block-columns.ts';

/** Up to so many entries are compared one by one; beyond, only those with an equal checksum: lines at one time may be many. */
const COMPARED_MAX = 16;

/** The entries of one time seen so far. Borrows the columns until `clear`. */
export class DistinctEntries {
  readonly #columns: BlockColumns[] = [];
  readonly #indexes: number[] = [];
  #byChecksum: Map<number, number[]> | undefined;

  clear(): void {
    this.#columns.length = 0;
    this.#indexes.length = 0;
    this.#byChecksum = undefined;
  }

  /** False if an equal entry (time, line and metadata) was added before. */
  add(columns: BlockColumns, index: number): boolean {
    if (this.#indexes.length >= COMPARED_MAX) return this.#addByChecksum(columns, index);
    for (let at = 0; at < this.#indexes.length; at += 1) if (this.#isAt(at, columns, index)) return false;
    this.#columns.push(columns);
    this.#indexes.push(index);
    return true;
  }

  #addByChecksum(columns: BlockColumns, index: number): boolean {
    const byChecksum = this.#byChecksum ?? this.#checksums();
    const checksum = checksumOf(columns, index);
    const alike = byChecksum.get(checksum);
    if (alike?.some((at) => this.#isAt(at, columns, index))) return false;
    const at = this.#indexes.length;
    if (alike) alike.push(at);
    else byChecksum.set(checksum, [at]);
    this.#columns.push(columns);
    this.#indexes.push(index);
    return true;
  }

  #checksums(): Map<number, number[]> {
    const byChecksum = new Map<number, number[]>();
    for (let at = 0; at < this.#indexes.length; at += 1) {
      const checksum = checksumOf(this.#columns[at]!, this.#indexes[at]!);
      const alike = byChecksum.get(checksum);
      if (alike) alike.push(at);
      else byChecksum.set(checksum, [at]);
    }
    this.#byChecksum = byChecksum;
    return byChecksum;
  }

  #isAt(at: number, columns: BlockColumns, index: number): boolean {
    return columns.isSameEntry(index, this.#columns[at]!, this.#indexes[at]!);
  }
}

const checksumOf = ({ bytes, lineStarts, lineEnds }: BlockColumns, index: number): number =>
  crc32c(bytes.subarray(lineStarts[index]!, lineEnds[index]!));
