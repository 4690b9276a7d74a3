/** Arithmetic on two numbers as Loki does it. */
import type { BinaryOp } from './ast.ts';

type ArithmeticOp = Exclude<BinaryOp, 'or' | 'and' | 'unless'>;

/** Literal op literal: comparisons give 0 or 1. The set operators do not take literals. */
export const foldLiterals = (op: BinaryOp, left: number, right: number): number =>
  op === 'or' || op === 'and' || op === 'unless' ? Number.NaN : calculate(op, left, right);

/** Division and remainder by zero are NaN. */
export const calculate = (op: ArithmeticOp, left: number, right: number): number => {
  switch (op) {
    case '+':
      return left + right;
    case '-':
      return left - right;
    case '*':
      return left * right;
    case '/':
      return right === 0 ? Number.NaN : left / right;
    case '%':
      return right === 0 ? Number.NaN : left % right;
    case '^':
      return power(left, right);
    default:
      return compareNumbers(op, left, right) ? 1 : 0;
  }
};

type NumberComparison = '==' | '!=' | '>' | '>=' | '<' | '<=';

export const compareNumbers = (op: NumberComparison, left: number, right: number): boolean => {
  switch (op) {
    case '==':
      return left === right;
    case '!=':
      return left !== right;
    case '>':
      return left > right;
    case '>=':
      return left >= right;
    case '<':
      return left < right;
    case '<=':
      return left <= right;
  }
};

/** Go's Pow has two results JavaScript's has not: 1^NaN and (±1)^±Inf are 1. */
const power = (base: number, exponent: number): number => {
  if (base === 1 || (base === -1 && Math.abs(exponent) === Number.POSITIVE_INFINITY)) return 1;
  return base ** exponent;
};
