/** Patterns of `| pattern "…"` and `|> "…"`: literals and `<name>` or `<_>` captures, without escapes. */

export type PatternPart =
  | { readonly kind: 'literal'; readonly text: string }
  /** `<_>` has the name "_". */
  | { readonly kind: 'capture'; readonly name: string };

const CAPTURE = /<([A-Za-z_][A-Za-z0-9_]*)>/g;

export const parsePattern = (pattern: string): readonly PatternPart[] => {
  const parts: PatternPart[] = [];
  let position = 0;
  for (const match of pattern.matchAll(CAPTURE)) {
    if (match.index > position) parts.push({ kind: 'literal', text: pattern.slice(position, match.index) });
    parts.push({ kind: 'capture', name: match[1]! });
    position = match.index + match[0].length;
  }
  if (position < pattern.length) parts.push({ kind: 'literal', text: pattern.slice(position) });
  return parts;
};

const isNamed = (part: PatternPart): boolean => part.kind === 'capture' && part.name !== '_';

const refuseNeighbours = (parts: readonly PatternPart[]): void => {
  for (let index = 1; index < parts.length; index++) {
    const [left, right] = [parts[index - 1]!, parts[index]!];
    if (left.kind === 'capture' && right.kind === 'capture') {
      throw new Error(`found consecutive capture '<${left.name}><${right.name}>': invalid expression`);
    }
  }
};

/** @throws Error with Loki's text */
export const checkParserPattern = (pattern: string): readonly PatternPart[] => {
  if (pattern === '') {
    throw new Error('parse error at line 1, col 1: syntax error: unexpected $end, expecting IDENTIFIER or LITERAL');
  }
  const parts = parsePattern(pattern);
  if (!parts.some(isNamed)) throw new Error('at least one capture is required');
  refuseNeighbours(parts);
  const seen = new Set<string>();
  for (const part of parts) {
    if (part.kind !== 'capture' || part.name === '_') continue;
    if (seen.has(part.name)) throw new Error(`duplicate capture name (${part.name}): invalid expression`);
    seen.add(part.name);
  }
  return parts;
};

/** @throws Error with Loki's text */
export const checkLinePattern = (pattern: string): readonly PatternPart[] => {
  const parts = parsePattern(pattern);
  refuseNeighbours(parts);
  for (const part of parts) {
    if (part.kind === 'capture' && part.name !== '_') {
      throw new Error(`named captures are not allowed: found '<${part.name}>'`);
    }
  }
  return parts;
};
