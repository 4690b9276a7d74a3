/** How operands become arguments. */

import { sprint } from './go-print.ts';
import type { NumberNode, Pipe } from './nodes.ts';
import type { ParameterType, TemplateFunction } from './template-function.ts';
import type { GoValue } from './values.ts';

export const NO_ARGUMENTS: TemplateFunction = { parameters: [], call: () => undefined };
export const GO_TYPES: Readonly<Record<ParameterType, string>> = {
  string: 'string',
  int: 'int',
  float64: 'float64',
  bool: 'bool',
  time: 'time.Time',
  any: 'interface {}',
  value: 'reflect.Value',
};
export const EXPECTED: Partial<Record<ParameterType, string>> = { int: 'integer', float64: 'float' };

/** What an action writes. */
export const printed = (value: GoValue): string =>
  value === null || value === undefined ? '<no value>' : sprint([value]);

/** A literal number where any type will do. */
export const numberValue = (node: NumberNode): GoValue => {
  const isFloat = /[.eEpP]/.test(node.text) && !/^[+-]?0[xX]/.test(node.text) && !node.text.startsWith("'");
  return isFloat || node.int === undefined ? node.float : node.int;
};

export const isRangeDeclaration = (pipe: Pipe): boolean => pipe.variables.length > 1;

export const typeOf = ({ parameters, rest }: TemplateFunction, index: number): ParameterType =>
  parameters[index] ?? rest ?? 'any';
