/** The parser's view of the tokens: one of look-ahead, read only when needed, and the errors of the grammar. */
import type { RefusedError } from '../protocol/refusal.ts';
import { Lexer } from './lexer.ts';
import { REGEX_COST_MAX } from './regex-cost.ts';
import { parseError } from './syntax-error.ts';
import type { Token } from './tokens.ts';

/**
 * Levels of the tree: a chain of operators has as many as operators. Chosen: recursion over it must fit a default stack several times.
 */
const HEIGHT_MAX = 1000;

/** Levels of the parser itself: parentheses, calls, what groups to the right. A level takes up to 1.5 KB of stack; people write below 20. */
const NESTING_MAX = 250;

export class TokenReader {
  /** Height of the tree made by the last parsing function that counts it (operators, parentheses, label filters). */
  height = 0;
  /**
   * Errors Loki keeps in the node it builds and reports only once the whole text has parsed, root first (see checks.ts).
   */
  readonly deferred = new Map<object, string>();
  private readonly lexer: Lexer;
  private isRead = false;
  private nesting = 0;
  private regexCost = 0;

  constructor(query: string) {
    this.lexer = new Lexer(query);
  }

  peek(): Token {
    if (!this.isRead) {
      this.lexer.next();
      this.isRead = true;
    }
    return this.lexer.type;
  }

  /** The text of the current token: the word, the value of a string, digits, a duration as written. */
  get text(): string {
    return this.lexer.text;
  }

  get durationNs(): bigint {
    return this.lexer.durationNs;
  }

  get sizeBytes(): number {
    return this.lexer.sizeBytes;
  }

  /** Consumes the current token and hands back its text. */
  take(): string {
    this.peek();
    this.isRead = false;
    return this.lexer.text;
  }

  /** Consumes the token if it is of this type. */
  accept(type: Token): boolean {
    if (this.peek() !== type) return false;
    this.isRead = false;
    return true;
  }

  /** Consumes a token that must be of this type. `expected`: what Loki's message lists, if not the type alone. */
  expect(type: Token, expected: string = type): string {
    if (this.peek() !== type) throw this.unexpected(expected);
    return this.take();
  }

  /** `expected`: undefined where Loki lists nothing, for it accepts more than four tokens there or would reduce first. */
  unexpected(expected?: string): RefusedError {
    const found = `syntax error: unexpected ${this.peek()}`;
    return this.lexer.error(expected === undefined ? found : `${found}, expecting ${expected}`);
  }

  /** Runs `parse` one level deeper. */
  nested<T>(parse: () => T): T {
    this.nesting++;
    if (this.nesting > NESTING_MAX) throw tooDeep();
    const result = parse();
    this.nesting--;
    return result;
  }

  /** Adds to what the regular expressions of the whole query may cost. */
  readonly chargeRegex = (cost: number): void => {
    this.regexCost += cost;
    if (this.regexCost > REGEX_COST_MAX) throw parseError('error parsing regexp: expression too large');
  };

  /** Records that a node stands on subtrees of these heights. */
  grow(left: number, right: number): void {
    this.height = Math.max(left, right) + 1;
    if (this.height > HEIGHT_MAX) throw tooDeep();
  }
}

const tooDeep = (): RefusedError => parseError('query nests too deeply');
