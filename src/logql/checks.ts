/** The checks that follow a successful parse: from the root down, left operand first, the first error wins. */
import type { LabelMatcher } from '../protocol/matcher.ts';
import type { Expr, LogExpr } from './ast.ts';
import { regexMatchesEmpty } from './regex.ts';
import { parseError } from './syntax-error.ts';

const NO_SELECTIVE_MATCHER =
  'queries require at least one regexp or equality matcher that does not have an empty-compatible value. ' +
  'For instance, app=~".*" does not meet this requirement, but app=~".+" will';

/** @param deferred errors the parser found in single nodes */
export const checkExpr = (expr: Expr, deferred: ReadonlyMap<object, string>): void => {
  const error = deferred.get(expr);
  if (error !== undefined) throw parseError(error);
  switch (expr.kind) {
    case 'log':
      checkSelector(expr);
      break;
    case 'rangeAggregation':
      checkSelector(expr.range.log);
      break;
    case 'vectorAggregation':
    case 'labelReplace':
      checkExpr(expr.inner, deferred);
      break;
    case 'binary':
      checkExpr(expr.left, deferred);
      checkExpr(expr.right, deferred);
      break;
    case 'literal':
    case 'vector':
      break;
  }
};

const checkSelector = (log: LogExpr): void => {
  if (!log.matchers.some(isSelective)) throw parseError(NO_SELECTIVE_MATCHER);
};

/** True if the matcher rejects a missing label, so that it selects by something that is there. */
export const isSelective = ({ op, value }: LabelMatcher): boolean => {
  switch (op) {
    case '=':
      return value !== '';
    case '!=':
      return value === '';
    case '=~':
      return !matchesEmpty(value);
    case '!~':
      return matchesEmpty(value);
  }
};

const matchesEmpty = (pattern: string): boolean => !PLAIN_WORD.test(pattern) && regexMatchesEmpty(pattern);

/** Needs no regex to see that it is not empty. */
const PLAIN_WORD = /^[A-Za-z0-9_-]+$/;
