/** Templates of line_format and label_format, compiled once per query. */
import { executeTemplate, type TemplateData } from './exec.ts';
import { FUNCTION_NAMES } from './functions.ts';
import type { Node, Operand, Pipe } from './nodes.ts';
import { type ParsedTemplate, parseTemplate } from './parser.ts';

export interface CompiledTemplate {
  /** Set if the template is exactly `{{.name}}`. */
  readonly singleField: string | undefined;
  /** Names of the fields it reads. */
  readonly fieldNames: readonly string[];
  /** @returns the bytes of the result @throws TemplateError with Go's text */
  execute(data: TemplateData): string;
}

/** Calls `visit` for every operand of the template. */
const visitOperands = (template: ParsedTemplate, visit: (operand: Operand) => void): void => {
  const visitOperand = (operand: Operand): void => {
    visit(operand);
    if (operand.kind === 'pipe') visitPipe(operand);
    if (operand.kind === 'chain') visitOperand(operand.node);
  };
  const visitPipe = (pipe: Pipe): void => {
    for (const { args } of pipe.commands) args.forEach(visitOperand);
  };
  const visitNodes = (nodes: readonly Node[]): void => {
    for (const node of nodes) {
      if ('pipe' in node && node.pipe !== undefined) visitPipe(node.pipe);
      if ('list' in node) {
        visitNodes(node.list);
        if (node.otherwise !== undefined) visitNodes(node.otherwise);
      }
    }
  };
  visitNodes(template.root);
  for (const nodes of template.defined.values()) visitNodes(nodes);
};

const fieldNamesOf = (template: ParsedTemplate): readonly string[] => {
  const names = new Set<string>();
  visitOperands(template, (operand) => {
    if (operand.kind === 'field') for (const name of operand.path) names.add(name);
    if (operand.kind === 'chain') for (const name of operand.path) names.add(name);
  });
  return [...names];
};

const singleFieldOf = ({ root }: ParsedTemplate): string | undefined => {
  const [node] = root;
  if (root.length !== 1 || node?.kind !== 'action' || node.pipe.variables.length > 0) return undefined;
  const [command] = node.pipe.commands;
  const [operand] = command?.args ?? [];
  const isSingle = node.pipe.commands.length === 1 && command?.args.length === 1;
  return isSingle && operand?.kind === 'field' && operand.path.length === 1 ? operand.path[0] : undefined;
};

/**
 * @param name `line` or `label`: error texts say it
 * @throws Error with Go's text: `template: line:1: unclosed action`
 */
export const compileTemplate = (name: string, text: string): CompiledTemplate => {
  const parsed = parseTemplate(name, text, FUNCTION_NAMES);
  return {
    singleField: singleFieldOf(parsed),
    fieldNames: fieldNamesOf(parsed),
    execute: (data) => executeTemplate(parsed, data),
  };
};
