/**
 * Enough of Go's regular-expression syntax to see which literals a pattern needs. It only reads patterns that re2js has accepted, and
 * answers undefined wherever it is not sure; matching itself is re2js's alone.
 */

export type RegexNode =
  | { readonly kind: 'literal'; readonly text: string; readonly ignoresCase: boolean }
  | { readonly kind: 'concat'; readonly parts: readonly RegexNode[] }
  | { readonly kind: 'alternation'; readonly options: readonly RegexNode[] }
  | { readonly kind: 'repeat'; readonly part: RegexNode; readonly min: number; readonly max: number }
  | { readonly kind: 'anyChar'; readonly matchesNewline: boolean }
  /** One character of a set: what exactly is not kept. */
  | { readonly kind: 'set' }
  /** `^ $ \b \A \z …`: matches no character. */
  | { readonly kind: 'assertion' };

interface Flags {
  readonly i: boolean;
  readonly s: boolean;
}

class NotSure extends Error {}

const ESCAPED: Readonly<Record<string, string>> = { a: '\u0007', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' };
const SETS = 'dDsSwW';
const ASSERTIONS = 'bBAz';
const REPEAT = /\{([0-9]+)(,([0-9]*))?\}/y;
const HEX_ESCAPE = /\\x(?:([0-9a-fA-F]{2})|\{([0-9a-fA-F]+)\})/y;
const PROPERTY = /\\[pP](?:\{[^}]*\}|.)/y;
const GROUP = /\(\?(?:P?<[^>]*>|([imsU]*)(?:-([imsU]*))?([:)]))/y;
const SET_CLASS = /\[:\^?[a-z]+:\]/y;
const DEPTH_MAX = 200;

class Reader {
  readonly #text: string;
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  read(): RegexNode {
    const node = this.#alternation({ i: false, s: false });
    if (this.#at < this.#text.length) throw new NotSure();
    return node;
  }

  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text);
    if (match !== null) this.#at += match[0].length;
    return match;
  }

  #alternation(initial: Flags): RegexNode {
    if (++this.#depth > DEPTH_MAX) throw new NotSure();
    let flags = initial;
    const options: RegexNode[] = [];
    let parts: RegexNode[] = [];
    while (this.#at < this.#text.length && this.#text[this.#at] !== ')') {
      if (this.#text[this.#at] === '|') {
        this.#at++;
        options.push(concat(parts));
        parts = [];
        continue;
      }
      const item = this.#item(flags);
      if ('node' in item) parts.push(this.#repeated(item.node));
      else flags = item.flags;
    }
    options.push(concat(parts));
    this.#depth--;
    return options.length === 1 ? options[0]! : { kind: 'alternation', options };
  }

  #item(flags: Flags): { readonly node: RegexNode } | { readonly flags: Flags } {
    const char = this.#text[this.#at]!;
    if (char === '(') return this.#group(flags);
    if (char === '\\') return { node: this.#escape(flags) };
    if (char === '[') return { node: this.#set() };
    if ('*+?{'.includes(char) && char !== '{') throw new NotSure();
    const rune = String.fromCodePoint(this.#text.codePointAt(this.#at)!);
    this.#at += rune.length;
    if (rune === '.') return { node: { kind: 'anyChar', matchesNewline: flags.s } };
    if (rune === '^' || rune === '$') return { node: { kind: 'assertion' } };
    return { node: literal(rune, flags) };
  }

  #group(flags: Flags): { readonly node: RegexNode } | { readonly flags: Flags } {
    let inner = flags;
    const special = this.#match(GROUP);
    if (special === null) {
      if (this.#text.startsWith('(?', this.#at)) throw new NotSure();
      this.#at++;
    } else {
      const on = special[1] ?? '';
      const off = special[2] ?? '';
      const read = (flag: 'i' | 's'): boolean => (on.includes(flag) || flags[flag]) && !off.includes(flag);
      inner = { i: read('i'), s: read('s') };
      if (special[3] === ')') return { flags: inner };
    }
    const node = this.#alternation(inner);
    if (this.#text[this.#at] !== ')') throw new NotSure();
    this.#at++;
    return { node };
  }

  #escape(flags: Flags): RegexNode {
    const next = this.#text[this.#at + 1];
    if (next === undefined) throw new NotSure();
    const hex = this.#match(HEX_ESCAPE);
    if (hex !== null) return literal(String.fromCodePoint(Number.parseInt(hex[1] ?? hex[2]!, 16)), flags);
    if (this.#match(PROPERTY) !== null) return { kind: 'set' };
    if (next === 'Q') return this.#quoted(flags);
    this.#at += 2;
    if (SETS.includes(next)) return { kind: 'set' };
    if (ASSERTIONS.includes(next)) return { kind: 'assertion' };
    const plain = ESCAPED[next];
    if (plain !== undefined) return literal(plain, flags);
    if (/[A-Za-z0-9]/.test(next) || next.charCodeAt(0) >= 0x80) throw new NotSure();
    return literal(next, flags);
  }

  #quoted(flags: Flags): RegexNode {
    const close = this.#text.indexOf('\\E', this.#at);
    // A repetition after \E binds to the last character only: not worth telling apart.
    if (close < 0 || '*+?{'.includes(this.#text[close + 2] ?? ' ')) throw new NotSure();
    const text = this.#text.slice(this.#at + 2, close);
    this.#at = close + 2;
    return text === '' ? concat([]) : literal(text, flags);
  }

  #set(): RegexNode {
    this.#at++;
    if (this.#text[this.#at] === '^') this.#at++;
    let isFirst = true;
    for (;;) {
      const char = this.#text[this.#at];
      if (char === undefined) throw new NotSure();
      if (char === ']' && !isFirst) break;
      isFirst = false;
      if (this.#match(SET_CLASS) !== null || this.#match(PROPERTY) !== null || this.#match(HEX_ESCAPE) !== null)
        continue;
      this.#at += char === '\\' ? 2 : 1;
    }
    this.#at++;
    return { kind: 'set' };
  }

  #repeated(node: RegexNode): RegexNode {
    const char = this.#text[this.#at];
    const bounds = this.#bounds(char);
    if (bounds === undefined) return node;
    if (this.#text[this.#at] === '?') this.#at++;
    return { kind: 'repeat', part: node, ...bounds };
  }

  #bounds(char: string | undefined): { readonly min: number; readonly max: number } | undefined {
    if (char === '*' || char === '+' || char === '?') {
      this.#at++;
      return { min: char === '+' ? 1 : 0, max: char === '?' ? 1 : Number.POSITIVE_INFINITY };
    }
    const counts = char === '{' ? this.#match(REPEAT) : null;
    if (counts === null) return undefined;
    const min = Number(counts[1]);
    const max = counts[2] === undefined ? min : counts[3] === '' ? Number.POSITIVE_INFINITY : Number(counts[3]);
    return { min, max };
  }
}

const literal = (text: string, flags: Flags): RegexNode => ({
  kind: 'literal',
  text,
  ignoresCase: flags.i && text.toLowerCase() !== text.toUpperCase(),
});

const concat = (parts: readonly RegexNode[]): RegexNode => (parts.length === 1 ? parts[0]! : { kind: 'concat', parts });

/** The parsed form of a pattern that re2js accepts; undefined if it uses something this reader does not know. */
export const parseRegex = (pattern: string): RegexNode | undefined => {
  try {
    return new Reader(pattern).read();
  } catch (error) {
    if (error instanceof NotSure) return undefined;
    throw error;
  }
};
