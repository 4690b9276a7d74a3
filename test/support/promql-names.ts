/** Which metrics and labels a PromQL expression names. No parser: enough for expressions whose operators have spaces around them. */

export interface PromqlNames {
  /** With the labels that its selector names. */
  readonly selectors: readonly { readonly metric: string; readonly labels: readonly string[] }[];
  /** Of `by`, `on`, `without` and the like. */
  readonly grouping: readonly string[];
}

const GROUPING = /\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)/g;
const SELECTOR = /([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(\{[^}]*\})?/g;
const WORDS = new Set(['and', 'or', 'unless', 'bool', 'offset']);

const listed = (text: string): readonly string[] =>
  text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');

export const namesIn = (expression: string): PromqlNames => {
  const plain = expression.replaceAll(/"[^"]*"/g, '""');
  const grouping = [...plain.matchAll(GROUPING)].flatMap(([, names = '']) => listed(names));
  // Numbers with their units, and the ranges of selectors, are no names.
  const rest = plain
    .replaceAll(GROUPING, ' ')
    .replaceAll(/\[[^\]]*\]/g, ' ')
    .replaceAll(/\b\d[\w.]*/g, ' ');
  const selectors = [...rest.matchAll(SELECTOR)].flatMap(({ 0: found, 1: metric = '', 2: matchers = '{}', index }) => {
    const isCall = rest
      .slice(index + found.length)
      .trimStart()
      .startsWith('(');
    if (isCall || WORDS.has(metric)) return [];
    return [{ metric, labels: [...matchers.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)].map(([, label = '']) => label) }];
  });
  return { selectors, grouping };
};
