/** Paths of `| json name="path"`: `f`, `f.g`, `["any key"]`, `[0]` and mixes, with the errors of Loki's little grammar. */

export type JsonPath = readonly (string | number)[];

const STEPS_MAX = 200;

type Token =
  | { readonly kind: 'FIELD'; readonly text: string }
  | { readonly kind: 'STRING'; readonly text: string }
  | { readonly kind: 'INDEX'; readonly value: number }
  | { readonly kind: 'DOT' | 'LSB' | 'RSB' | '$end' };

const FIELD = /[A-Za-z_][A-Za-z0-9_]*/y;
const ENDS_FIELD = /[\s.[\]]/;
const INDEX = /[0-9]+/y;
const STRING = /"((?:[^"\\]|\\.)*)"/y;

class PathLexer {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text);
    if (match !== null) this.#at += match[0].length;
    return match;
  }

  next(): Token {
    while (/\s/.test(this.#text[this.#at] ?? 'x')) this.#at++;
    const char = this.#text[this.#at];
    if (char === undefined) return { kind: '$end' };
    const field = this.#match(FIELD);
    if (field !== null) return this.#field(field[0]);
    if (char === '.' || char === '[' || char === ']') {
      this.#at++;
      return { kind: char === '.' ? 'DOT' : char === '[' ? 'LSB' : 'RSB' };
    }
    const index = this.#match(INDEX);
    if (index !== null) return { kind: 'INDEX', value: Number(index[0]) };
    // Loki's lexer takes a character it does not know for the end.
    return char === '"' ? this.#string() : { kind: '$end' };
  }

  #field(text: string): Token {
    const next = this.#text.codePointAt(this.#at);
    const char = next === undefined ? '' : String.fromCodePoint(next);
    if (char !== '' && !ENDS_FIELD.test(char)) throw new Error(`unexpected char ${char}`);
    return { kind: 'FIELD', text };
  }

  /** An unclosed string runs to the end of the text. */
  #string(): Token {
    const closed = this.#match(STRING);
    if (closed !== null) return { kind: 'STRING', text: closed[1]!.replace(/\\(.)/g, '$1') };
    const text = this.#text.slice(this.#at + 1);
    this.#at = this.#text.length;
    return { kind: 'STRING', text };
  }
}

const refuse = (token: Token, expecting: string): Error =>
  new Error(`syntax error: unexpected ${token.kind}${expecting === '' ? '' : `, expecting ${expecting}`}`);

const readBracket = (lexer: PathLexer): string | number => {
  const token = lexer.next();
  if (token.kind !== 'STRING' && token.kind !== 'INDEX') throw refuse(token, 'STRING or INDEX');
  const close = lexer.next();
  if (close.kind !== 'RSB') throw refuse(close, 'RSB');
  return token.kind === 'STRING' ? token.text : token.value;
};

const parse = (text: string): JsonPath => {
  const lexer = new PathLexer(text);
  const path: (string | number)[] = [];
  for (let token = lexer.next(); ; token = lexer.next()) {
    if (path.length > STEPS_MAX) throw new Error('too many steps');
    if (token.kind === 'LSB') {
      path.push(readBracket(lexer));
    } else if (path.length === 0) {
      if (token.kind !== 'FIELD') throw refuse(token, 'LSB or FIELD');
      path.push(token.text);
    } else if (token.kind === 'DOT') {
      const field = lexer.next();
      if (field.kind !== 'FIELD') throw refuse(field, 'FIELD');
      path.push(field.text);
    } else if (token.kind === '$end') {
      return path;
    } else {
      throw refuse(token, '');
    }
  }
};

/** @throws Error with Loki's text: `cannot parse expression [a-b]: unexpected char -` */
export const parseJsonPath = (text: string): JsonPath => {
  try {
    return parse(text);
  } catch (error) {
    throw new Error(`cannot parse expression [${text}]: ${(error as Error).message}`, { cause: error });
  }
};
