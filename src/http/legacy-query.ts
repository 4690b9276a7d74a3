import { parseExpr } from '../logql/parser.ts';
import { printExpr } from '../logql/print.ts';
import { quoteGo } from '../protocol/go-quote.ts';

/** A log query of Loki's first API with its filter of its own, behind all stages. @throws RefusedError for what does not parse */
export const withRegexp = (query: string, regexp: string): string => {
  if (regexp === '') return query;
  const expr = parseExpr(query);
  return expr.kind === 'log' ? `${printExpr(expr)} |~ ${quoteGo(regexp)}` : query;
};
