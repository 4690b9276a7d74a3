import { CorruptChunkError } from './corrupt-chunk-error.ts';

const SPACE = /[ \t\n\r]*/y;
const STRING = /"(?:[^"\\]|\\.)*"/y;
const NUMBER = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const WORD = /true|false|null/y;
const DEPTH_MAX = 64;

/** Reads JSON in sequence and hands out numbers as they are written. All methods throw CorruptChunkError where the text is not JSON. */
export class JsonScanner {
  readonly #text: string;
  #offset = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** An object; `onField` must read the value of the field it is given. */
  object(onField: (name: string) => void): void {
    this.#expect('{');
    if (this.#accept('}')) return;
    do {
      const name = this.string();
      this.#expect(':');
      onField(name);
    } while (this.#accept(','));
    this.#expect('}');
  }

  string(): string {
    return JSON.parse(this.#match(STRING)) as string;
  }

  number(): string {
    return this.#match(NUMBER);
  }

  /** A value of any shape. */
  skip(depth = 0): void {
    if (depth > DEPTH_MAX) throw new CorruptChunkError('chunk metadata is nested too deep');
    switch (this.#peek()) {
      case '{':
        this.object(() => this.skip(depth + 1));
        return;
      case '[':
        this.#skipArray(depth);
        return;
      case '"':
        this.string();
        return;
      case 't':
      case 'f':
      case 'n':
        this.#match(WORD);
        return;
      default:
        this.number();
    }
  }

  /** Nothing but space is left. */
  end(): void {
    if (this.#peek() !== '') throw new CorruptChunkError('chunk metadata goes on after its end');
  }

  #skipArray(depth: number): void {
    this.#expect('[');
    if (this.#accept(']')) return;
    do this.skip(depth + 1);
    while (this.#accept(','));
    this.#expect(']');
  }

  #peek(): string {
    SPACE.lastIndex = this.#offset;
    SPACE.test(this.#text);
    this.#offset = SPACE.lastIndex;
    return this.#text.charAt(this.#offset);
  }

  #accept(character: string): boolean {
    if (this.#peek() !== character) return false;
    this.#offset += 1;
    return true;
  }

  #expect(character: string): void {
    if (!this.#accept(character)) throw new CorruptChunkError(`chunk metadata lacks a ${character}`);
  }

  #match(pattern: RegExp): string {
    this.#peek();
    pattern.lastIndex = this.#offset;
    const match = pattern.exec(this.#text);
    if (!match) throw new CorruptChunkError('chunk metadata is not JSON');
    this.#offset = pattern.lastIndex;
    return match[0];
  }
}
