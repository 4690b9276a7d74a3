/** Tokens of a Go template, over its bytes. An error is the last token. */

export type TokenKind =
  | 'error'
  | 'eof'
  | 'text'
  | 'left'
  | 'right'
  | 'space'
  | 'identifier'
  | 'keyword'
  | 'field'
  | 'variable'
  | 'number'
  | 'char'
  | 'string'
  | 'bool'
  | 'dot'
  | 'nil'
  | 'pipe'
  | 'declare'
  | 'assign'
  | 'comma'
  | 'openParen'
  | 'closeParen'
  | 'other';

export interface Token {
  readonly kind: TokenKind;
  readonly text: string;
  readonly at: number;
  readonly line: number;
}

const KEYWORDS = new Set(['break', 'continue', 'define', 'else', 'end', 'if', 'range', 'template', 'with', 'block']);
const LEFT = '{{';
const RIGHT = '}}';
const COMMENT_START = '/*';
const COMMENT_END = '*/';
const BLANK = /[ \t\r\n]/;
const WORD = /[A-Za-z0-9_\x80-\xff]*/y;
const NUMBER =
  /[+-]?(?:0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?|0[oO][0-7_]*|0[bB][01_]*|[0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]*)?)i?/y;
const WORD_START = /[A-Za-z_\x80-\xff]/;
const NUMBER_START = /[0-9+-]/;
const DIGIT = /[0-9]/;
const OPERATORS: Readonly<Record<string, TokenKind>> = {
  '=': 'assign',
  ':': 'declare',
  '|': 'pipe',
  ',': 'comma',
  '(': 'openParen',
  ')': 'closeParen',
};
const WORD_KINDS: ReadonlyMap<string, TokenKind> = new Map([
  ['true', 'bool'],
  ['false', 'bool'],
  ['nil', 'nil'],
]);
const WORD_CHAR = /[A-Za-z0-9_\x80-\xff]/;

class LexError extends Error {}

class Lexer {
  readonly tokens: Token[] = [];
  readonly #text: string;
  #at = 0;
  #start = 0;
  #line = 1;
  #countedTo = 0;
  #parens = 0;

  constructor(text: string) {
    this.#text = text;
  }

