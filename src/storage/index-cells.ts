import { isAscii } from 'node:buffer';
import { bytesOfText, textOfBytes } from '../protocol/byte-text.ts';

export interface IndexCell {
  readonly rangeValue: string;
  readonly value: string;
}

/** Cells of one row as a reader is shown them: only for as long as it looks at them, since their bytes are a store's own. What is text is a copy. */
export interface ShownCells extends Iterable<IndexCell> {
  readonly length: number;
  /** Where the range values lie. */
  readonly bytes: Buffer;
  rangeStart(index: number): number;
  rangeEnd(index: number): number;
  valueStart(index: number): number;
  valueEnd(index: number): number;
  rangeValue(index: number): string;
  value(index: number): string;
}

/** Cells that are kept: in one piece of memory of just that size. */
export interface PackedCells {
  readonly bytes: Buffer;
  readonly offsets: Uint32Array;
}

/** A copy of what is shown. */
export const packCells = (cells: ShownCells): PackedCells => {
  const { bytes: source, length } = cells;
  let size = 0;
  for (let index = 0; index < length; index++) {
    size += cells.rangeEnd(index) - cells.rangeStart(index) + cells.valueEnd(index) - cells.valueStart(index);
  }
  const { bytes, offsets } = newPack(length, size);
  let at = 0;
  const copy = (start: number, end: number, offset: number): void => {
    offsets[offset] = at;
    at += source.copy(bytes, at, start, end);
    offsets[offset + 1] = at;
  };
  for (let index = 0; index < length; index++) {
    copy(cells.rangeStart(index), cells.rangeEnd(index), OFFSETS * index);
    copy(cells.valueStart(index), cells.valueEnd(index), OFFSETS * index + 2);
  }
  return { bytes, offsets };
};

/** One after the other. */
export const joinPacks = (packs: readonly PackedCells[]): PackedCells => {
  const [first] = packs;
  if (first && packs.length === 1) return first;
  const sum = (sizeOf: (pack: PackedCells) => number): number => packs.reduce((total, pack) => total + sizeOf(pack), 0);
  const joined = newPack(
    sum(({ offsets }) => offsets.length) / OFFSETS,
    sum(({ bytes }) => bytes.length),
  );
  let [cell, at] = [0, 0];
  for (const { bytes, offsets } of packs) {
    joined.bytes.set(bytes, at);
    for (let index = 0; index < offsets.length; index++) joined.offsets[cell + index] = at + (offsets[index] ?? 0);
    cell += offsets.length;
    at += bytes.length;
  }
  return joined;
};

export const bytesOfPack = ({ bytes }: PackedCells): number => bytes.buffer.byteLength;

const newPack = (count: number, size: number): PackedCells => {
  const offsetsSize = count * OFFSETS * Uint32Array.BYTES_PER_ELEMENT;
  const memory = new ArrayBuffer(offsetsSize + size);
  return { bytes: Buffer.from(memory, offsetsSize), offsets: new Uint32Array(memory, 0, count * OFFSETS) };
};

/** Where a cell's range value and value begin and end. */
const OFFSETS = 4;

const CELLS_FIRST = 64;
const BYTES_FIRST = 4_096;

/**
 * Cells as columns: a query is shown a million of them, and an object with two texts for each was most of its CPU. They point into one message as long as
 * all of them are of one, and are copied together otherwise.
 */
export class IndexCells implements ShownCells {
  bytes: Buffer = NOTHING;
  #offsets: Uint32Array = new Uint32Array(OFFSETS * CELLS_FIRST);
  #count = 0;
  /** What is shown of them. */
  #first = 0;
  #end = 0;
  /** Holds what has to be copied; kept for the next row. */
  #own: Buffer = NOTHING;
  #ownSize = 0;

  /** Nothing may be added to them. */
  static of({ bytes, offsets }: PackedCells): IndexCells {
    const cells = new IndexCells();
    cells.bytes = bytes;
    cells.#offsets = offsets;
    cells.#count = offsets.length / OFFSETS;
    cells.#end = cells.#count;
    return cells;
  }

  get length(): number {
    return this.#end - this.#first;
  }

  /** All of them, shown or not. */
  get count(): number {
    return this.#count;
  }

  /** Ready for the next row. */
  clear(): void {
    this.bytes = NOTHING;
    this.#count = 0;
    this.#first = 0;
    this.#end = 0;
    this.#ownSize = 0;
  }

