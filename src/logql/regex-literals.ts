/** What a pattern's parsed form says about literals: whether it is one, and which a match must contain. */
import type { PlainAlternative } from '../protocol/plain-pattern.ts';
import type { RegexNode } from './regex-syntax.ts';

const ALTERNATIVES_MAX = 16;

export interface LiteralChoice {
  readonly texts: readonly string[];
  readonly ignoresCase: boolean;
}

const REPLACEMENT = '\uFFFD';

/** Folds that reach beyond ASCII (ſ for s, K for k): a search that folds ASCII only is what Loki does, but only for whole literals. */
export const mergeLiterals = (parts: readonly RegexNode[]): readonly RegexNode[] => {
  const merged: RegexNode[] = [];
  for (const part of parts.flatMap((node) => (node.kind === 'concat' ? mergeLiterals(node.parts) : [node]))) {
    const last = merged.at(-1);
    if (part.kind === 'literal' && last?.kind === 'literal' && canJoin(last, part)) {
      merged[merged.length - 1] = {
        kind: 'literal',
        text: last.text + part.text,
        ignoresCase: last.ignoresCase || part.ignoresCase,
      };
    } else {
      merged.push(part);
    }
  }
  return merged;
};

type Literal = Extract<RegexNode, { readonly kind: 'literal' }>;

const hasCase = (text: string): boolean => text.toLowerCase() !== text.toUpperCase();

/** A caseless literal takes what has no case; otherwise both must agree. */
const canJoin = (left: Literal, right: Literal): boolean =>
  left.ignoresCase === right.ignoresCase || (left.ignoresCase ? !hasCase(right.text) : !hasCase(left.text));

const isAnyStar = (node: RegexNode): boolean =>
  node.kind === 'repeat' && node.min === 0 && node.max === Number.POSITIVE_INFINITY && node.part.kind === 'anyChar';

const isAnyPlus = (node: RegexNode): boolean =>
  node.kind === 'repeat' && node.min === 1 && node.max === Number.POSITIVE_INFINITY && node.part.kind === 'anyChar';

/** `.*` or nothing: matches every line. */
export const matchesEverything = (node: RegexNode): boolean =>
  isAnyStar(node) || (node.kind === 'concat' && node.parts.every(matchesEverything));

/** `.+`: Loki keeps every line that is not empty, also one that is only a newline. */
export const matchesAllButEmpty = (node: RegexNode): boolean => isAnyPlus(node);

/** The text that `.+` follows, in its own case, if that is all of the pattern; a newline ends what it matches. */
export const prefixBeforeAny = (node: RegexNode): string | undefined => {
  const [text, rest, ...others] = node.kind === 'concat' ? mergeLiterals(node.parts) : [];
  if (text?.kind !== 'literal' || text.ignoresCase || rest === undefined || others.length > 0) return undefined;
  const isUpToNewline = rest.kind === 'repeat' && rest.part.kind === 'anyChar' && !rest.part.matchesNewline;
  return isUpToNewline && isAnyPlus(rest) ? text.text : undefined;
};

/** If the pattern is nothing but literals (unanchored: `.*` around them changes nothing), what a line must contain one of. */
export const pureLiterals = (node: RegexNode): LiteralChoice | undefined => {
  if (node.kind === 'alternation') return alternatives(node.options.map(pureLiterals));
  if (node.kind === 'literal') return { texts: [node.text], ignoresCase: node.ignoresCase };
  if (node.kind !== 'concat') return undefined;
  const parts = mergeLiterals(node.parts);
  const kept = parts.filter((part, index) => !((index === 0 || index === parts.length - 1) && isAnyStar(part)));
  const only = kept.length === 1 ? kept[0]! : undefined;
  return only === undefined || only.kind === 'concat' ? undefined : pureLiterals(only);
};

const alternatives = (choices: readonly (LiteralChoice | undefined)[]): LiteralChoice | undefined => {
  const texts: string[] = [];
  const known = choices.filter((choice) => choice !== undefined);
  if (known.length !== choices.length || known.length === 0) return undefined;
  const cased = known.filter((choice) => choice.texts.some(hasCase));
  const ignoresCase = cased.some((choice) => choice.ignoresCase);
  if (ignoresCase && !cased.every((choice) => choice.ignoresCase)) return undefined;
  for (const choice of known) texts.push(...choice.texts);
  return texts.length > ALTERNATIVES_MAX * 4 ? undefined : { texts, ignoresCase };
};

/**
 * Literals of which every match contains at least one, byte for byte; undefined if none can be named. Conservative: case-insensitive
 * letters and U+FFFD (which matches any broken byte) count as unknown.
 */
export const requiredLiterals = (node: RegexNode): readonly string[] | undefined => {
  switch (node.kind) {
    case 'literal':
      return node.ignoresCase || node.text === '' || node.text.includes(REPLACEMENT) ? undefined : [node.text];
    case 'concat':
      return best(mergeLiterals(node.parts).map(requiredLiterals));
    case 'alternation': {
      const all: string[] = [];
      for (const option of node.options) {
        const needed = requiredLiterals(option);
        if (needed === undefined) return undefined;
        all.push(...needed);
      }
      return all.length > ALTERNATIVES_MAX ? undefined : all;
    }
    case 'repeat':
      return node.min > 0 ? requiredLiterals(node.part) : undefined;
    default:
      return undefined;
  }
};

const shortest = (texts: readonly string[]): number => Math.min(...texts.map((text) => text.length));

/** The rarest guess: the choice whose shortest text is longest, then the one with fewer texts. */
const best = (choices: readonly (readonly string[] | undefined)[]): readonly string[] | undefined => {
  let chosen: readonly string[] | undefined;
  for (const choice of choices) {
    if (choice === undefined) continue;
    const gain = chosen === undefined ? 1 : shortest(choice) - shortest(chosen);
    if (gain > 0 || (gain === 0 && choice.length < chosen!.length)) chosen = choice;
  }
  return chosen;
};

/** The literals an anchored pattern is an alternation of, each perhaps with `.*` around it; undefined if it is anything else. */
export const literalShapes = (node: RegexNode): readonly PlainAlternative[] | undefined => {
  if (node.kind === 'alternation') {
    const shapes: PlainAlternative[] = [];
    for (const option of node.options) {
      const known = literalShapes(option);
      if (known === undefined) return undefined;
      shapes.push(...known);
    }
    return shapes;
  }
  const parts = mergeLiterals([node]);
  const isOpenAtStart = parts.length > 1 && isAnyStar(parts[0]!);
  const isOpenAtEnd = parts.length > 1 && isAnyStar(parts.at(-1)!);
  const middle = parts.slice(isOpenAtStart ? 1 : 0, isOpenAtEnd ? -1 : parts.length);
  if (middle.length === 0) return parts.length === 0 ? [{ text: '', isOpenAtStart, isOpenAtEnd }] : undefined;
  const [only] = middle;
  if (middle.length > 1 || only?.kind !== 'literal' || only.ignoresCase) return undefined;
  return [{ text: only.text, isOpenAtStart, isOpenAtEnd }];
};
