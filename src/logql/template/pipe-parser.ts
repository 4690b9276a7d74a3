/** What stands inside `{{ }}`: pipelines, commands, operands. */
import { quoteGo } from '../../protocol/go-quote.ts';
import { fromByteText } from './byte-text.ts';
import { parseNumberLiteral, unquote } from './constants.ts';
import type { Token, TokenKind } from './lexer.ts';
import type { Command, Operand, Pipe } from './nodes.ts';
import { printNode } from './nodes.ts';
import type { TokenSource } from './token-source.ts';

const NOT_EXECUTABLE: ReadonlySet<Operand['kind']> = new Set(['bool', 'dot', 'nil', 'number', 'string']);
const DEPTH_MAX = 200;

interface Declaration {
  readonly variables: readonly string[];
  readonly isAssign: boolean;
}

export class PipeParser {
  readonly #tokens: TokenSource;
  readonly #functions: ReadonlySet<string>;
  #variables: string[] = ['$'];
  #depth = 0;

  constructor(tokens: TokenSource, functions: ReadonlySet<string>) {
    this.#tokens = tokens;
    this.#functions = functions;
  }

  get scopeSize(): number {
    return this.#variables.length;
  }

  shrinkScope(size: number): void {
    this.#variables.length = size;
  }

  /** A template of its own sees no variables from outside. */
  startScope(): string[] {
    const outer = this.#variables;
    this.#variables = ['$'];
    return outer;
  }

  restoreScope(outer: string[]): void {
    this.#variables = outer;
  }

  unquoted(token: Token): string {
    const text = unquote(token.text);
    if (text === undefined) throw this.#tokens.error('invalid syntax');
    return text;
  }

  /** Reads up to and including the token `end`. */
  pipeline(context: string, end: TokenKind): Pipe {
    if (++this.#depth > DEPTH_MAX) throw this.#tokens.error('nested too deeply');
    const at = this.#tokens.peekNonSpace().at;
    const { variables, isAssign } = this.#declaration(context);
    const commands: Command[] = [];
    for (;;) {
      const token = this.#tokens.nextNonSpace();
      if (token.kind === end) break;
      this.#checkStart(token, context);
      this.#tokens.back(token);
      commands.push(this.#command());
    }
    this.#depth--;
    this.#check(commands, context);
    return { kind: 'pipe', at, isAssign, variables, commands };
  }

  #checkStart(token: Token, context: string): void {
    switch (token.kind) {
      case 'bool':
      case 'char':
      case 'dot':
      case 'field':
      case 'identifier':
      case 'number':
      case 'nil':
      case 'string':
      case 'variable':
      case 'openParen':
        return;
      default:
        throw this.#tokens.unexpected(token, context);
    }
  }

  #check(commands: readonly Command[], context: string): void {
    if (commands.length === 0) throw this.#tokens.error(`missing value for ${context}`);
    for (const [index, command] of commands.entries()) {
      if (index > 0 && NOT_EXECUTABLE.has(command.args[0]!.kind)) {
        throw this.#tokens.error(`non executable command in pipeline stage ${index + 1}`);
      }
    }
  }

  #declaration(context: string): Declaration {
    const variables: string[] = [];
    for (;;) {
      const variable = this.#tokens.peekNonSpace();
      if (variable.kind !== 'variable') break;
      this.#tokens.next();
      const next = this.#tokens.peekNonSpace();
      if (next.kind === 'declare' || next.kind === 'assign') {
        this.#tokens.next();
        variables.push(variable.text);
        const isAssign = next.kind === 'assign';
        if (isAssign) this.#checkVariable(variable.text);
        else this.#variables.push(variable.text);
        return { variables, isAssign };
      }
      if (next.kind === 'comma' && context === 'range' && variables.length < 2) {
        this.#tokens.next();
        variables.push(variable.text);
        this.#variables.push(variable.text);
        const after = this.#tokens.peekNonSpace();
        if (after.kind !== 'variable') throw this.#tokens.error('range can only initialize variables');
        continue;
      }
      if (next.kind === 'comma') throw this.#tokens.error(`too many declarations in ${context}`);
      this.#tokens.back(variable);
      break;
    }
    return { variables, isAssign: false };
  }

  #checkVariable(name: string): void {
    if (!this.#variables.includes(name)) throw this.#tokens.error(`undefined variable ${quoteGo(fromByteText(name))}`);
  }

  #command(): Command {
    const at = this.#tokens.peekNonSpace().at;
    const args: Operand[] = [];
    for (;;) {
      this.#tokens.peekNonSpace();
      const operand = this.#operand();
      if (operand !== undefined) args.push(operand);
      const token = this.#tokens.next();
      if (token.kind === 'space') continue;
      if (token.kind === 'right' || token.kind === 'closeParen') this.#tokens.back(token);
      else if (token.kind !== 'pipe') throw this.#tokens.unexpected(token, 'operand');
      break;
    }
    if (args.length === 0) throw this.#tokens.error('empty command');
    return { kind: 'command', at, args };
  }

  #operand(): Operand | undefined {
    const node = this.#term();
    if (node === undefined || this.#tokens.peek().kind !== 'field') return node;
    const { at } = this.#tokens.peek();
    const path: string[] = [];
    while (this.#tokens.peek().kind === 'field') path.push(this.#tokens.next().text.slice(1));
    switch (node.kind) {
      case 'field':
        return { kind: 'field', at, path: [...node.path, ...path] };
      case 'variable':
        return { kind: 'variable', at, path: [...node.path, ...path] };
      case 'bool':
      case 'string':
      case 'number':
      case 'nil':
      case 'dot':
        throw this.#tokens.error(`unexpected . after term ${quoteGo(fromByteText(printNode(node)))}`);
      default:
        return { kind: 'chain', at, node, path };
    }
  }

  #term(): Operand | undefined {
    const token = this.#tokens.nextNonSpace();
    const { at, text } = token;
    switch (token.kind) {
      case 'identifier':
        if (!this.#functions.has(text)) throw this.#tokens.error(`function ${quoteGo(fromByteText(text))} not defined`);
        return { kind: 'identifier', at, name: text };
      case 'dot':
      case 'nil':
        return { kind: token.kind, at };
      case 'variable':
        this.#checkVariable(text);
        return { kind: 'variable', at, path: [text] };
      case 'field':
        return { kind: 'field', at, path: [text.slice(1)] };
      case 'bool':
        return { kind: 'bool', at, value: text === 'true' };
      case 'number':
      case 'char':
        return this.#number(token);
      case 'string':
        return { kind: 'string', at, quoted: text, value: this.unquoted(token) };
      case 'openParen':
        return this.pipeline('parenthesized pipeline', 'closeParen');
      default:
        this.#tokens.back(token);
        return undefined;
    }
  }

  #number({ kind, at, text }: Token): Operand {
    if (kind === 'number') {
      const value = parseNumberLiteral(text);
      if (value === undefined) throw this.#tokens.error(`illegal number syntax: ${quoteGo(text)}`);
      return { kind: 'number', at, text, ...value };
    }
    const bytes = unquote(text);
    const runes = bytes === undefined ? [] : [...fromByteText(bytes)];
    if (runes.length !== 1) throw this.#tokens.error(`malformed character constant: ${fromByteText(text)}`);
    const code = runes[0]!.codePointAt(0)!;
    return { kind: 'number', at, text, int: BigInt(code), float: code };
  }
}
