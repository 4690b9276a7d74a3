import { LEVEL_PAIRS, NO_LEVEL } from './levels.ts';

/**
 * Structured metadata of a push's entries, as flat pairs (name1, value1, …). Entries that have a detected level and nothing else, which
 * are most, take a byte each; the others an array.
 */
export class EntryMetadata {
  #levels: Uint8Array | undefined;
  readonly #own: Map<number, readonly string[]>;

  /** @param own entry → pairs */
  constructor(own: Iterable<readonly [number, readonly string[]]> = [], levels: Uint8Array | undefined = undefined) {
    this.#own = new Map(own);
    this.#levels = levels;
  }

  /** Entries that have more than a level. */
  get ownCount(): number {
    return this.#own.size;
  }

  /** No entry has any. */
  get isEmpty(): boolean {
    return this.#own.size === 0 && this.#levels === undefined;
  }

  /** Undefined if entry `index` has none. */
  get(index: number): readonly string[] | undefined {
    const level = this.levelAt(index);
    if (level !== NO_LEVEL) return LEVEL_PAIRS[level];
    return this.#own.size === 0 ? undefined : this.#own.get(index);
  }

  /** The level of an entry that has nothing else; NO_LEVEL for every other. */
  levelAt(index: number): number {
    return this.#levels?.[index] ?? NO_LEVEL;
  }

  /** In place of the level, if there was one. */
  set(index: number, pairs: readonly string[]): void {
    this.#own.set(index, pairs);
    if (this.#levels) this.#levels[index] = NO_LEVEL;
  }

  /** @param count of all entries */
  setLevel(index: number, level: number, count: number): void {
    this.#levels ??= new Uint8Array(count);
    this.#levels[index] = level;
  }

  delete(index: number): void {
    this.#own.delete(index);
  }

  /** Of the entries from `first` on, which are the first then. Shares their levels. */
  from(first: number): EntryMetadata {
    const own: [number, readonly string[]][] = [];
    for (const [index, pairs] of this.#own) if (index >= first) own.push([index - first, pairs]);
    return new EntryMetadata(own, this.#levels?.subarray(first));
  }
}
