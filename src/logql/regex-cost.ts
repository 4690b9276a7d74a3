/** What compiling a regular expression costs, told from its text: Go accepts patterns that take re2js seconds of the event loop. */

/** Chosen: some 20 ms of compiling. A person's pattern costs below 200; lists of literal values are not compiled and cost nothing. */
export const REGEX_COST_MAX = 3000;

/** In characters of a literal (about 4 µs each), measured. */
const COST_OF_PROPERTY = 70;
const COST_OF_PERL_CLASS = 2;
/** A range beyond ASCII is folded character by character where case is ignored. */
const COST_OF_FOLDED_RANGE = 2000;

const REPEAT = /\{([0-9]+)(?:,([0-9]*))?\}/y;
const SET = /\[\^?\]?(?:\\.|\[:[^\]]*:\]|[^\]\\])*\]/sy;
const PROPERTY = /\\[pP](?:\{[^}]*\}|.)/gsy;
const IGNORES_CASE = /\(\?[A-Za-z]*i/;
const WIDE_RANGE = /-(?:\\x|[^\0-\x7f])/g;

const countOf = (text: string, pattern: RegExp): number => text.match(pattern)?.length ?? 0;

const setCost = (set: string, ignoresCase: boolean): number =>
  set.length +
  COST_OF_PROPERTY * countOf(set, /\\[pP]/g) +
  (ignoresCase ? COST_OF_FOLDED_RANGE * countOf(set, WIDE_RANGE) : 0);

class CostReader {
  readonly #text: string;
  readonly #ignoresCase: boolean;
  #at = 0;
  /** Cost of each open group but for its last atom. */
  readonly #groups: number[] = [];
  #group = 0;
  #atom = 0;

  constructor(text: string) {
    this.#text = text;
    this.#ignoresCase = IGNORES_CASE.test(text);
  }

  read(): number {
    while (this.#at < this.#text.length) this.#step();
    return this.#groups.reduce((sum, cost) => sum + cost, this.#group + this.#atom);
  }

  #step(): void {
    const char = this.#text[this.#at]!;
    const set = char === '[' ? this.#match(SET) : undefined;
    if (set !== undefined) this.#begin(setCost(set, this.#ignoresCase));
    else if (char === '\\') this.#escape();
    else if (char === '{') this.#repeat();
    else this.#plain(char);
  }

  #plain(char: string): void {
    this.#at += 1;
    if (char === '(') {
      this.#groups.push(this.#group + this.#atom);
      this.#group = 0;
      this.#atom = 1;
    } else if (char === ')' && this.#groups.length > 0) {
      this.#atom += this.#group + 1;
      this.#group = this.#groups.pop()!;
    } else this.#begin(1);
  }

  #escape(): void {
    const property = this.#match(PROPERTY);
    if (property !== undefined) {
      this.#begin(COST_OF_PROPERTY);
      return;
    }
    this.#at += 2;
    this.#begin(COST_OF_PERL_CLASS);
  }

  #repeat(): void {
    const counts = this.#match(REPEAT);
    if (counts === undefined) {
      this.#plain('{');
      return;
    }
    const [low = '0', high = ''] = counts.slice(1, -1).split(',');
    this.#atom *= Math.max(1, Number(low), Number(high));
  }

  #begin(cost: number): void {
    this.#group += this.#atom;
    this.#atom = cost;
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const text = pattern.exec(this.#text)?.[0];
    if (text !== undefined) this.#at += text.length;
    return text;
  }
}

/** Never too low by much; a pattern that is not valid costs something, too. */
export const regexCost = (pattern: string): number => new CostReader(pattern).read();
