/** Runs a parsed template over a value. */

import { EXPECTED, GO_TYPES, isRangeDeclaration, NO_ARGUMENTS, numberValue, printed, typeOf } from './arguments.ts';
import { FUNCTIONS } from './functions.ts';
import { sprint } from './go-print.ts';
import { GoTime } from './go-time.ts';
import { checkSize, DEPTH_MAX, STEPS_MAX, WORK_BYTES_MAX, workOf } from './limits.ts';
import type { Command, Node, Operand, Pipe } from './nodes.ts';
import { printNode } from './nodes.ts';
import { type ParsedTemplate, quoteBytes } from './parser.ts';
import { rangeItems } from './range-items.ts';
import type { ParameterType, TemplateFunction } from './template-function.ts';
import { callTimeMethod, TIME_METHODS } from './time-methods.ts';
import { GoMap, type GoValue, intOf, isTrue, TemplateError, typeName } from './values.ts';

/** What an entry gives to its templates. */
export interface TemplateData {
  readonly labels: GoMap;
  /** Bytes of the line. */
  readonly line: () => string;
  readonly timeNs: () => bigint;
}

type At = Operand | Command | Extract<Node, { kind: 'template' }>;
type Jump = 'break' | 'continue' | undefined;

interface Variable {
  readonly name: string;
  value: GoValue;
}

const MISSING = Symbol('no final value');
type Final = GoValue | typeof MISSING;

class Execution {
  readonly #template: ParsedTemplate;
  readonly #data: TemplateData;
  readonly #functions: ReadonlyMap<string, TemplateFunction>;
  #variables: Variable[] = [];
  #output = '';
  #steps = 0;
  #work = 0;
  #depth = 0;

  constructor(template: ParsedTemplate, data: TemplateData, functions: ReadonlyMap<string, TemplateFunction>) {
    this.#template = template;
    this.#data = data;
    this.#functions = functions;
  }

  run(): string {
    this.#variables = [{ name: '$', value: this.#data.labels }];
    this.#walkList(this.#template.root, this.#data.labels);
    return this.#output;
  }

