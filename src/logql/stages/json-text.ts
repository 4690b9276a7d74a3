/** Strings of JSON: the end, and the text behind the escapes. */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const BAD_ESCAPE = /\\(?:[^"\\/bfnrtu]|u(?![0-9a-fA-F]{4})|$)/;
const ESCAPE = /\\(?:u([0-9a-fA-F]{4})|(.))/g;
const LONE_SURROGATE = /[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/;
const SIMPLE: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' };

/** Position of the closing quote of a string whose text starts at `position`; -1 if it does not close before `end`. */
export const closingQuote = (bytes: Uint8Array, position: number, end: number): number => {
  for (let at = position; at < end; at++) {
    const byte = bytes[at];
    if (byte === QUOTE) return at;
    if (byte === BACKSLASH) at++;
  }
  return -1;
};

const expand = (_: string, code: string | undefined, simple: string): string =>
  code === undefined ? (SIMPLE[simple] ?? simple) : String.fromCharCode(Number.parseInt(code, 16));

/** The text behind the escapes of a JSON string; undefined if an escape is invalid (surrogates must come in pairs). */
export const unescapeJson = (text: string): string | undefined => {
  if (!text.includes('\\')) return text;
  // An escaped backslash must not lend its second half to the next character.
  if (BAD_ESCAPE.test(text.replaceAll('\\\\', '  '))) return undefined;
  const plain = text.replace(ESCAPE, expand);
  return LONE_SURROGATE.test(plain) ? undefined : plain;
};
