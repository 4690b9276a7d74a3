/** The level that a field of a JSON object names. */
import type { LevelFields } from './level-fields.ts';
import { levelOfBytes, NO_LEVEL } from './levels.ts';
import { endOfQuoted } from './quoted-bytes.ts';

const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN = 0x7b;
const CLOSE = 0x7d;

/** The first field in the order of the text decides, whether its value names a level or not. Lists are not looked into. */
export const levelInJson = (
  bytes: Uint8Array,
  start: number,
  end: number,
  fields: LevelFields,
  depthMax: number,
): number => {
  let depth = 0;
  let isKeyNext = false;
  let isField = false;
  for (let at = start; at < end; at += 1) {
    const byte = bytes[at]!;
    if (byte === QUOTE) {
      const textStart = at + 1;
      at = endOfQuoted(bytes, textStart, end);
      if (isKeyNext) isField = depth <= depthMax && fields.isField(bytes, textStart, at);
      else if (isField) return levelOfBytes(bytes, textStart, at);
      isKeyNext = false;
    } else if (byte === COMMA || byte === OPEN) {
      if (byte === OPEN) depth += 1;
      isKeyNext = true;
      isField = false;
    } else if (byte === CLOSE) {
      depth -= 1;
    } else if (byte === OPEN_LIST) {
      at = endOfList(bytes, at, end);
    }
  }
  return NO_LEVEL;
};

const endOfList = (bytes: Uint8Array, start: number, end: number): number => {
  let depth = 0;
  for (let at = start; at < end; at += 1) {
    const byte = bytes[at]!;
    if (byte === QUOTE) at = endOfQuoted(bytes, at + 1, end);
    else if (byte === OPEN_LIST) depth += 1;
    else if (byte === CLOSE_LIST) {
      depth -= 1;
      if (depth === 0) return at;
    }
  }
  return end;
};
