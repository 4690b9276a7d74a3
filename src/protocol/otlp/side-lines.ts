import { ColumnBuilder, sizeOfUvarint, tooMany, writeSizeBefore } from '../column-builder.ts';
import type { EntryColumns } from '../entry-columns.ts';
import type { BodyMemory } from '../large-bodies.ts';

const FIRST_BYTES = 64 * 1024;

/** Lines that do not lie in the body as they are stored: they are written one behind the other into a buffer of their own. */
export class SideLines {
  readonly #memory: BodyMemory | undefined;
  readonly #bytesMax: number;
  readonly builder = new ColumnBuilder(new Uint8Array(0), 0);
  #buffer = Buffer.alloc(0);
  #used = 0;

  constructor(bytesMax: number, memory: BodyMemory | undefined) {
    this.#bytesMax = bytesMax;
    this.#memory = memory;
  }

  get size(): number {
    return this.#buffer.length;
  }

  /** @returns where the length of the line stands. @throws RefusedError TOO_LARGE, OVERLOADED */
  write(line: string | Uint8Array): number {
    const size = typeof line === 'string' ? Buffer.byteLength(line) : line.length;
    const at = this.#used;
    const start = at + sizeOfUvarint(size);
    this.#reserve(start + size);
    writeSizeBefore(this.#buffer, start, size);
    if (typeof line === 'string') this.#buffer.write(line, start, 'utf8');
    else this.#buffer.set(line, start);
    this.#used = start + size;
    return at;
  }

  build(): EntryColumns {
    return this.builder.build(this.#buffer.subarray(0, this.#used));
  }

  #reserve(needed: number): void {
    const { length } = this.#buffer;
    if (needed <= length) return;
    if (needed > this.#bytesMax) throw tooMany('bytes of lines in one push');
    const size = Math.min(this.#bytesMax, Math.max(needed, length * 2, FIRST_BYTES));
    this.#memory?.take(size - length);
    const bigger = Buffer.allocUnsafeSlow(size);
    this.#buffer.copy(bigger, 0, 0, this.#used);
    this.#buffer = bigger;
  }
}
