import type { RequiredLiteral } from '../../logql/pipeline.ts';
import type { BlockColumns } from './block-columns.ts';
import { Needle } from './needle.ts';

const NONE = Number.MAX_SAFE_INTEGER;
const NOT_SEARCHED = -1;

/** The literals that lines must hold, ready to be looked for in block after block. */
export class LiteralSearch {
  readonly #literals: readonly (readonly Needle[])[];
  /** Places of the first literal's needles that `mayHit` found. */
  #first: readonly number[] = [];
  #isTuned = false;

  constructor(literals: readonly RequiredLiteral[]) {
    this.#literals = literals.map(({ anyOf }) => anyOf.map((bytes) => new Needle(bytes)));
  }

  /** True if `bytes` may hold a line that passes: each literal has an alternative somewhere. Hits between lines count too. */
  mayHit(bytes: Buffer): boolean {
    if (!this.#isTuned) this.#tune(bytes);
    this.#first = [];
    for (let index = 0; index < this.#literals.length; index += 1) {
      const places = placesIn(bytes, this.#literals[index]!);
      if (!places) return false;
      if (index === 0) this.#first = places;
    }
    return true;
  }

  /** Lines with the first literal, in the columns over the bytes that `mayHit` was asked about last. */
  hitsIn(columns: BlockColumns, isSameBytes: boolean): LiteralHits {
    return new LiteralHits(columns, this.#literals[0] ?? [], isSameBytes ? this.#first : []);
  }

  #tune(sample: Buffer): void {
    this.#isTuned = true;
    for (const needles of this.#literals) for (const needle of needles) needle.tune(sample);
  }
}

/** The first place of each needle, up to the first that has one; undefined if none has. */
const placesIn = (bytes: Buffer, needles: readonly Needle[]): number[] | undefined => {
  const places: number[] = [];
  for (const needle of needles) {
    const at = needle.indexIn(bytes, 0);
    places.push(at < 0 ? NONE : at);
    if (at >= 0) return places;
  }
  return undefined;
};

/** Which lines of a block are looked at. */
export interface LineHits {
  /** All of them. */
  readonly isEvery: boolean;
  /** First line at or after `from` with a hit; the block's count if there is none. Calls must not go backwards. */
  next(from: number): number;
}

/**
 * The lines of a block that hold a literal, in order, found by searching the whole block instead of testing line by line. A hit in what lies
 * between lines (times, lengths, metadata) or across a border is passed over.
 */
export class LiteralHits implements LineHits {
  readonly #columns: BlockColumns;
  readonly #needles: readonly Needle[];
  /** Next hit of each needle, known from some place on. */
  readonly #places: number[];
  /** Line of the last answer: hits before it are not asked for again. */
  #line = -1;

  /** No needles: every line is a hit. `places`: first hits as far as known. */
  constructor(columns: BlockColumns, needles: readonly Needle[], places: readonly number[]) {
    this.#columns = columns;
    this.#needles = needles;
    this.#places = needles.map((_, index) => places[index] ?? NOT_SEARCHED);
  }

  get isEvery(): boolean {
    return this.#needles.length === 0;
  }

  next(from: number): number {
    if (this.#needles.length === 0) return from;
    if (this.#line >= from) return this.#line;
    const { count, lineStarts, lineEnds } = this.#columns;
    let line = from;
    while (line < count) {
      const at = this.#placeFrom(lineStarts[line]!);
      if (at === NONE) {
        line = count;
        break;
      }
      while (line < count && lineEnds[line]! <= at) line += 1;
      if (line < count && this.#isInside(at, lineStarts[line]!, lineEnds[line]!)) break;
    }
    this.#line = line;
    return line;
  }

  /** The nearest hit of any needle at or after `offset`, inside a line or not. */
  #placeFrom(offset: number): number {
    let nearest = NONE;
    for (let index = 0; index < this.#needles.length; index += 1) {
      if (this.#places[index]! < offset) this.#search(index, offset);
      nearest = Math.min(nearest, this.#places[index]!);
    }
    return nearest;
  }

  /** True if a needle's hit at `at` lies in the line; those that do not move on. */
  #isInside(at: number, start: number, end: number): boolean {
    let isHit = false;
    for (let index = 0; index < this.#needles.length; index += 1) {
      if (this.#places[index] !== at) continue;
      if (at >= start && at + this.#needles[index]!.bytes.length <= end) isHit = true;
      else this.#search(index, at + 1);
    }
    return isHit;
  }

  #search(index: number, from: number): void {
    const at = this.#needles[index]!.indexIn(this.#columns.bytes, from);
    this.#places[index] = at < 0 ? NONE : at;
  }
}
