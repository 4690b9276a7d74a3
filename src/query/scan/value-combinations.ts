import type { PipelineRun } from '../../logql/pipeline.ts';
import { KeyTable } from '../../logql/stages/key-table.ts';

/** Values of one label that are told apart; more of them begin again. */
const ORDINALS_MAX = 1 << 20;
/** Combinations of one stream remembered before the memory is dropped. */
const REMEMBERED_MAX = 10_000;
/** The value is the stream's, or missing there. */
const OF_STREAM = 0;
const UNKNOWN = -1;
/** The combination of no values. */
const NONE = 0;

/**
 * What is known of entries by the values of some labels, found by the bytes of the values in the line: no text is made of them. Each value gets a
 * number, and so does each list of numbers:
 *
 *   method="GET" → 3, level="info" → 1     (3) → 4, (4, 1) → 5     combination 5 → series
 */
export class ValueCombinations {
  readonly #names: readonly string[];
  readonly #values: KeyTable<number>[] = [];
  readonly #ordinals: number[] = [];
  readonly #handles: number[] = [];
  readonly #numbers = new Map<number, number>();
  readonly #about: (number | undefined)[] = [];
  #current = UNKNOWN;

  constructor(names: readonly string[]) {
    this.#names = names;
    this.#beginAgain();
  }

  /** Before the first entry of a stream: what is the stream's means something else. */
  startStream(run: PipelineRun): void {
    for (const [place, name] of this.#names.entries()) this.#handles[place] = run.handleOf(name);
    this.#forgetCombinations();
  }

  /** What `remember` was told of an entry with the same values; undefined if nothing, or if they do not stand in the line as they are. */
  find(run: PipelineRun): number | undefined {
    this.#current = UNKNOWN;
    let combination = NONE;
    for (let place = 0; place < this.#handles.length; place += 1) {
      const ordinal = this.#ordinalOf(run, place);
      combination = ordinal === UNKNOWN ? UNKNOWN : this.#numberOf(combination, ordinal);
      if (combination === UNKNOWN) return undefined;
    }
    this.#current = combination;
    return this.#about[combination];
  }

  /** Of the entry that `find` was asked about last. */
  remember(about: number): void {
    if (this.#current !== UNKNOWN) this.#about[this.#current] = about;
  }

  #ordinalOf(run: PipelineRun, place: number): number {
    const handle = this.#handles[place]!;
    if (run.isOfStream(handle)) return OF_STREAM;
    const known = run.findByValue(handle, this.#values[place]!);
    if (known !== undefined) return known;
    const ordinal = this.#ordinals[place]!;
    if (ordinal >= ORDINALS_MAX) return this.#beginAgain();
    if (!run.rememberValue(handle, this.#values[place]!, ordinal)) return UNKNOWN;
    this.#ordinals[place] = ordinal + 1;
    return ordinal;
  }

  /** Of the list of `combination` and `ordinal` behind it. */
  #numberOf(combination: number, ordinal: number): number {
    const key = combination * ORDINALS_MAX + ordinal;
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    if (this.#numbers.size >= REMEMBERED_MAX) return this.#beginAgain();
    const number = NONE + 1 + this.#numbers.size;
    this.#numbers.set(key, number);
    return number;
  }

  /** The entry at hand goes without: the numbers it has so far mean nothing any more. */
  #beginAgain(): typeof UNKNOWN {
    for (const place of this.#names.keys()) {
      this.#values[place] = new KeyTable();
      this.#ordinals[place] = OF_STREAM + 1;
    }
    this.#forgetCombinations();
    return UNKNOWN;
  }

  #forgetCombinations(): void {
    this.#numbers.clear();
    this.#about.length = 0;
  }
}
