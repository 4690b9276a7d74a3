/**
 * Tokens of label-set text, as the PromQL lexer that Loki uses cuts them: its rules decide which error a client sees. Only what can
 * stand in or around a label set is told apart.
 */
import { characterSize, textOfBytes } from './byte-text.ts';
import { quoteGoRune } from './go-quote.ts';

export type TokenType = 'identifier' | 'string' | 'number' | 'punctuation' | 'operator' | 'error' | 'end';

export interface Token {
  readonly type: TokenType;
  /** Bytes [start, end) of the input. */
  readonly start: number;
  readonly end: number;
  /** Only of an error. */
  readonly text: string;
}

const char = (text: string): number => text.charCodeAt(0);
const NEWLINE = char('\n');
const BACKSLASH = char('\\');
const BACKTICK = char('`');
const PUNCTUATION_INSIDE = new Set([...'},='].map(char));
const PUNCTUATION_OUTSIDE = new Set([...'{,=([:'].map(char));
const OPERATORS_OUTSIDE = new Set([...'*/%+-^<>@'].map(char));
const SIMPLE_ESCAPES = new Set([...'abfnrtv\\'].map(char));

const isSpace = (byte: number): boolean => byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d;
const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39;
const isAlpha = (byte: number): boolean =>
  byte === 0x5f || (byte >= 0x61 && byte <= 0x7a) || (byte >= 0x41 && byte <= 0x5a);

export class LabelLexer {
  readonly #bytes: Uint8Array;
  #at = 0;
  #isInside = false;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** After `end` or an error every further call gives `end`. */
  next(): Token {
    this.#skipBlanks();
    const start = this.#at;
    if (start >= this.#bytes.length) {
      return this.#isInside
        ? this.#error(start, 'unexpected end of input inside braces')
        : this.#token('end', start, 0);
    }
    const byte = this.#bytes[start]!;
    if (isAlpha(byte) || (byte === char(':') && !this.#isInside)) return this.#identifier(start);
    if (byte === char('"') || byte === char("'")) return this.#string(start, byte);
    if (byte === BACKTICK) return this.#rawString(start);
    return this.#isInside ? this.#inside(start, byte) : this.#outside(start, byte);
  }

  #inside(start: number, byte: number): Token {
    const following = this.#bytes[start + 1];
    if (byte === char('=') && following === char('~')) return this.#token('operator', start, 2);
    if (byte === char('!')) {
      if (following === char('~') || following === char('=')) return this.#token('operator', start, 2);
      return this.#error(start, `unexpected character after '!' inside braces: ${this.#quotedRune(start + 1)}`);
    }
    if (byte === char('{')) return this.#error(start, "unexpected left brace '{'");
    if (byte === char('}')) this.#isInside = false;
    if (PUNCTUATION_INSIDE.has(byte)) return this.#token('punctuation', start, 1);
    return this.#error(start, `unexpected character inside braces: ${this.#quotedRune(start)}`);
  }

  #outside(start: number, byte: number): Token {
    const following = this.#bytes[start + 1];
    if (byte === char('{')) this.#isInside = true;
    if (byte === char('=') && following === char('~')) {
      return this.#error(start, "unexpected character after '=': '~'");
    }
    if (byte === char('!') && following === char('=')) return this.#token('operator', start, 2);
    if (byte === char('!')) {
      return this.#error(start, `unexpected character after '!': ${this.#quotedRune(start + 1)}`);
    }
    if (PUNCTUATION_OUTSIDE.has(byte)) return this.#token('punctuation', start, 1);
    if (OPERATORS_OUTSIDE.has(byte)) return this.#token('operator', start, 1);
    if (isDigit(byte)) return this.#number(start);
    if (byte === char('}')) return this.#error(start, "unexpected right brace '}'");
    if (byte === char(')')) return this.#error(start, "unexpected right parenthesis ')'");
    if (byte === char(']')) return this.#error(start, "unexpected right bracket ']'");
    return this.#error(start, `unexpected character: ${this.#quotedRune(start)}`);
  }

