/** The first level that stands in a line as a word of its own. */
import { isWordAt, levelNamed, NO_LEVEL } from './levels.ts';

/** Longer ones first where one begins another. */
const WORDS = ['trace', 'debug', 'fatal', 'critical', 'error', 'err', 'warning', 'warn', 'info'];

const BEFORE = 1;
const AFTER = 2;
const FIRST = 4;

/** What a byte may be: before a word, after it, its first letter. */
const kinds = new Uint8Array(256);
const mark = (characters: string, kind: number): void => {
  for (const byte of Buffer.from(characters)) kinds[byte]! |= kind;
};
mark(' \t\n\r[({"=', BEFORE);
mark(' \t\n\r[](){}:,!"=', AFTER);

/** First letter, in either case → the words that begin with it. */
const wordsOf: (readonly { readonly bytes: Uint8Array; readonly level: number }[] | undefined)[] = new Array(256);
for (const text of WORDS) {
  const word = { bytes: Buffer.from(text), level: levelNamed(text) };
  for (const first of [text.charAt(0), text.charAt(0).toUpperCase()]) {
    mark(first, FIRST);
    const code = first.charCodeAt(0);
    wordsOf[code] = [...(wordsOf[code] ?? []), word];
  }
}

/** NO_LEVEL if there is none in bytes [start, end). */
export const levelInWords = (bytes: Uint8Array, start: number, end: number): number => {
  let at = start;
  while (at < end) {
    if ((kinds[bytes[at]!]! & FIRST) !== 0) {
      const level = levelAt(bytes, at, end);
      if (level !== NO_LEVEL) return level;
    }
    while (at < end && (kinds[bytes[at]!]! & BEFORE) === 0) at += 1;
    at += 1;
  }
  return NO_LEVEL;
};

const levelAt = (bytes: Uint8Array, at: number, end: number): number => {
  for (const { bytes: word, level } of wordsOf[bytes[at]!] ?? []) {
    const after = at + word.length;
    if (after > end || !isWordAt(bytes, at, word)) continue;
    if (after === end || (kinds[bytes[after]!]! & AFTER) !== 0) return level;
  }
  return NO_LEVEL;
};
