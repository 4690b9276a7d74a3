/** The tree of a Go template. `at` is the offset in the template's bytes, which error texts report. */
import { quoteGo } from '../../protocol/go-quote.ts';
import { fromByteText, toByteText } from './byte-text.ts';

export type Node =
  | { readonly kind: 'text'; readonly at: number; readonly text: string }
  | { readonly kind: 'action'; readonly at: number; readonly pipe: Pipe }
  | {
      readonly kind: 'if' | 'with' | 'range';
      readonly at: number;
      readonly pipe: Pipe;
      readonly list: readonly Node[];
      readonly otherwise: readonly Node[] | undefined;
    }
  | { readonly kind: 'template'; readonly at: number; readonly name: string; readonly pipe: Pipe | undefined }
  | { readonly kind: 'break' | 'continue'; readonly at: number };

export interface Pipe {
  readonly kind: 'pipe';
  readonly at: number;
  readonly isAssign: boolean;
  readonly variables: readonly string[];
  readonly commands: readonly Command[];
}

export interface Command {
  readonly kind: 'command';
  readonly at: number;
  readonly args: readonly Operand[];
}

/** A literal number: an int where Go could take it as one, and a float. */
export interface NumberNode {
  readonly kind: 'number';
  readonly at: number;
  readonly text: string;
  readonly int: bigint | undefined;
  readonly float: number | undefined;
}

export type Operand =
  | { readonly kind: 'identifier'; readonly at: number; readonly name: string }
  | { readonly kind: 'field'; readonly at: number; readonly path: readonly string[] }
  | { readonly kind: 'variable'; readonly at: number; readonly path: readonly string[] }
  | { readonly kind: 'chain'; readonly at: number; readonly node: Operand; readonly path: readonly string[] }
  | { readonly kind: 'dot' | 'nil'; readonly at: number }
  | { readonly kind: 'bool'; readonly at: number; readonly value: boolean }
  | NumberNode
  | { readonly kind: 'string'; readonly at: number; readonly quoted: string; readonly value: string }
  | Pipe;

const printOperand = (node: Operand): string => {
  switch (node.kind) {
    case 'identifier':
      return node.name;
    case 'field':
      return node.path.map((name) => `.${name}`).join('');
    case 'variable':
      return node.path.join('.');
    case 'chain': {
      const inner = printNode(node.node);
      return `${node.node.kind === 'pipe' ? `(${inner})` : inner}${node.path.map((name) => `.${name}`).join('')}`;
    }
    case 'dot':
      return '.';
    case 'nil':
      return 'nil';
    case 'bool':
      return String(node.value);
    case 'number':
      return node.text;
    case 'string':
      return node.quoted;
    case 'pipe':
      return printPipe(node);
  }
};

const printCommand = (command: Command): string =>
  command.args.map((arg) => (arg.kind === 'pipe' ? `(${printPipe(arg)})` : printOperand(arg))).join(' ');

const printPipe = (pipe: Pipe): string => {
  const variables = pipe.variables.length === 0 ? '' : `${pipe.variables.join(', ')} ${pipe.isAssign ? '=' : ':='} `;
  return variables + pipe.commands.map(printCommand).join(' | ');
};

/** A node as Go prints it in `executing "line" at <…>`. */
export const printNode = (node: Operand | Command | Extract<Node, { kind: 'template' }>): string => {
  if (node.kind === 'command') return printCommand(node);
  if (node.kind !== 'template') return printOperand(node);
  const name = toByteText(quoteGo(fromByteText(node.name)));
  return `{{template ${name}${node.pipe === undefined ? '' : ` ${printPipe(node.pipe)}`}}}`;
};
