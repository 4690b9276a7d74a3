/** A string's header, a place in a Map and one in an array. */
const SYMBOL_BYTES = 80;
/** So many are looked through one by one: most segments have the names and values of levels alone, and a Map is 300 bytes and more of each stream. */
const SCANNED_MAX = 8;

/** Texts of structured metadata, numbered in order of first use: names and values of one segment in one table. */
export class SymbolTable {
  #numbers: Map<string, number> | undefined = undefined;
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
    const known = this.find(text);
    if (known !== undefined) return known;
    const number = this.#texts.push(text) - 1;
    this.#textSize += text.length;
    if (this.#numbers) this.#numbers.set(text, number);
    else if (number >= SCANNED_MAX) this.#numbers = new Map(this.#texts.map((one, index) => [one, index]));
    return number;
  }

  /** The number of `text`, if it has one. */
  find(text: string): number | undefined {
    if (this.#numbers) return this.#numbers.get(text);
    const number = this.#texts.indexOf(text);
    return number < 0 ? undefined : number;
  }
}
