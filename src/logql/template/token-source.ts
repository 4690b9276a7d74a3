/** Tokens with look-ahead, and the errors that name them. */
import { quoteGo } from '../../protocol/go-quote.ts';
import { fromByteText } from './byte-text.ts';
import { lexTemplate, type Token, type TokenKind } from './lexer.ts';

const SHOWN_CHARS_MAX = 10;

const describe = ({ kind, text }: Token): string => {
  if (kind === 'eof') return 'EOF';
  if (kind === 'keyword') return `<${text}>`;
  const shown = fromByteText(text);
  return shown.length > SHOWN_CHARS_MAX ? `${quoteGo(shown.slice(0, SHOWN_CHARS_MAX))}...` : quoteGo(shown);
};

export class TokenSource {
  readonly #name: string;
  readonly #tokens: readonly Token[];
  #index = 0;

  constructor(name: string, text: string) {
    this.#name = name;
    this.#tokens = lexTemplate(text);
  }

  #tokenAt(index: number): Token {
    return this.#tokens[Math.min(index, this.#tokens.length - 1)]!;
  }

  next(): Token {
    const token = this.peek();
    this.#index = Math.min(this.#index + 1, this.#tokens.length);
    return token;
  }

  peek(): Token {
    return this.#tokenAt(this.#index);
  }

  /** Undoes the reading of `token` (and of blanks before it). */
  back(token: Token): void {
    this.#index = this.#tokens.indexOf(token, Math.max(0, this.#index - 3));
  }

  nextNonSpace(): Token {
    while (this.peek().kind === 'space') this.#index++;
    return this.next();
  }

  peekNonSpace(): Token {
    while (this.peek().kind === 'space') this.#index++;
    return this.peek();
  }

  /** The token after the next one, blanks skipped; nothing is read. */
  peekSecondNonSpace(): Token {
    let index = this.#index + 1;
    while (this.#tokenAt(index).kind === 'space') index++;
    return this.#tokenAt(index);
  }

  nextNonSpaceIs(kind: TokenKind): boolean {
    if (this.peekNonSpace().kind !== kind) return false;
    this.#index++;
    return true;
  }

  expect(kind: TokenKind, context: string): Token {
    const token = this.nextNonSpace();
    if (token.kind !== kind) throw this.unexpected(token, context);
    return token;
  }

  /** An error at the line of the token read last. */
  error(text: string): Error {
    const { line } = this.#tokenAt(Math.max(0, this.#index - 1));
    return new Error(`template: ${this.#name}:${line}: ${text}`);
  }

  unexpected(token: Token, context: string): Error {
    return this.error(token.kind === 'error' ? token.text : `unexpected ${describe(token)} in ${context}`);
  }
}
