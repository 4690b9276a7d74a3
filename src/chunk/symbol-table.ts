/** A string's header, a place in a Map and one in an array. */
const SYMBOL_BYTES = 80;

/** Texts of structured metadata, numbered in order of first use: names and values of one segment in one table. */
export class SymbolTable {
  readonly #numbers = new Map<string, number>();
  readonly #texts: string[] = [];
  #textSize = 0;

  /** Append-only; number i is texts[i]. */
  get texts(): readonly string[] {
    return this.#texts;
  }

  /** Σ lengths of the texts. */
  get textSize(): number {
    return this.#textSize;
  }

  /** Estimate of what the table takes of the heap. */
  get memoryBytes(): number {
    return this.#textSize + SYMBOL_BYTES * this.#texts.length;
  }

  /** The number of `text`, given to it now if it has none. */
  numberOf(text: string): number {
    const known = this.#numbers.get(text);
    if (known !== undefined) return known;
    this.#numbers.set(text, this.#texts.length);
    this.#texts.push(text);
    this.#textSize += text.length;
    return this.#texts.length - 1;
  }

  /** The number of `text`, if it has one. */
  find(text: string): number | undefined {
    return this.#numbers.get(text);
  }
}
