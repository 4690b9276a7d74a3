/**
 * Text ↔ bytes, inverse for any bytes: a byte that is not part of valid UTF-8 is the lone surrogate U+DC00 + byte. Such text must not
 * reach a client as it is (`wellFormed` replaces what cannot be shown).
 */
import { isUtf8 } from 'node:buffer';

const ESCAPED_BYTE = /[\udc80-\udcff]/;
const LONE_SURROGATE = /\p{Surrogate}/gu;

/** Bytes [start, end) as text. Copies. */
export const textOfBytes = (bytes: Uint8Array, start = 0, end = bytes.length): string => {
  const part = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start);
  if (isUtf8(part)) return part.toString('utf8');
  let text = '';
  let validStart = 0;
  let index = 0;
  while (index < part.length) {
    const size = characterSize(part, index, part.length);
    if (size > 0) {
      index += size;
      continue;
    }
    text += part.toString('utf8', validStart, index) + String.fromCharCode(0xdc00 + part[index]!);
    index += 1;
    validStart = index;
  }
  return text + part.toString('utf8', validStart, index);
};

export const bytesOfText = (text: string): Buffer => {
  // Half of every astral character looks like an escape to this test; the loop below tells them apart.
  if (!ESCAPED_BYTE.test(text)) return Buffer.from(text, 'utf8');
  const parts: Buffer[] = [];
  for (const character of text) {
    const code = character.charCodeAt(0);
    const isEscape = character.length === 1 && code >= 0xdc80 && code <= 0xdcff;
    parts.push(isEscape ? Buffer.of(code - 0xdc00) : Buffer.from(character, 'utf8'));
  }
  return Buffer.concat(parts);
};

/** Writes the bytes of `text` at `at`, where they must have room (3 bytes a UTF-16 unit). @returns the end of what was written */
export const writeText = (target: Buffer, text: string, at: number): number => {
  if (!ESCAPED_BYTE.test(text)) return at + target.write(text, at, 'utf8');
  const bytes = bytesOfText(text);
  target.set(bytes, at);
  return at + bytes.length;
};

/** Text for output: what is not a character is U+FFFD. */
export const wellFormed = (text: string): string => text.replace(LONE_SURROGATE, '\ufffd');

/** Bytes of the UTF-8 character at `index`, or 0 if the byte there begins none (Unicode table 3-7: no surrogates, nothing overlong). */
export const characterSize = (bytes: Uint8Array, index: number, end: number): number => {
  const lead = bytes[index]!;
  if (lead < 0x80) return 1;
  const size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || index + size > end) return 0;
  const second = bytes[index + 1]!;
  const lowest = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  const highest = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  if (second < lowest || second > highest) return 0;
  for (let at = index + 2; at < index + size; at += 1) if ((bytes[at]! & 0xc0) !== 0x80) return 0;
  return size;
};