  run(): readonly Token[] {
    try {
      while (this.#at < this.#text.length) this.#textThenAction();
      this.#start = this.#at;
      this.#emit('eof');
    } catch (error) {
      if (!(error instanceof LexError)) throw error;
      this.tokens.push({ kind: 'error', text: error.message, at: this.#at, line: this.#lineAt(this.#start) });
    }
    return this.tokens;
  }

  #lineAt(position: number): number {
    for (; this.#countedTo < position; this.#countedTo++) if (this.#text[this.#countedTo] === '\n') this.#line++;
    return this.#line;
  }

  #emit(kind: TokenKind): void {
    this.tokens.push({
      kind,
      text: this.#text.slice(this.#start, this.#at),
      at: this.#start,
      line: this.#lineAt(this.#start),
    });
    this.#start = this.#at;
  }

  #textThenAction(): void {
    const open = this.#text.indexOf(LEFT, this.#at);
    const end = open < 0 ? this.#text.length : open;
    const trimsLeft = open >= 0 && this.#isTrim(open + 2);
    this.#start = this.#at;
    this.#at = trimsLeft ? this.#trimmedEnd(this.#at, end) : end;
    if (this.#at > this.#start) this.#emit('text');
    this.#at = end;
    this.#start = end;
    if (open < 0) return;
    const contentAt = open + 2 + (trimsLeft ? 2 : 0);
    if (this.#text.startsWith(COMMENT_START, contentAt)) this.#comment(contentAt);
    else this.#action(open, contentAt);
  }

  #action(open: number, contentAt: number): void {
    this.#at = open + 2;
    this.#emit('left');
    this.#at = contentAt;
    this.#start = contentAt;
    this.#parens = 0;
    this.#insideAction();
  }

  /** `-` and a blank after the opening bracket. */
  #isTrim(at: number): boolean {
    return this.#text[at] === '-' && BLANK.test(this.#text[at + 1] ?? '');
  }

  #trimmedEnd(start: number, end: number): number {
    let at = end;
    while (at > start && BLANK.test(this.#text[at - 1]!)) at--;
    return at;
  }

  #skipBlanksAfter(position: number): void {
    this.#at = position;
    while (BLANK.test(this.#text[this.#at] ?? '')) this.#at++;
    this.#start = this.#at;
  }

  #comment(at: number): void {
    const end = this.#text.indexOf(COMMENT_END, at);
    if (end < 0) throw new LexError('unclosed comment');
    const after = end + COMMENT_END.length;
    const trims = BLANK.test(this.#text[after] ?? '') && this.#text[after + 1] === '-';
    const close = after + (trims ? 2 : 0);
    if (!this.#text.startsWith(RIGHT, close)) throw new LexError('comment ends before closing delimiter');
    this.#at = close + 2;
    this.#start = this.#at;
    if (trims) this.#skipBlanksAfter(this.#at);
  }

  #insideAction(): void {
    for (;;) {
      const trims = BLANK.test(this.#text[this.#at] ?? '') && this.#text.startsWith('-}}', this.#at + 1);
      if (trims || this.#text.startsWith(RIGHT, this.#at)) {
        if (this.#parens !== 0) throw new LexError('unclosed left paren');
        if (trims) this.#at += 2;
        this.#start = this.#at;
        this.#at += 2;
        this.#emit('right');
        if (trims) this.#skipBlanksAfter(this.#at);
        return;
      }
      if (this.#at >= this.#text.length) throw new LexError('unclosed action');
      this.#token(this.#text[this.#at]!);
    }
  }

  #single(kind: TokenKind): void {
    this.#at++;
    this.#emit(kind);
  }

  #token(char: string): void {
    if (BLANK.test(char)) this.#space();
    else if (WORD_START.test(char)) this.#identifier();
    else if (NUMBER_START.test(char)) this.#number();
    else if (char === '.' && DIGIT.test(this.#text[this.#at + 1] ?? '')) this.#number();
    else this.#symbol(char);
  }

  #symbol(char: string): void {
    switch (char) {
      case '"':
        this.#quoted('"', 'string', 'unterminated quoted string');
        break;
      case "'":
        this.#quoted("'", 'char', 'unterminated character constant');
        break;
      case '`':
        this.#raw();
        break;
      case '$':
        this.#fieldOrVariable('variable');
        break;
      case '.':
        this.#fieldOrVariable('field');
        break;
      default:
        this.#operator(char);
    }
  }

  #operator(char: string): void {
    if (char === ':') {
      this.#at++;
      if (this.#text[this.#at] !== '=') throw new LexError('expected :=');
    }
    if (char === '(') this.#parens++;
    if (char === ')' && --this.#parens < 0) throw new LexError('unexpected right paren');
    const kind = OPERATORS[char] ?? 'other';
    if (kind === 'other' && (char < ' ' || char > '~')) {
      throw new LexError(`unrecognized character in action: ${describe(char)}`);
    }
    this.#single(kind);
  }

  #space(): void {
    while (BLANK.test(this.#text[this.#at] ?? '') && !this.#text.startsWith('-}}', this.#at + 1)) this.#at++;
    this.#emit('space');
  }

  #word(): string {
    WORD.lastIndex = this.#at;
    const word = WORD.exec(this.#text)![0];
    this.#at += word.length;
    return word;
  }

  /** A word must be followed by something that can end it. */
  #checkTerminator(): void {
    const char = this.#text[this.#at];
    if (char === undefined || BLANK.test(char) || '.,|:)('.includes(char)) return;
    if (!this.#text.startsWith(RIGHT, this.#at)) throw new LexError(`bad character ${describe(char)}`);
  }

  #identifier(): void {
    const word = this.#word();
    this.#checkTerminator();
    this.#emit(WORD_KINDS.get(word) ?? (KEYWORDS.has(word) ? 'keyword' : 'identifier'));
  }

  #fieldOrVariable(kind: 'field' | 'variable'): void {
    this.#at++;
    const name = this.#word();
    if (name !== '' || kind === 'variable') this.#checkTerminator();
    this.#emit(name === '' && kind === 'field' ? 'dot' : kind);
  }

  #number(): void {
    NUMBER.lastIndex = this.#at;
    const text = NUMBER.exec(this.#text)![0];
    this.#at += Math.max(text.length, 1);
    const goesOn = WORD_CHAR.test(this.#text[this.#at] ?? '');
    if (goesOn) this.#at++;
    if (goesOn || !DIGIT.test(text)) {
      throw new LexError(`bad number syntax: ${JSON.stringify(this.#text.slice(this.#start, this.#at))}`);
    }
    this.#emit('number');
  }

  #quoted(quote: string, kind: 'string' | 'char', unterminated: string): void {
    for (this.#at++; ; this.#at++) {
      const char = this.#text[this.#at];
      if (char === quote) break;
      if (char === '\\' && (this.#text[this.#at + 1] ?? '\n') !== '\n') this.#at++;
      else if (char === undefined || char === '\n' || char === '\\') throw new LexError(unterminated);
    }
    this.#single(kind);
  }

  #raw(): void {
    const close = this.#text.indexOf('`', this.#at + 1);
    if (close < 0) throw new LexError('unterminated raw quoted string');
    this.#at = close;
    this.#single('string');
  }
}

/** `U+002D '-'` */
const describe = (char: string): string =>
  `U+${char.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')} '${char}'`;

export const lexTemplate = (text: string): readonly Token[] => new Lexer(text).run();
