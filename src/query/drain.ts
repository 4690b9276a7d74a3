/**
 * Drain (He, Zhu, Zheng, Lyu: "Drain: An Online Log Parsing Approach with Fixed Depth Tree", ICWS 2017): groups lines by what stays the same in
 * them. What stands between the words of a line and its first words lead to a leaf of a tree, where it joins the group that it is most alike, or
 * begins one. What differs within a group becomes `<_>`.
 *
 *   root ─ separators (the paper: number of words) ─ first word ─ second word ─ leaf: groups
 */
export const WILDCARD = '<_>';

export interface DrainOptions {
  /** Words of a line that lead through the tree. */
  readonly depth: number;
  /** Share of equal words from which on a line belongs to a group. */
  readonly similarity: number;
  /** Of a node of the tree: words beyond them go to the branch of the wildcard. */
  readonly childrenMax: number;
  readonly patternsMax: number;
  readonly wordsMax: number;
}

/** Depth, similarity and children are the paper's; the bounds are chosen. */
export const DRAIN_OPTIONS: DrainOptions = {
  depth: 2,
  similarity: 0.5,
  childrenMax: 100,
  patternsMax: 300,
  wordsMax: 128,
};

export interface LinePattern {
  readonly words: string[];
  /** What stands behind each word; one less. */
  readonly separators: readonly string[];
}

interface Node {
  readonly children: Map<string, Node>;
  readonly patterns: LinePattern[];
}

const newNode = (): Node => ({ children: new Map(), patterns: [] });

/** A word with a digit is a value: it does not lead through the tree. */
const HAS_DIGIT = /\d/;
const SEPARATORS = /([\s=:,;()[\]{}"'<>|]+)/;

export class Drain {
  readonly #options: DrainOptions;
  readonly #root = newNode();
  #count = 0;

  constructor(options: DrainOptions = DRAIN_OPTIONS) {
    this.#options = options;
  }

  /** The pattern that the line belongs to, changed so that it fits; undefined for a line that is too long or would begin one too many. */
  add(line: string): LinePattern | undefined {
    const { wordsMax, patternsMax } = this.#options;
    const parts = line.split(SEPARATORS, 2 * wordsMax + 1);
    if (line === '' || parts.length > 2 * wordsMax) return undefined;
    const words = parts.filter((_, index) => index % 2 === 0);
    const separators = parts.filter((_, index) => index % 2 === 1);
    const isFull = this.#count >= patternsMax;
    const leaf = this.#leafOf(words, separators, isFull);
    const alike = leaf && mostAlike(leaf.patterns, words, this.#options.similarity);
    if (alike) {
      for (let index = 0; index < words.length; index += 1) {
        if (alike.words[index] !== words[index]) alike.words[index] = WILDCARD;
      }
      return alike;
    }
    if (isFull || !leaf) return undefined;
    const pattern = { words, separators };
    leaf.patterns.push(pattern);
    this.#count += 1;
    return pattern;
  }

  /** @param isKnown it must be there */
  #leafOf(words: readonly string[], separators: readonly string[], isKnown: boolean): Node | undefined {
    const { depth, childrenMax } = this.#options;
    const keys = words.slice(0, depth).map((word) => (HAS_DIGIT.test(word) ? WILDCARD : word));
    let node = this.#root;
    for (const [level, key] of [separators.join('\0'), ...keys].entries()) {
      const isOpen = level === 0 || node.children.size < childrenMax;
      const known = node.children.get(key) ?? (isOpen ? undefined : node.children.get(WILDCARD));
      if (!known && isKnown) return undefined;
      const child = known ?? newNode();
      if (!known) node.children.set(isOpen ? key : WILDCARD, child);
      node = child;
    }
    return node;
  }
}

const mostAlike = (
  patterns: readonly LinePattern[],
  words: readonly string[],
  similarityMin: number,
): LinePattern | undefined => {
  let best: LinePattern | undefined;
  let bestEqual = -1;
  let bestOpen = -1;
  for (const pattern of patterns) {
    let equal = 0;
    let open = 0;
    for (let index = 0; index < words.length; index += 1) {
      if (pattern.words[index] === WILDCARD) open += 1;
      else if (pattern.words[index] === words[index]) equal += 1;
    }
    if (equal < bestEqual || (equal === bestEqual && open <= bestOpen)) continue;
    best = pattern;
    bestEqual = equal;
    bestOpen = open;
  }
  // A line that has every word that is not open belongs there, however much is open.
  return bestEqual + bestOpen === words.length || bestEqual >= similarityMin * words.length ? best : undefined;
};

/** As a line with wildcards; those that touch are one. */
export const patternText = ({ words, separators }: LinePattern): string =>
  words
    .map((word, index) => word + (separators[index] ?? ''))
    .join('')
    .replaceAll(/(?:<_>)+/g, WILDCARD);
