/**
 * Text as a double-quoted Go literal, as `%q` and strconv.Quote write it: Loki's error texts and printed queries use it. A lone surrogate
 * U+DC80…U+DCFF stands for a byte that is not UTF-8 (see LabelSet) and is written `\x80`…`\xff`.
 */
export const quoteGo = (text: string): string => {
  if (!NEEDS_ESCAPE.test(text)) return `"${text}"`;
  let quoted = '"';
  for (const character of text) quoted += NEEDS_ESCAPE.test(character) ? escaped(character) : character;
  return `${quoted}"`;
};

/** Go prints letters, marks, numbers, punctuation, symbols and the ASCII blank; everything else is escaped. */
const NEEDS_ESCAPE = /["\\]|[^ \p{L}\p{M}\p{N}\p{P}\p{S}]/u;

const SHORT_ESCAPES: ReadonlyMap<string, string> = new Map([
  ['"', '\\"'],
  ['\\', '\\\\'],
  ['\u0007', '\\a'],
  ['\b', '\\b'],
  ['\f', '\\f'],
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
  ['\v', '\\v'],
]);

const escaped = (character: string): string => {
  const short = SHORT_ESCAPES.get(character);
  if (short !== undefined) return short;
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x20 || code === 0x7f) return `\\x${hex(code, 2)}`;
  if (code >= 0xdc80 && code <= 0xdcff) return `\\x${hex(code - 0xdc00, 2)}`;
  return code > 0xffff ? `\\U${hex(code, 8)}` : `\\u${hex(code, 4)}`;
};

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');
