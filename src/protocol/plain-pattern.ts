/** Patterns that need no regular-expression engine: the lists of values that dashboards send, which may be as long as a query may be. */

/** A literal, perhaps with `.*` before or behind it. */
export interface PlainAlternative {
  readonly text: string;
  readonly isOpenAtStart: boolean;
  readonly isOpenAtEnd: boolean;
}

/** Literals, `.*` and `|`. Always a valid pattern; escaped `|` are left out so that it can be split. */
const PLAIN = /^(?:[^\\.+*?()[\]{}^$]|\\[!-/:-@[-`{}~]|\.\*)*$/;
const ESCAPED_MARK = /\\(.)/g;

/** The literals an anchored pattern is an alternation of; undefined if it is anything else. */
export const plainAlternatives = (pattern: string): readonly PlainAlternative[] | undefined => {
  if (!PLAIN.test(pattern)) return undefined;
  const alternatives: PlainAlternative[] = [];
  for (const option of pattern.split('|')) {
    const isOpenAtStart = option.startsWith('.*');
    const rest = isOpenAtStart ? option.slice(2) : option;
    const isOpenAtEnd = rest.endsWith('.*');
    const middle = isOpenAtEnd ? rest.slice(0, -2) : rest;
    if (middle.includes('.*') || (middle === '' && option !== '')) return undefined;
    alternatives.push({ text: middle.replaceAll(ESCAPED_MARK, '$1'), isOpenAtStart, isOpenAtEnd });
  }
  return alternatives;
};

const testOf = ({ text, isOpenAtStart, isOpenAtEnd }: PlainAlternative): ((value: string) => boolean) => {
  if (isOpenAtStart) return isOpenAtEnd ? (value) => value.includes(text) : (value) => value.endsWith(text);
  return isOpenAtEnd ? (value) => value.startsWith(text) : (value) => value === text;
};

/** True for a value that one of the alternatives matches as a whole. */
export const anyPlain = (alternatives: readonly PlainAlternative[]): ((value: string) => boolean) => {
  if (alternatives.length === 1) return testOf(alternatives[0]!);
  const exact = new Set<string>();
  const tests: ((value: string) => boolean)[] = [];
  for (const alternative of alternatives) {
    if (alternative.isOpenAtStart || alternative.isOpenAtEnd) tests.push(testOf(alternative));
    else exact.add(alternative.text);
  }
  return (value) => exact.has(value) || tests.some((test) => test(value));
};
