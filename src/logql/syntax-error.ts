/** How Loki words what is wrong with a query. All of it is refused with INVALID_QUERY. */
import { RefusedError } from '../protocol/refusal.ts';

/** Something wrong with the query as a whole, or with its meaning: no position. */
export const parseError = (text: string, options?: ErrorOptions): RefusedError =>
  new RefusedError({ code: 'INVALID_QUERY', text: `parse error : ${text}` }, options);

/**
 * Something wrong at an offset of the query (in UTF-16 units). Columns count characters from 1. Loki has lost the line, and says 0,
 * once a token was completed by looking at single characters: `lineIsLost`.
 */
export const parseErrorAt = (query: string, offset: number, lineIsLost: boolean, text: string): RefusedError => {
  if (query.length === 0) return parseError(text);
  const lineStart = query.lastIndexOf('\n', offset - 1) + 1;
  const column = characterCount(query, lineStart, offset) + 1;
  const line = lineIsLost ? 0 : lineCount(query, lineStart);
  return new RefusedError({
    code: 'INVALID_QUERY',
    text: `parse error at line ${line}, col ${column}: ${text}`,
  });
};

const lineCount = (query: string, end: number): number => {
  let lines = 1;
  for (let at = query.indexOf('\n'); at !== -1 && at < end; at = query.indexOf('\n', at + 1)) lines++;
  return lines;
};

const characterCount = (query: string, start: number, end: number): number => {
  let characters = 0;
  for (let at = start; at < end; characters++) at += (query.codePointAt(at) ?? 0) > 0xffff ? 2 : 1;
  return characters;
};

/** Valid LogQL that is not evaluated here. */
export const unsupported = (text: string): RefusedError => new RefusedError({ code: 'UNSUPPORTED_QUERY', text });
