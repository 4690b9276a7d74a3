/** Template text → tree. Functions and variables are checked here, as Go does. */
import { quoteGo } from '../../protocol/go-quote.ts';
import { fromByteText, toByteText } from './byte-text.ts';
import type { Token } from './lexer.ts';
import type { Node, Pipe } from './nodes.ts';
import { PipeParser } from './pipe-parser.ts';
import { TokenSource } from './token-source.ts';

/** The main template and those it defines, by name. */
export interface ParsedTemplate {
  readonly name: string;
  readonly text: string;
  readonly root: readonly Node[];
  readonly defined: ReadonlyMap<string, readonly Node[]>;
}

type Stop = 'end' | 'else';

interface NodeList {
  readonly nodes: readonly Node[];
  /** The token that ended it: `{{end}}` or `{{else}}`. */
  readonly stop: Stop;
}

const DEPTH_MAX = 200;

class TemplateParser {
  readonly #tokens: TokenSource;
  readonly #pipes: PipeParser;
  readonly #defined = new Map<string, readonly Node[]>();
  #rangeDepth = 0;
  #depth = 0;

  constructor(name: string, text: string, functions: ReadonlySet<string>) {
    this.#tokens = new TokenSource(name, text);
    this.#pipes = new PipeParser(this.#tokens, functions);
  }

  parse(): { readonly root: readonly Node[]; readonly defined: ReadonlyMap<string, readonly Node[]> } {
    const root: Node[] = [];
    while (this.#tokens.peek().kind !== 'eof') {
      if (this.#isDefinition()) {
        this.#definition();
        continue;
      }
      const node = this.#textOrAction();
      if (typeof node === 'string') throw this.#tokens.error(`unexpected {{${node}}}`);
      if (node !== undefined) root.push(node);
    }
    return { root, defined: this.#defined };
  }

  #isDefinition(): boolean {
    if (this.#tokens.peek().kind !== 'left') return false;
    return this.#tokens.peekSecondNonSpace().text === 'define' && this.#tokens.peekSecondNonSpace().kind === 'keyword';
  }

  #definition(): void {
    this.#tokens.next();
    this.#tokens.nextNonSpace();
    const name = this.#string('define clause');
    this.#tokens.expect('right', 'define clause');
    const outer = this.#pipes.startScope();
    const { nodes, stop } = this.#list();
    if (stop !== 'end') throw this.#tokens.error('unexpected {{else}} in define clause');
    this.#pipes.restoreScope(outer);
    this.#add(name, nodes);
  }