  #identifier(start: number): Token {
    let end = start + 1;
    while (end < this.#bytes.length) {
      const byte = this.#bytes[end]!;
      if (!isAlpha(byte) && !isDigit(byte) && (byte !== char(':') || this.#isInside)) break;
      end += 1;
    }
    return this.#token('identifier', start, end - start);
  }

  #number(start: number): Token {
    let end = start;
    while (end < this.#bytes.length && (isDigit(this.#bytes[end]!) || this.#bytes[end] === char('.'))) end += 1;
    const byte = this.#bytes[end];
    if (byte === undefined || !isAlpha(byte)) return this.#token('number', start, end - start);
    return this.#error(start, `bad number or duration syntax: "${textOfBytes(this.#bytes, start, end + 1)}"`);
  }

  #string(start: number, quote: number): Token {
    const bytes = this.#bytes;
    let at = start + 1;
    while (at < bytes.length && bytes[at] !== NEWLINE) {
      const byte = bytes[at]!;
      if (byte === quote) return this.#token('string', start, at + 1 - start);
      if (byte === BACKSLASH) {
        const size = this.#escapeSize(at, quote);
        if (typeof size === 'string') return this.#error(start, size);
        at += size;
        continue;
      }
      const size = characterSize(bytes, at, bytes.length);
      if (size === 0) return this.#error(start, 'invalid UTF-8 rune');
      at += size;
    }
    return this.#error(start, 'unterminated quoted string');
  }

  #rawString(start: number): Token {
    let at = start + 1;
    while (at < this.#bytes.length) {
      if (this.#bytes[at] === BACKTICK) return this.#token('string', start, at + 1 - start);
      const size = characterSize(this.#bytes, at, this.#bytes.length);
      if (size === 0) return this.#error(start, 'invalid UTF-8 rune');
      at += size;
    }
    return this.#error(start, 'unterminated raw string');
  }

  /** Bytes of the escape sequence at `at`, or what is wrong with it. */
  #escapeSize(at: number, quote: number): number | string {
    const kind = this.#bytes[at + 1];
    if (kind === undefined) return 'escape sequence not terminated';
    if (kind === quote || SIMPLE_ESCAPES.has(kind)) return 2;
    if (kind >= 0x30 && kind <= 0x37) return this.#digits(at + 1, 3, 8, 255) ?? 4;
    if (kind === char('x')) return this.#digits(at + 2, 2, 16, 255) ?? 4;
    if (kind === char('u')) return this.#digits(at + 2, 4, 16, 0x10ffff) ?? 6;
    if (kind === char('U')) return this.#digits(at + 2, 8, 16, 0x10ffff) ?? 10;
    return `unknown escape sequence ${this.#unicodeRune(at + 1)}`;
  }

  /** What is wrong with the digits of an escape sequence. */
  #digits(at: number, count: number, base: number, max: number): string | undefined {
    let value = 0;
    for (let index = at; index < at + count; index += 1) {
      const byte = this.#bytes[index];
      if (byte === undefined) return 'escape sequence not terminated';
      const digit = byte < 0x80 ? Number.parseInt(String.fromCharCode(byte), base) : Number.NaN;
      if (Number.isNaN(digit)) return `illegal character ${this.#unicodeRune(index)} in escape sequence`;
      value = value * base + digit;
    }
    const isSurrogate = value >= 0xd800 && value < 0xe000;
    return value > max || isSurrogate ? 'escape sequence is an invalid Unicode code point' : undefined;
  }

  #skipBlanks(): void {
    for (; this.#at < this.#bytes.length; this.#at += 1) {
      const byte = this.#bytes[this.#at]!;
      if (byte === char('#')) {
        while (this.#at < this.#bytes.length && this.#bytes[this.#at] !== NEWLINE) this.#at += 1;
      } else if (!isSpace(byte)) return;
    }
  }

  #runeAt(at: number): string | undefined {
    if (at >= this.#bytes.length) return undefined;
    const size = characterSize(this.#bytes, at, this.#bytes.length);
    return size === 0 ? '\ufffd' : textOfBytes(this.#bytes, at, at + size);
  }

  /** Go's %q; the end of the input is the rune -1. */
  #quotedRune(at: number): string {
    return quoteGoRune(this.#runeAt(at) ?? '\ufffd');
  }

  /** Go's %#U: `U+0071 'q'`. */
  #unicodeRune(at: number): string {
    const rune = this.#runeAt(at) ?? '\ufffd';
    const number = rune.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0');
    const quoted = quoteGoRune(rune);
    return quoted.startsWith("'\\") && rune !== '\\' ? `U+${number}` : `U+${number} '${rune}'`;
  }

  #token(type: TokenType, start: number, size: number): Token {
    this.#at = start + size;
    return { type, start, end: this.#at, text: '' };
  }

  #error(start: number, text: string): Token {
    this.#at = this.#bytes.length;
    this.#isInside = false;
    return { type: 'error', start, end: start, text };
  }
}
