/**
 * Reading JSON the lenient way Loki does: just enough to step from key to key. Nothing is checked that does not stand in the way, and
 * what is read before an error stays. Positions are absolute; -1 means the end was not found.
 */

export const JSON_ERROR = {
  object: "Value looks like object, but can't find closing '}' symbol",
  array: "Value is array, but can't find closing ']' symbol",
  string: "Value is string, but can't find closing '\"' symbol",
  scalar: "Value looks like Number/Boolean/None, but can't find its end: ',' or '}' symbol",
  unknown: 'Unknown value type',
  escape: 'Encountered an invalid escape sequence in a string',
  malformed: 'Malformed JSON error',
} as const;

// Plain constants, not one object: they stand in the innermost loops.
export const QUOTE = 0x22;
export const COMMA = 0x2c;
export const COLON = 0x3a;
export const OPEN_ARRAY = 0x5b;
export const BACKSLASH = 0x5c;
export const CLOSE_ARRAY = 0x5d;
export const OPEN_OBJECT = 0x7b;
export const CLOSE_OBJECT = 0x7d;

/** First position of [position, end) that is no blank; `end` if there is none. */
export const skipBlanks = (bytes: Uint8Array, position: number, end: number): number => {
  let at = position;
  while (at < end) {
    const byte = bytes[at]!;
    if (byte > 0x20 || (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09)) break;
    at++;
  }
  return at;
};

/** Position after the object or array that opens at `position`; only its own kind of bracket counts, strings are skipped. */
export const endOfBlock = (bytes: Uint8Array, position: number, end: number, open: number, close: number): number => {
  let level = 0;
  for (let at = position; at < end; at++) {
    const byte = bytes[at];
    if (byte === QUOTE) {
      for (at++; at < end && bytes[at] !== QUOTE; at++) if (bytes[at] === BACKSLASH) at++;
    } else if (byte === open) {
      level++;
    } else if (byte === close && --level === 0) {
      return at + 1;
    }
  }
  return -1;
};

/** Position after a number, true, false or null: the next blank, comma or closing bracket, or `end`. */
export const endOfToken = (bytes: Uint8Array, position: number, end: number): number => {
  let at = position;
  while (at < end) {
    const byte = bytes[at];
    if (byte === COMMA || byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) break;
    if (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) break;
    at++;
  }
  return at;
};

const isWord = (bytes: Uint8Array, start: number, end: number, word: string): boolean => {
  if (end - start !== word.length) return false;
  for (let index = 0; index < word.length; index++) if (bytes[start + index] !== word.charCodeAt(index)) return false;
  return true;
};

/** What a token is; undefined for none that JSON knows. Numbers are taken by their first character. */
export const tokenKind = (bytes: Uint8Array, start: number, end: number): 'number' | 'boolean' | 'null' | undefined => {
  const first = bytes[start]!;
  if ((first >= 0x30 && first <= 0x39) || first === 0x2d) return 'number';
  if (isWord(bytes, start, end, 'true') || isWord(bytes, start, end, 'false')) return 'boolean';
  return isWord(bytes, start, end, 'null') ? 'null' : undefined;
};