  /** An empty definition does not replace another one. */
  #add(name: string, nodes: readonly Node[]): void {
    if (!this.#defined.has(name) || nodes.some((node) => node.kind !== 'text' || /\S/.test(node.text))) {
      this.#defined.set(name, nodes);
    }
  }

  #string(context: string): string {
    const token = this.#tokens.nextNonSpace();
    if (token.kind !== 'string') throw this.#tokens.unexpected(token, context);
    return this.#pipes.unquoted(token);
  }

  #list(): NodeList {
    if (++this.#depth > DEPTH_MAX) throw this.#tokens.error('nested too deeply');
    const nodes: Node[] = [];
    while (this.#tokens.peek().kind !== 'eof') {
      const node = this.#textOrAction();
      if (typeof node === 'string') {
        this.#depth--;
        return { nodes, stop: node };
      }
      if (node !== undefined) nodes.push(node);
    }
    throw this.#tokens.error('unexpected EOF');
  }

  /** undefined for what leaves no node (a comment's place, an empty definition). */
  #textOrAction(): Node | Stop | undefined {
    const token = this.#tokens.next();
    if (token.kind === 'text') return { kind: 'text', at: token.at, text: token.text };
    if (token.kind === 'left') return this.#action();
    throw this.#tokens.unexpected(token, 'input');
  }

  #action(): Node | Stop | undefined {
    const token = this.#tokens.nextNonSpace();
    if (token.kind === 'keyword') return this.#keyword(token);
    this.#tokens.back(token);
    const at = this.#tokens.peek().at;
    return { kind: 'action', at, pipe: this.#pipes.pipeline('command', 'right') };
  }

  #keyword(token: Token): Node | Stop | undefined {
    switch (token.text) {
      case 'if':
      case 'with':
      case 'range':
        return this.#control(token.text, token.at);
      case 'end':
        this.#tokens.expect('right', 'end');
        return 'end';
      case 'else':
        return this.#else();
      case 'template':
        return this.#template(token.at);
      case 'block':
        return this.#block();
      case 'break':
      case 'continue':
        return this.#jump(token.text, token.at);
      default:
        throw this.#tokens.unexpected(token, 'command');
    }
  }

  /** `{{else if …}}` is left for the control to read. */
  #else(): Stop {
    const next = this.#tokens.peekNonSpace();
    if (next.kind === 'keyword' && (next.text === 'if' || next.text === 'with')) return 'else';
    this.#tokens.expect('right', 'else');
    return 'else';
  }

  #control(kind: 'if' | 'with' | 'range', at: number): Node {
    const outer = this.#pipes.scopeSize;
    const pipe = this.#pipes.pipeline(kind, 'right');
    if (kind === 'range') this.#rangeDepth++;
    const { nodes: list, stop } = this.#list();
    if (kind === 'range') this.#rangeDepth--;
    const otherwise = stop === 'else' ? this.#otherwise(kind) : undefined;
    this.#pipes.shrinkScope(outer);
    return { kind, at, pipe, list, otherwise };
  }

  #otherwise(kind: 'if' | 'with' | 'range'): readonly Node[] {
    const next = this.#tokens.peek();
    if (next.kind === 'keyword' && next.text === kind) {
      this.#tokens.next();
      return [this.#control(kind, next.at)];
    }
    const { nodes, stop } = this.#list();
    if (stop !== 'end') throw this.#tokens.error('expected end; found {{else}}');
    return nodes;
  }

  #template(at: number): Node {
    const token = this.#tokens.peekNonSpace();
    const name = this.#string('template clause');
    return { kind: 'template', at: token.kind === 'string' ? token.at : at, name, pipe: this.#templateArgument() };
  }

  #templateArgument(): Pipe | undefined {
    if (this.#tokens.nextNonSpaceIs('right')) return undefined;
    return this.#pipes.pipeline('template clause', 'right');
  }

  #block(): Node {
    const token = this.#tokens.peekNonSpace();
    const name = this.#string('block clause');
    const pipe = this.#pipes.pipeline('block clause', 'right');
    const outer = this.#pipes.startScope();
    const { nodes, stop } = this.#list();
    if (stop !== 'end') throw this.#tokens.error('unexpected {{else}} in block clause');
    this.#pipes.restoreScope(outer);
    this.#add(name, nodes);
    return { kind: 'template', at: token.at, name, pipe };
  }

  #jump(kind: 'break' | 'continue', at: number): Node {
    const token = this.#tokens.nextNonSpace();
    if (token.kind !== 'right') throw this.#tokens.unexpected(token, `{{${kind}}}`);
    if (this.#rangeDepth === 0) throw this.#tokens.error(`{{${kind}}} outside {{range}}`);
    return { kind, at };
  }
}

/**
 * @param text the template as text; the tree holds bytes
 * @throws Error with Go's text: `template: line:1: unclosed action`
 */
export const parseTemplate = (name: string, text: string, functions: ReadonlySet<string>): ParsedTemplate => {
  const bytes = toByteText(text);
  return { name, text: bytes, ...new TemplateParser(name, bytes, functions).parse() };
};

/** `"…"` of bytes, as Go prints them. */
export const quoteBytes = (bytes: string): string => toByteText(quoteGo(fromByteText(bytes)));
