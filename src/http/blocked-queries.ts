import type { Expr } from '../logql/ast.ts';
import { tryCompileRegex } from '../logql/regex.ts';
import type { BlockedQuery } from '../protocol/limit-values.ts';
import { RefusedError } from '../protocol/refusal.ts';

/** As Loki tells queries apart: `limited` reads lines as they are, `filter` has stages. */
const typeOf = (expr: Expr): string => {
  if (expr.kind !== 'log') return 'metric';
  return expr.stages.length > 0 ? 'filter' : 'limited';
};

/** `blocked_queries`: a pattern is the text of the query or, with `regex`, is found in it; none with neither pattern nor hash stands for all. @throws RefusedError INVALID_QUERY */
export const checkBlocked = (query: string, expr: Expr, blocked: readonly BlockedQuery[]): void => {
  for (const { pattern, isRegex, hash, types } of blocked) {
    if (types.length > 0 && !types.includes(typeOf(expr))) continue;
    if (hash > 0 ? hash === hashOf(query) : matches(query, pattern, isRegex)) {
      throw new RefusedError({ code: 'INVALID_QUERY', text: 'query blocked by policy' });
    }
  }
};

/** A regex that does not parse blocks nothing, as in Loki. */
const matches = (query: string, pattern: string, isRegex: boolean): boolean => {
  if (pattern === '') return true;
  if (!isRegex) return pattern.trim() === query.trim();
  const compiled = tryCompileRegex(pattern);
  return 'regex' in compiled && compiled.regex.matcher(query).find();
};

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/** FNV-1 of 32 bits over the bytes of the text: `query_hash` in Loki's log. */
const hashOf = (text: string): number => {
  let hash = FNV_OFFSET;
  for (const byte of Buffer.from(text)) hash = (Math.imul(hash, FNV_PRIME) ^ byte) >>> 0;
  return hash;
};
