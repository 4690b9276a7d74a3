/**
 * LogQL text → tree, after Loki 3.x: its grammar, the order of its checks and the texts of its errors. All functions throw RefusedError
 * INVALID_QUERY with that text, and UNSUPPORTED_QUERY for `variants`.
 */
import type { LabelMatcher } from '../protocol/matcher.ts';
import { RefusedError } from '../protocol/refusal.ts';
import type { Expr, LogExpr } from './ast.ts';
import { checkExpr } from './checks.ts';
import { parseOperators } from './parser-metric.ts';
import { parseError } from './syntax-error.ts';
import { TokenReader } from './token-reader.ts';

/** Bytes of UTF-8. Loki's limit. */
const QUERY_SIZE_BYTES_MAX = 131_072;

export const parseExpr = (text: string): Expr => {
  const { expr, deferred } = parseSyntax(text);
  checkExpr(expr, deferred);
  return expr;
};

/** What a selector may be: without `mayBeUnselective` at least one matcher must reject the empty string, as in queries; with it even `{}` passes. */
interface SelectorOptions {
  readonly mayBeUnselective?: boolean;
}

/** A log query: selector and stages. */
export const parseLogExpr = (text: string, { mayBeUnselective = false }: SelectorOptions = {}): LogExpr => {
  const expr = mayBeUnselective ? parseSyntax(text).expr : parseExpr(text);
  if (expr.kind !== 'log') throw refused('only log selector is supported');
  return expr;
};

/** A selector alone. */
export const parseMatchers = (
  text: string,
  { mayBeUnselective = false }: SelectorOptions = {},
): readonly LabelMatcher[] => {
  const expr = mayBeUnselective ? parseSyntax(text).expr : parseExpr(text);
  if (expr.kind !== 'log' || expr.stages.length > 0) throw refused('only label matchers are supported');
  return expr.matchers;
};

const parseSyntax = (text: string): { expr: Expr; deferred: ReadonlyMap<object, string> } => {
  const size = text.length * 3 < QUERY_SIZE_BYTES_MAX ? 0 : Buffer.byteLength(text);
  if (size >= QUERY_SIZE_BYTES_MAX) throw parseError(`input size too long (${size} > ${QUERY_SIZE_BYTES_MAX})`);
  const reader = new TokenReader(text);
  const expr = parseOperators(reader);
  if (reader.peek() !== '$end') throw reader.unexpected();
  return { expr, deferred: reader.deferred };
};

const refused = (text: string): RefusedError => new RefusedError({ code: 'INVALID_QUERY', text });