  /** An error with the place Go names: line and byte column of the node, and its text. */
  #fail(at: At, text: string): TemplateError {
    const { name, text: source } = this.#template;
    const before = source.slice(0, at.at);
    const line = before.split('\n').length;
    const column = at.at - (before.lastIndexOf('\n') + 1);
    return new TemplateError(`template: ${name}:${line}:${column}: executing "${name}" at <${printNode(at)}>: ${text}`);
  }

  #write(text: string): void {
    this.#output += text;
    checkSize(this.#output.length);
  }

  #step(): void {
    if (++this.#steps > STEPS_MAX) throw this.#exhausted('too many steps');
  }

  /** A step may take any time where its texts are long. */
  #spend(bytes: number): void {
    this.#work += bytes;
    if (this.#work > WORK_BYTES_MAX) throw this.#exhausted('functions work on too many bytes');
  }

  #exhausted(text: string): TemplateError {
    return new TemplateError(`template: ${this.#template.name}: ${text}`);
  }

  #walkList(nodes: readonly Node[], dot: GoValue): Jump {
    for (const node of nodes) {
      this.#step();
      const jump = this.#walk(node, dot);
      if (jump !== undefined) return jump;
    }
    return undefined;
  }

  #walk(node: Node, dot: GoValue): Jump {
    switch (node.kind) {
      case 'text':
        this.#write(node.text);
        return undefined;
      case 'action': {
        const value = this.#pipeline(node.pipe, dot);
        if (node.pipe.variables.length === 0) this.#write(printed(value));
        return undefined;
      }
      case 'if':
      case 'with':
        return this.#ifOrWith(node, dot);
      case 'range':
        return this.#range(node, dot);
      case 'template':
        this.#callTemplate(node, dot);
        return undefined;
      case 'break':
      case 'continue':
        return node.kind;
    }
  }

  #ifOrWith(node: Extract<Node, { kind: 'if' | 'with' | 'range' }>, dot: GoValue): Jump {
    const scope = this.#variables.length;
    const value = this.#pipeline(node.pipe, dot);
    const chosen = isTrue(value) ? node.list : node.otherwise;
    const inner = node.kind === 'with' && isTrue(value) ? value : dot;
    const jump = chosen === undefined ? undefined : this.#walkList(chosen, inner);
    this.#variables.length = scope;
    return jump;
  }

  #range(node: Extract<Node, { kind: 'if' | 'with' | 'range' }>, dot: GoValue): Jump {
    const scope = this.#variables.length;
    const value = this.#pipeline(node.pipe, dot);
    const inner = this.#variables.length;
    let count = 0;
    const items = rangeItems(value);
    if (!items) throw this.#fail(node.pipe, `range can't iterate over ${sprint([value])}`);
    for (const [key, item] of items) {
      count++;
      this.#step();
      this.#bindRange(node.pipe, key, item);
      const jump = this.#walkList(node.list, item);
      this.#variables.length = inner;
      if (jump === 'break') break;
    }
    const jump = count === 0 && node.otherwise !== undefined ? this.#walkList(node.otherwise, dot) : undefined;
    this.#variables.length = scope;
    return jump;
  }

  /** One variable is the item, two are key and item. */
  #bindRange({ variables, isAssign }: Pipe, key: GoValue, item: GoValue): void {
    const values = variables.length === 2 ? [key, item] : [item];
    for (const [index, name] of variables.entries()) {
      if (isAssign) this.#assign(name, values[index]);
      else this.#variables.push({ name, value: values[index] });
    }
  }

  #assign(name: string, value: GoValue): void {
    const variable = this.#find(name);
    if (variable !== undefined) variable.value = value;
  }

  /** The innermost of that name. */
  #find(name: string): Variable | undefined {
    const variables = this.#variables;
    let index = variables.length - 1;
    while (index >= 0 && variables[index]!.name !== name) index--;
    this.#spend(variables.length - index);
    return variables[index];
  }

  #callTemplate(node: Extract<Node, { kind: 'template' }>, dot: GoValue): void {
    const list = node.name === this.#template.name ? this.#template.root : this.#template.defined.get(node.name);
    if (list === undefined) throw this.#fail(node, `template ${quoteBytes(node.name)} not defined`);
    if (this.#depth >= DEPTH_MAX) throw this.#fail(node, 'exceeded maximum template depth (100000)');
    const value = node.pipe === undefined ? undefined : this.#pipeline(node.pipe, dot);
    const outer = this.#variables;
    this.#variables = [{ name: '$', value }];
    this.#depth++;
    this.#walkList(list, value);
    this.#depth--;
    this.#variables = outer;
  }

  #pipeline(pipe: Pipe, dot: GoValue): GoValue {
    let value: Final = MISSING;
    for (const command of pipe.commands) {
      this.#step();
      value = this.#command(command, dot, value);
    }
    const result = value === MISSING ? undefined : value;
    if (pipe.variables.length === 1 && !isRangeDeclaration(pipe)) {
      if (pipe.isAssign) this.#assign(pipe.variables[0]!, result);
      else this.#variables.push({ name: pipe.variables[0]!, value: result });
    }
    return result;
  }

  #command(command: Command, dot: GoValue, final: Final): GoValue {
    const first = command.args[0]!;
    switch (first.kind) {
      case 'identifier':
        return this.#function(first, command, command.args.slice(1), dot, final);
      case 'field':
        return this.#fields(first, dot, first.path, command.args.slice(1), dot, final);
      case 'chain': {
        const value = this.#argument('any', first.node, dot);
        return this.#fields(first, value, first.path, command.args.slice(1), dot, final);
      }
      case 'variable':
        return this.#variable(first, command.args.slice(1), dot, final);
      default:
        break;
    }
    if (command.args.length > 1 || final !== MISSING) {
      throw this.#fail(first, `can't give argument to non-function ${printNode(first)}`);
    }
    if (first.kind === 'nil') throw this.#fail(first, 'nil is not a command');
    return this.#constant(first, dot);
  }

  #constant(node: Operand, dot: GoValue): GoValue {
    switch (node.kind) {
      case 'bool':
        return node.value;
      case 'dot':
        return dot;
      case 'number':
        return numberValue(node);
      case 'string':
        return node.value;
      case 'pipe':
        return this.#pipeline(node, dot);
      default:
        throw this.#fail(node, `can't evaluate command ${printNode(node)}`);
    }
  }

  #variable(
    node: Extract<Operand, { kind: 'variable' }>,
    args: readonly Operand[],
    dot: GoValue,
    final: Final,
  ): GoValue {
    const value = this.#find(node.path[0]!)?.value;
    if (node.path.length > 1) return this.#fields(node, value, node.path.slice(1), args, dot, final);
    if (args.length > 0 || final !== MISSING)
      throw this.#fail(node, `${node.path[0]!} is not a method but has arguments`);
    return value;
  }

  /** `.a.b`: only the last name may be a method with arguments. */
  #fields(
    at: Operand,
    receiver: GoValue,
    path: readonly string[],
    args: readonly Operand[],
    dot: GoValue,
    final: Final,
  ): GoValue {
    let value = receiver;
    for (const name of path.slice(0, -1)) value = this.#field(at, value, name, [], dot, MISSING);
    return this.#field(at, value, path.at(-1)!, args, dot, final);
  }

  #field(at: Operand, receiver: GoValue, name: string, args: readonly Operand[], dot: GoValue, final: Final): GoValue {
    if (receiver instanceof GoTime && TIME_METHODS.has(name)) {
      const values = args.map((arg) => this.#argument('any', arg, dot));
      if (final !== MISSING) values.push(final);
      const result = callTimeMethod(receiver, name, values, (text) => this.#fail(at, text));
      this.#spend(workOf(values, result));
      return result;
    }
    if (receiver instanceof GoMap) {
      if (args.length > 0 || final !== MISSING) throw this.#fail(at, `${name} is not a method but has arguments`);
      return receiver.get(name);
    }
    if (receiver === undefined || receiver === null) {
      throw this.#fail(at, `nil pointer evaluating interface {}.${name}`);
    }
    throw this.#fail(at, `can't evaluate field ${name} in type ${typeName(receiver)}`);
  }

  #function(
    node: Extract<Operand, { kind: 'identifier' }>,
    at: Command | Operand,
    args: readonly Operand[],
    dot: GoValue,
    final: Final,
  ): GoValue {
    const { name } = node;
    if (name === 'and' || name === 'or') return this.#andOr(node, args, dot, final);
    const count = args.length + (final === MISSING ? 0 : 1);
    if (name === '__line__' || name === '__timestamp__') {
      this.#checkCount(node, name, NO_ARGUMENTS, count);
      return name === '__line__' ? this.#data.line() : new GoTime(this.#data.timeNs());
    }
    const called = this.#functions.get(name)!;
    this.#checkCount(node, name, called, count);
    const values = args.map((arg, index) => this.#argument(typeOf(called, index), arg, dot));
    if (final !== MISSING) values.push(this.#checked(typeOf(called, args.length), final, args.at(-1) ?? node));
    return this.#called(at, name, called, values);
  }

  #called(at: Command | Operand, name: string, { call }: TemplateFunction, values: readonly GoValue[]): GoValue {
    this.#step();
    let result: GoValue;
    try {
      result = (call as (...args: readonly GoValue[]) => GoValue)(...values);
      if (typeof result === 'string') checkSize(result.length);
    } catch (error) {
      if (!(error instanceof TemplateError || error instanceof RangeError)) throw error;
      throw this.#fail(at, `error calling ${name}: ${error.message}`);
    }
    this.#spend(workOf(values, result));
    return result;
  }

  #checkCount(node: Operand, name: string, { parameters, rest }: TemplateFunction, count: number): void {
    const least = parameters.length;
    if (rest === undefined ? count === least : count >= least) return;
    const want = rest === undefined ? String(least) : `at least ${least}`;
    throw this.#fail(node, `wrong number of args for ${name}: want ${want} got ${count}`);
  }

  #andOr(
    node: Extract<Operand, { kind: 'identifier' }>,
    args: readonly Operand[],
    dot: GoValue,
    final: Final,
  ): GoValue {
    const count = args.length + (final === MISSING ? 0 : 1);
    if (count === 0) throw this.#fail(node, `wrong number of args for ${node.name}: want at least 1 got 0`);
    let value: GoValue;
    for (const arg of args) {
      value = this.#argument('any', arg, dot);
      if (isTrue(value) === (node.name === 'or')) return value;
    }
    return final === MISSING ? value : final;
  }

  /** An operand as an argument of a type. */
  #argument(type: ParameterType, node: Operand, dot: GoValue): GoValue {
    switch (node.kind) {
      case 'dot':
        return this.#checked(type, dot, node);
      case 'nil':
        if (type === 'any' || type === 'value') return null;
        throw this.#fail(node, `cannot assign nil to ${GO_TYPES[type]}`);
      case 'field':
        return this.#checked(type, this.#fields(node, dot, node.path, [], dot, MISSING), node);
      case 'variable':
        return this.#checked(type, this.#variable(node, [], dot, MISSING), node);
      case 'pipe':
        return this.#checked(type, this.#pipeline(node, dot), node);
      case 'identifier':
        return this.#checked(type, this.#function(node, node, [], dot, MISSING), node);
      case 'chain': {
        const value = this.#argument('any', node.node, dot);
        return this.#checked(type, this.#fields(node, value, node.path, [], dot, MISSING), node);
      }
      default:
        return this.#literal(type, node);
    }
  }

  #literal(type: ParameterType, node: Extract<Operand, { kind: 'bool' | 'number' | 'string' }>): GoValue {
    if (type === 'any' || type === 'value') return node.kind === 'number' ? numberValue(node) : node.value;
    if (type === 'string' && node.kind === 'string') return node.value;
    if (type === 'bool' && node.kind === 'bool') return node.value;
    if (type === 'int' && node.kind === 'number' && node.int !== undefined) return node.int;
    if (type === 'float64' && node.kind === 'number' && node.float !== undefined) return node.float;
    if (type === 'time') throw this.#fail(node, `can't handle ${printNode(node)} for arg of type time.Time`);
    throw this.#fail(node, `expected ${EXPECTED[type] ?? type}; found ${printNode(node)}`);
  }

  /** A computed value for a parameter: types must agree, there is no conversion. */
  #checked(type: ParameterType, value: GoValue, at: Operand): GoValue {
    if (type === 'value' || type === 'any') return value;
    if (value === null || value === undefined) throw this.#fail(at, `invalid value; expected ${GO_TYPES[type]}`);
    const actual = typeName(value);
    if (actual === GO_TYPES[type]) return value;
    if (type === 'int' && actual === 'int64') return intOf(value);
    throw this.#fail(at, `wrong type for value; expected ${GO_TYPES[type]}; got ${actual}`);
  }
}

/**
 * The text (bytes) that a template makes of an entry.
 * @param functions of those that it was parsed with
 * @throws TemplateError with Go's text
 */
export const executeTemplate = (template: ParsedTemplate, data: TemplateData, functions = FUNCTIONS): string =>
  new Execution(template, data, functions).run();
