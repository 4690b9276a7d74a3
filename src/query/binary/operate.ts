import type { BinaryOp } from '../../logql/ast.ts';
import { calculate } from '../../logql/fold.ts';

/** Operators on numbers: all but the set operators. */
export type BinaryNumbers = Exclude<BinaryOp, 'and' | 'or' | 'unless'>;

const COMPARISONS: ReadonlySet<BinaryOp> = new Set(['==', '!=', '>', '>=', '<', '<=']);

export const isComparison = (op: BinaryOp): boolean => COMPARISONS.has(op);

export const isSetOperator = (op: BinaryOp): op is 'and' | 'or' | 'unless' =>
  op === 'and' || op === 'or' || op === 'unless';

/** Comparisons give 1 or 0. */
export const operate = (op: BinaryNumbers, left: number, right: number): number => calculate(op, left, right);
