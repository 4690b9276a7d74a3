/**
 * Inside templates a string is what it is in Go: bytes. They are kept as JS strings with one character (0–255) a byte, so that len, trunc
 * and slicing are right and ASCII text needs no conversion.
 */
import { decodeUtf8 } from '../stages/utf8-text.ts';

const ASCII_ONLY = /^[\0-\x7f]*$/;
const HAS_LONE = /[\uDC80-\uDCFF]/;

const loneToBytes = (text: string): string => {
  const parts: string[] = [];
  for (const rune of text) {
    const code = rune.codePointAt(0)!;
    parts.push(
      code >= 0xdc80 && code <= 0xdcff ? String.fromCharCode(code - 0xdc00) : Buffer.from(rune).toString('latin1'),
    );
  }
  return parts.join('');
};

/** Text → its UTF-8 bytes. */
export const toByteText = (text: string): string => {
  if (ASCII_ONLY.test(text)) return text;
  return HAS_LONE.test(text) ? loneToBytes(text) : Buffer.from(text, 'utf8').toString('latin1');
};

/** UTF-8 bytes → text; bytes outside UTF-8 become U+FFFD. */
export const fromByteText = (bytes: string): string =>
  ASCII_ONLY.test(bytes) ? bytes : decodeUtf8(Buffer.from(bytes, 'latin1'), 0, bytes.length);

/** Applies a function on text to bytes. */
export const onText = (bytes: string, change: (text: string) => string): string =>
  ASCII_ONLY.test(bytes) ? change(bytes) : toByteText(change(fromByteText(bytes)));
