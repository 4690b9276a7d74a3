/** `|> "<_> level=error <_>"`. */
import type { LineTest } from '../regex.ts';
import { needAll } from '../text-need.ts';
import { ByteFinder } from './byte-finder.ts';
import { checkLinePattern, type PatternPart } from './pattern-syntax.ts';

/**
 * Loki's rule: literals are searched from left to right, one that is not the first part must leave at least a byte for the capture before
 * it, and the line must end with a last literal or have text left for a last capture. A leading literal is only searched, not anchored.
 */
const matchesParts = (
  parts: readonly (ByteFinder | undefined)[],
  bytes: Buffer,
  start: number,
  end: number,
): boolean => {
  if (start === end || parts.length === 0) return start === end && parts.length === 0;
  let offset = start;
  for (let index = 0; index < parts.length; index++) {
    const finder = parts[index];
    if (finder === undefined) continue;
    const found = finder.indexIn(bytes, offset, end);
    if (found < 0 || (index > 0 && found === offset)) return false;
    offset = found + finder.needle.length;
  }
  const endsWithCapture = parts.at(-1) === undefined;
  return endsWithCapture === offset < end;
};

const literalOf = (part: PatternPart): Buffer | undefined =>
  part.kind === 'literal' ? Buffer.from(part.text, 'utf8') : undefined;

/** @throws Error with Loki's text */
export const compileLinePattern = (pattern: string): LineTest => {
  const literals = checkLinePattern(pattern).map(literalOf);
  const finders = literals.map((literal) => (literal === undefined ? undefined : new ByteFinder(literal)));
  const longest = literals
    .filter((literal) => literal !== undefined)
    .sort((left, right) => right.length - left.length)
    .slice(0, 1);
  return {
    test: (bytes, start, end) => matchesParts(finders, bytes, start, end),
    required: longest.length === 0 ? undefined : longest,
    isExact: false,
    needs: needAll(literals.map((literal) => literal && { kind: 'text', bytes: literal })),
  };
};
