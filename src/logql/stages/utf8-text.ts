/** Decoding UTF-8 as Go does: each byte that is not part of a valid rune becomes U+FFFD on its own (Node makes one of several). */

const REPLACEMENT = '\uFFFD';

const isContinuation = (byte: number | undefined): boolean => byte !== undefined && (byte & 0xc0) === 0x80;

/** Bytes of the rune that a lead byte starts; 0 for a byte that starts none. */
const runeLength = (lead: number): number => {
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return 2;
  if (lead >= 0xe0 && lead <= 0xef) return 3;
  return lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
};

/** No overlong forms, no surrogates, nothing past U+10FFFF. */
const isSecondByteAllowed = (lead: number, second: number): boolean => {
  if (lead === 0xe0) return second >= 0xa0;
  if (lead === 0xed) return second <= 0x9f;
  if (lead === 0xf0) return second >= 0x90;
  return lead !== 0xf4 || second <= 0x8f;
};

const isRune = (bytes: Uint8Array, at: number, end: number, length: number): boolean => {
  if (length === 0 || at + length > end) return false;
  for (let index = 1; index < length; index++) if (!isContinuation(bytes[at + index])) return false;
  return length === 1 || isSecondByteAllowed(bytes[at]!, bytes[at + 1]!);
};

const decodeByRunes = (bytes: Buffer, start: number, end: number): string => {
  let text = '';
  let validFrom = start;
  for (let at = start; at < end; ) {
    const length = runeLength(bytes[at]!);
    if (isRune(bytes, at, end, length)) {
      at += length;
      continue;
    }
    text += bytes.toString('utf8', validFrom, at) + REPLACEMENT;
    at++;
    validFrom = at;
  }
  return text + bytes.toString('utf8', validFrom, end);
};

/** Text of [start, end). */
export const decodeUtf8 = (bytes: Buffer, start: number, end: number): string => {
  const text = bytes.toString('utf8', start, end);
  return text.includes(REPLACEMENT) ? decodeByRunes(bytes, start, end) : text;
};