  /** A cell whose parts lie in `source`, which stays as it is until the cells are cleared. */
  add(source: Buffer, rangeStart: number, rangeEnd: number, valueStart: number, valueEnd: number): void {
    if (this.#count === 0) this.bytes = source;
    else if (source !== this.bytes && this.bytes !== this.#own) this.#copyAll();
    if (source === this.bytes) this.#point(rangeStart, rangeEnd, valueStart, valueEnd);
    else {
      const range = this.#copy(source, rangeStart, rangeEnd);
      const value = this.#copy(source, valueStart, valueEnd);
      this.bytes = this.#own;
      this.#point(range, range + rangeEnd - rangeStart, value, value + valueEnd - valueStart);
    }
  }

  /** A cell in two pieces: its range value and its value are not of one buffer. */
  addParts(rangeValue: Uint8Array, value: Uint8Array): void {
    if (this.#count > 0 && this.bytes !== this.#own) this.#copyAll();
    const range = this.#copy(rangeValue, 0, rangeValue.length);
    const end = this.#copy(value, 0, value.length);
    this.bytes = this.#own;
    this.#point(range, range + rangeValue.length, end, end + value.length);
  }

  /** A cell whose parts are bytes as latin1 text, from some character on. */
  addLatin1(rangeText: string, rangeFrom: number, valueText: string, valueFrom: number): void {
    if (this.#count > 0 && this.bytes !== this.#own) this.#copyAll();
    const rangeSize = rangeText.length - rangeFrom;
    const valueSize = valueText.length - valueFrom;
    const start = this.#room(rangeSize + valueSize);
    this.#own.write(rangeFrom === 0 ? rangeText : rangeText.slice(rangeFrom), start, 'latin1');
    this.#own.write(valueFrom === 0 ? valueText : valueText.slice(valueFrom), start + rangeSize, 'latin1');
    this.bytes = this.#own;
    this.#point(start, start + rangeSize, start + rangeSize, start + rangeSize + valueSize);
  }

  addText({ rangeValue, value }: IndexCell): void {
    this.addParts(bytesOfText(rangeValue), bytesOfText(value));
  }

  /** Shows `count` of them from `first` on. */
  show(first: number, count: number): this {
    this.#first = Math.min(first, this.#count);
    this.#end = Math.min(first + count, this.#count);
    return this;
  }

  rangeStart(index: number): number {
    return this.#offset(index, 0);
  }

  rangeEnd(index: number): number {
    return this.#offset(index, 1);
  }

  valueStart(index: number): number {
    return this.#offset(index, 2);
  }

  valueEnd(index: number): number {
    return this.#offset(index, 3);
  }

  rangeValue(index: number): string {
    return textOf(this.bytes, this.#offset(index, 0), this.#offset(index, 1));
  }

  value(index: number): string {
    return textOf(this.bytes, this.#offset(index, 2), this.#offset(index, 3));
  }

  *[Symbol.iterator](): Generator<IndexCell> {
    for (let index = 0; index < this.length; index++) {
      yield { rangeValue: this.rangeValue(index), value: this.value(index) };
    }
  }

  #offset(index: number, which: number): number {
    return this.#offsets[OFFSETS * (this.#first + index) + which] ?? 0;
  }

  #point(rangeStart: number, rangeEnd: number, valueStart: number, valueEnd: number): void {
    const at = OFFSETS * this.#count;
    if (at === this.#offsets.length) {
      const grown = new Uint32Array(2 * at);
      grown.set(this.#offsets);
      this.#offsets = grown;
    }
    this.#offsets[at] = rangeStart;
    this.#offsets[at + 1] = rangeEnd;
    this.#offsets[at + 2] = valueStart;
    this.#offsets[at + 3] = valueEnd;
    this.#count += 1;
    this.#end = this.#count;
  }

  /** The cells so far are of a buffer that the next one is not of. */
  #copyAll(): void {
    const { bytes } = this;
    for (let at = 0; at < OFFSETS * this.#count; at += 2) {
      const start = this.#offsets[at] ?? 0;
      const end = this.#offsets[at + 1] ?? 0;
      const copied = this.#copy(bytes, start, end);
      this.#offsets[at] = copied;
      this.#offsets[at + 1] = copied + end - start;
    }
    this.bytes = this.#own;
  }

  /** @returns where the copy begins */
  #copy(source: Uint8Array, start: number, end: number): number {
    const at = this.#room(end - start);
    this.#own.set(source.subarray(start, end), at);
    return at;
  }

  #room(size: number): number {
    const at = this.#ownSize;
    if (at + size > this.#own.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(BYTES_FIRST, 2 * this.#own.length, at + size));
      grown.set(this.#own.subarray(0, at));
      if (this.bytes === this.#own) this.bytes = grown;
      this.#own = grown;
    }
    this.#ownSize += size;
    return at;
  }
}

const NOTHING = Buffer.alloc(0);

const { latin1Slice } = Buffer.prototype as unknown as {
  latin1Slice(this: Uint8Array, start: number, end: number): string;
};

/** Most values are one character and most texts short: one call each, without a view of the bytes. */
const textOf = (bytes: Buffer, start: number, end: number): string => {
  if (end - start > SHORT_TEXT) {
    const part = bytes.subarray(start, end);
    return isAscii(part) ? latin1Slice.call(part, 0, part.length) : textOfBytes(part);
  }
  const text = latin1Slice.call(bytes, start, end);
  return ASCII.test(text) ? text : textOfBytes(bytes, start, end);
};

const SHORT_TEXT = 256;

const ASCII = /^[\0-\x7f]*$/;
