/**
 * Tree → text as a person would break it into lines, the way Loki's `format_query` does: what fits into 100 characters stays on one line. Where Loki leaves
 * out parentheses that the meaning needs, they stay.
 */

import { quoteGo } from '../protocol/go-quote.ts';
import type { BinaryExpr, Expr, LogExpr, LogRange, RangeAggregation, VectorAggregation } from './ast.ts';
import { formatPlainFloat } from './literals.ts';
import {
  printExpr,
  printGrouping,
  printOperator,
  printRange,
  printSelector,
  printStage,
  printUnwrap,
} from './print.ts';

const LINE_MAX = 100;

/** Indented by two blanks a level. */
export const prettyExpr = (expr: Expr, level = 0): string => {
  const line = shortText(expr);
  if (line !== undefined) return indent(level) + line;
  switch (expr.kind) {
    case 'log':
      return prettyLog(expr, level);
    case 'rangeAggregation':
      return prettyRangeAggregation(expr, level);
    case 'vectorAggregation':
      return prettyVectorAggregation(expr, level);
    case 'binary':
      return prettyBinary(expr, level);
    case 'labelReplace': {
      const texts = [expr.target, expr.replacement, expr.source, expr.pattern].map(
        (text) => indent(level + 1) + quoteGo(text),
      );
      return call('label_replace', [prettyExpr(expr.inner, level + 1), ...texts], level);
    }
    case 'literal':
    case 'vector':
      return indent(level) + printExpr(expr);
  }
};

/** The text on one line; undefined if that is too long. */
const shortText = (expr: Expr): string | undefined => {
  if (isSurelyLong(expr)) return undefined;
  const line = printExpr(expr);
  return line.length <= LINE_MAX ? line : undefined;
};

/** By the number of its parts: printing every part of a deep tree with all that is below it would take the square of its size. */
const isSurelyLong = (expr: Expr): boolean => {
  const waiting: Expr[] = [expr];
  let atLeast = 0;
  for (let next = waiting.pop(); next && atLeast <= LINE_MAX; next = waiting.pop()) {
    atLeast += 1;
    if (next.kind === 'binary') {
      atLeast += ' + ()'.length;
      waiting.push(next.left, next.right);
    } else if (next.kind === 'vectorAggregation' || next.kind === 'labelReplace') {
      atLeast += 'sum()'.length;
      waiting.push(next.inner);
    }
  }
  return atLeast > LINE_MAX;
};

const indent = (level: number): string => '  '.repeat(level);

/** Arguments a line each, indented already. */
const call = (name: string, parameters: readonly string[], level: number): string =>
  `${indent(level)}${name}(\n${parameters.join(',\n')}\n${indent(level)})`;

const prettyLog = ({ matchers, stages }: LogExpr, level: number): string =>
  [indent(level) + printSelector(matchers), ...stages.map((stage) => indent(level + 1) + printStage(stage))].join('\n');

const prettyLogRange = (range: LogRange, level: number): string => {
  const log = prettyExpr(range.log, level);
  const unwrap = range.unwrap === undefined ? '' : `\n${indent(level + 1)}${printUnwrap(range.unwrap).trimStart()}`;
  return `${log}${unwrap} ${printRange(range)}`;
};

const prettyRangeAggregation = ({ op, parameter, range, grouping }: RangeAggregation, level: number): string => {
  const first = parameter === undefined ? [] : [indent(level + 1) + formatPlainFloat(parameter)];
  const text = call(op, [...first, prettyLogRange(range, level + 1)], level);
  return grouping === undefined ? text : text + printGrouping(grouping, ', ');
};

const prettyVectorAggregation = ({ op, parameter, inner, grouping }: VectorAggregation, level: number): string => {
  const name = op + (grouping === undefined ? '' : printGrouping(grouping, ', '));
  const first = parameter === undefined ? [] : [indent(level + 1) + formatPlainFloat(parameter)];
  return call(name, [...first, prettyExpr(inner, level + 1)], level);
};

const prettyBinary = (expr: BinaryExpr, level: number): string => {
  const right = prettyOperand(expr.right, level + 1);
  const operator = printOperator(expr, right.trimStart());
  return [prettyOperand(expr.left, level + 1), indent(level) + operator, right].join('\n');
};

/** An operation that is an operand and takes lines of its own needs parentheses around them. */
const prettyOperand = (expr: Expr, level: number): string => {
  if (expr.kind !== 'binary' || shortText(expr) !== undefined) return prettyExpr(expr, level);
  return `${indent(level)}(\n${prettyBinary(expr, level + 1)}\n${indent(level)})`;
};
