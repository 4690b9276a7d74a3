/**
 * Query text → tokens, one at a time and only when asked: what is wrong further on must not hide an earlier error of the grammar.
 * The rules are those of Go's text/scanner, on which Loki's lexer stands; so are the texts of its errors.
 */
import type { RefusedError } from '../protocol/refusal.ts';
import { parseByteSize, parseDuration, parseGoDuration, parsePrometheusDuration } from './durations.ts';
import { unescapeString } from './literals.ts';
import { scanNumber } from './number-scan.ts';
import { parseErrorAt } from './syntax-error.ts';
import { functionTokens, isTwoCharacterOperator, keywordTokens, operatorTokens, type Token } from './tokens.ts';

const BLANKS = /[ \t\r\n]*/y;
const LINE_COMMENT = /(?:#|\/\/)[^\n]*/y;
const BLOCK_COMMENT = /\/\*[\s\S]*?\*\//y;
const IDENTIFIER = /[_\p{L}][_\p{L}\p{Nd}]*/uy;
/** What makes a word a function: `(`, `by (` or `without (` behind it. */
const CALL = /\s*(?:\(|(?:by|without)\s*\()/iy;
const DURATION_RUN = /[\p{N}.numshdwyµ]+/uy;
const BYTES_RUN = /[\p{N}.BikKMGTP]+/uy;
const FLAG_RUN = /[\p{L}-]+/uy;
const ESCAPE = /\\(?:[abfnrtv\\"]|[0-7]{3}|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})/y;
const CHARACTER_ESCAPE = /\\(?:[abfnrtv\\']|[0-7]{3}|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})/y;

export class Lexer {
  readonly query: string;
  /** The current token. */
  type: Token = '$end';
  /** A word, the value of a string, the digits of a number, a duration or size as written. */
  text = '';
  /** Of a DURATION or RANGE. */
  durationNs = 0n;
  /** Of BYTES. */
  sizeBytes = 0;
  /** Offset of the current token. */
  start = 0;
  /** See parseErrorAt. */
  lineIsLost = false;
  private end = 0;

  constructor(query: string) {
    this.query = query;
    this.end = query.startsWith('\ufeff') ? 1 : 0;
  }

  /** Reads the next token. @throws RefusedError INVALID_QUERY if there is none to be made of the text */
  next(): void {
    this.skipBlanks();
    const { query } = this;
    this.start = this.end;
    this.lineIsLost = false;
    if (this.start >= query.length) {
      this.type = '$end';
      return;
    }
    const first = query.charCodeAt(this.start);
    if (isDigit(first) || (first === DOT && isDigit(query.charCodeAt(this.start + 1)))) this.readNumber();
    else if (first === DOUBLE_QUOTE) this.readString();
    else if (first === BACKQUOTE) this.readRawString();
    else if (first === SINGLE_QUOTE) this.readCharacter();
    else if (first === BRACKET) this.readRange();
    else if (first === MINUS && (this.readFlag() || this.readNegativeDuration())) return;
    else this.readWordOrOperator();
  }

  error(text: string): RefusedError {
    return parseErrorAt(this.query, this.start, this.lineIsLost, text);
  }

  private skipBlanks(): void {
    for (let before = -1; before !== this.end; ) {
      before = this.end;
      this.end = this.matchEnd(BLANKS, this.end);
      const sign = this.query.charCodeAt(this.end);
      if (sign === HASH) this.end = this.matchEnd(LINE_COMMENT, this.end);
      else if (sign === SLASH) this.skipSlashComment();
    }
  }

  private skipSlashComment(): void {
    const second = this.query.charAt(this.end + 1);
    if (second === '/') this.end = this.matchEnd(LINE_COMMENT, this.end);
    if (second !== '*') return;
    const end = this.matchEnd(BLOCK_COMMENT, this.end);
    if (end === this.end) throw parseErrorAt(this.query, this.end, false, 'comment not terminated');
    this.end = end;
  }

  private readNumber(): void {
    const number = scanNumber(this.query, this.start);
    if (number.error !== undefined) throw this.error(number.error);
    this.end = number.end;
    if (this.readDuration() || this.readBytes()) return;
    this.finish('NUMBER', number.end);
  }

  private readDuration(): boolean {
    const end = this.matchEnd(DURATION_RUN, this.end);
    const ns = end === this.end ? undefined : parseDuration(this.query.slice(this.start, end));
    if (ns === undefined) return false;
    this.durationNs = ns;
    this.lineIsLost = true;
    this.finish('DURATION', end);
    return true;
  }

  private readBytes(): boolean {
    const end = this.matchEnd(BYTES_RUN, this.end);
    const size = end === this.end ? undefined : parseByteSize(this.query.slice(this.start, end));
    if (size === undefined) return false;
    this.sizeBytes = size;
    this.lineIsLost = true;
    this.finish('BYTES', end);
    return true;
  }

  private readNegativeDuration(): boolean {
    const end = this.matchEnd(DURATION_RUN, this.start + 1);
    const text = this.query.slice(this.start, end);
    const ns =
      text === '-0' || text === '-' ? undefined : (parseGoDuration(text) ?? negated(parseDuration(text.slice(1))));
    if (ns === undefined) return false;
    this.durationNs = ns;
    this.lineIsLost = true;
    this.finish('DURATION', end);
    return true;
  }

  private readFlag(): boolean {
    if (this.query.charCodeAt(this.start + 1) !== MINUS) return false;
    const end = this.matchEnd(FLAG_RUN, this.start);
    const text = this.query.slice(this.start, end);
    if (text !== '--strict' && text !== '--keep-empty') return false;
    this.lineIsLost = true;
    this.finish('FUNCTION_FLAG', end);
    return true;
  }

  private readString(): void {
    const end = this.quotedEnd(DOUBLE_QUOTE, ESCAPE);
    const text = unescapeString(this.query.slice(this.start + 1, end - 1));
    if (text === undefined) throw this.error('invalid syntax');
    this.finish('STRING', end);
    this.text = text;
  }

  private readRawString(): void {
    const close = this.query.indexOf('`', this.start + 1);
    if (close === -1) throw this.error('literal not terminated');
    this.finish('STRING', close + 1);
    this.text = this.query.slice(this.start + 1, close);
  }

  /** `'x'` scans as a Go character, which LogQL takes for an odd identifier; anything longer is an error. */
  private readCharacter(): void {
    const end = this.quotedEnd(SINGLE_QUOTE, CHARACTER_ESCAPE);
    const body = this.query.slice(this.start + 1, end - 1);
    if (!body.startsWith('\\') && [...body].length !== 1) throw this.error('invalid char literal');
    if (body.startsWith('\\') && this.matchEnd(CHARACTER_ESCAPE, this.start + 1) !== end - 1)
      throw this.error('invalid char literal');
    this.finish('IDENTIFIER', end);
  }

  private quotedEnd(quote: number, escapes: RegExp): number {
    for (let at = this.start + 1; at < this.query.length; at++) {
      const code = this.query.charCodeAt(at);
      if (code === quote) return at + 1;
      if (code === NEWLINE) break;
      if (code !== BACKSLASH) continue;
      const end = this.matchEnd(escapes, at);
      if (end === at) throw this.error('invalid char escape');
      at = end - 1;
    }
    throw this.error('literal not terminated');
  }

  private readRange(): void {
    const close = this.query.indexOf(']', this.start + 1);
    this.lineIsLost = true;
    if (close === -1) throw this.error("missing closing ']' in duration");
    const duration = parsePrometheusDuration(this.query.slice(this.start + 1, close));
    if ('error' in duration) throw this.error(duration.error);
    this.durationNs = duration.ns;
    this.finish('RANGE', close + 1);
  }

  private readWordOrOperator(): void {
    const wordEnd = this.matchEnd(IDENTIFIER, this.start);
    if (wordEnd > this.start) {
      this.finish('IDENTIFIER', wordEnd);
      const lower = this.text.toLowerCase();
      const call = functionTokens.get(lower);
      if (call !== undefined && this.matchEnd(CALL, wordEnd) > wordEnd) this.type = call;
      else this.type = keywordTokens.get(lower) ?? 'IDENTIFIER';
      return;
    }
    const two = this.query.slice(this.start, this.start + 2);
    this.lineIsLost = isTwoCharacterOperator(two);
    const length = this.lineIsLost ? 2 : (this.query.codePointAt(this.start) ?? 0) > 0xffff ? 2 : 1;
    const text = this.query.slice(this.start, this.start + length);
    this.finish(operatorTokens.get(text) ?? 'IDENTIFIER', this.start + length);
  }

  private finish(type: Token, end: number): void {
    this.type = type;
    this.end = end;
    this.text = this.query.slice(this.start, end);
  }

  private matchEnd(pattern: RegExp, from: number): number {
    pattern.lastIndex = from;
    return pattern.test(this.query) ? pattern.lastIndex : from;
  }
}

const isDigit = (code: number): boolean => code >= 0x30 && code <= 0x39;
const negated = (ns: bigint | undefined): bigint | undefined => (ns === undefined ? undefined : -ns);

const NEWLINE = 0x0a;
const DOUBLE_QUOTE = 0x22;
const HASH = 0x23;
const SINGLE_QUOTE = 0x27;
const MINUS = 0x2d;
const DOT = 0x2e;
const SLASH = 0x2f;
const BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const BACKQUOTE = 0x60;
