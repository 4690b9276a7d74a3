/**
 * The level of a line, from its bytes (the API specification, 1.10): the value of a field of JSON or logfmt, or the first word that
 * is a level. No text is decoded; each byte is looked at twice at most.
 */
import { levelInJson } from './json-level.ts';
import type { LevelFields } from './level-fields.ts';
import { levelInWords } from './level-words.ts';
import { NO_LEVEL, UNKNOWN_LEVEL } from './levels.ts';
import { levelInLogfmt } from './logfmt-level.ts';

const SPACE = 0x20;
const OPEN = 0x7b;
const CLOSE = 0x7d;

/**
 * Of bytes [start, end); UNKNOWN_LEVEL if nothing says it.
 * @param depthMax objects within objects that are looked into (`log_level_from_json_max_depth`); 0 = all
 */
export const levelOfLine = (
  bytes: Uint8Array,
  start: number,
  end: number,
  fields: LevelFields,
  depthMax: number,
): number => {
  const level = isObject(bytes, start, end)
    ? levelInJson(bytes, start, end, fields, depthMax === 0 ? Number.MAX_SAFE_INTEGER : depthMax)
    : levelInLogfmt(bytes, start, end, fields);
  if (level !== NO_LEVEL) return level;
  return levelInWords(bytes, start, end) || UNKNOWN_LEVEL;
};

const isObject = (bytes: Uint8Array, start: number, end: number): boolean => {
  let first = start;
  while (first < end && bytes[first]! <= SPACE) first += 1;
  if (bytes[first] !== OPEN || first === end) return false;
  let last = end - 1;
  while (last > first && bytes[last]! <= SPACE) last -= 1;
  return bytes[last] === CLOSE;
};
