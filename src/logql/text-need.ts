/**
 * What a line must hold to pass, as far as texts say: necessary, not sufficient. ASCII letters of a text stand for both cases, since what it
 * is looked up in (`chunk/skip-filter.ts`) does not tell them apart.
 */
import { mergeLiterals } from './regex-literals.ts';
import type { RegexNode } from './regex-syntax.ts';

export type TextNeed =
  | { readonly kind: 'text'; readonly bytes: Uint8Array }
  /** At least one. */
  | { readonly kind: 'all' | 'any'; readonly needs: readonly TextNeed[] }
  /** Where the label comes from the line: it is no label of the stream, and the entry has no structured metadata. */
  | { readonly kind: 'label'; readonly name: string; readonly need: TextNeed };

/** Chosen: dashboards send lists of some hundred values. */
const TEXTS_MAX = 1000;

/** undefined: nothing can be said. */
export const needText = (text: string): TextNeed | undefined =>
  text === '' ? undefined : { kind: 'text', bytes: Buffer.from(text, 'utf8') };

export const needAll = (needs: readonly (TextNeed | undefined)[]): TextNeed | undefined => {
  const known = needs.filter((need) => need !== undefined);
  return known.length > 1 ? { kind: 'all', needs: known } : known[0];
};

/** If nothing can be said of one, nothing can be said. */
export const needAny = (needs: readonly (TextNeed | undefined)[]): TextNeed | undefined => {
  const known = needs.filter((need) => need !== undefined);
  if (known.length < needs.length || known.length > TEXTS_MAX) return undefined;
  return known.length > 1 ? { kind: 'any', needs: known } : known[0];
};

/** Matches any broken byte. */
const REPLACEMENT = /\uFFFD/;

/** Letters that others outside ASCII fold to (K of Kelvin, long s), and all outside ASCII. */
const FOLDED_BEYOND_ASCII = /[^\0-\x7f]|[ksKS]/;

/** What every match of a pattern holds. */
export const needsOfRegex = (node: RegexNode): TextNeed | undefined => {
  switch (node.kind) {
    case 'literal':
      return needAll(node.text.split(node.ignoresCase ? FOLDED_BEYOND_ASCII : REPLACEMENT).map(needText));
    case 'concat':
      return needAll(mergeLiterals(node.parts).map(needsOfRegex));
    case 'alternation':
      return needAny(node.options.map(needsOfRegex));
    case 'repeat':
      return node.min > 0 ? needsOfRegex(node.part) : undefined;
    case 'anyChar':
    case 'set':
    case 'assertion':
      return undefined;
  }
};
