/** `| unpack`: undoes Promtail's pack stage. The string member `_entry` becomes the line, the other strings labels. */
import type { Entry } from './entry.ts';
import { JSON_PARSER_ERROR } from './json.ts';
import {
  CLOSE_ARRAY,
  CLOSE_OBJECT,
  COLON,
  COMMA,
  endOfBlock,
  endOfToken,
  JSON_ERROR,
  OPEN_ARRAY,
  OPEN_OBJECT,
  QUOTE,
  skipBlanks,
  tokenKind,
} from './json-scan.ts';
import { closingQuote, unescapeJson } from './json-text.ts';
import { sanitizeLabelName } from './label-names.ts';
import type { CompiledStage } from './stage.ts';
import { withoutBadRunes } from './text-cache.ts';

const ENTRY_KEY = '_entry';

interface Packed {
  entry: string | undefined;
  readonly labels: [name: string, value: string][];
}

class MemberError extends Error {}

/** Position after the value at `start`; the text of a string value goes to `onString`. */
const readValue = (bytes: Buffer, start: number, end: number, onString: (text: string) => void): number => {
  const first = bytes[start];
  if (first === QUOTE) {
    const close = closingQuote(bytes, start + 1, end);
    if (close < 0) throw new MemberError(JSON_ERROR.string);
    onString(withoutBadRunes(unescapeJson(bytes.toString('utf8', start + 1, close)) ?? ''));
    return close + 1;
  }
  if (first === OPEN_OBJECT || first === OPEN_ARRAY) {
    const isObject = first === OPEN_OBJECT;
    const close = endOfBlock(bytes, start, end, first, isObject ? CLOSE_OBJECT : CLOSE_ARRAY);
    if (close < 0) throw new MemberError(isObject ? JSON_ERROR.object : JSON_ERROR.array);
    return close;
  }
  const stop = endOfToken(bytes, start, end);
  if (tokenKind(bytes, start, stop) === undefined) throw new MemberError(JSON_ERROR.unknown);
  return stop;
};

/** Start of the value of the member at `at`, and its key. */
const readKey = (bytes: Buffer, at: number, end: number): { readonly key: string; readonly value: number } => {
  if (bytes[at] !== QUOTE) throw new MemberError(JSON_ERROR.object);
  const close = closingQuote(bytes, at + 1, end);
  const colon = close < 0 ? end : skipBlanks(bytes, close + 1, end);
  if (colon >= end || bytes[colon] !== COLON) throw new MemberError(JSON_ERROR.malformed);
  const key = unescapeJson(bytes.toString('utf8', at + 1, close));
  if (key === undefined) throw new MemberError(JSON_ERROR.escape);
  const value = skipBlanks(bytes, colon + 1, end);
  if (value >= end) throw new MemberError(JSON_ERROR.malformed);
  return { key, value };
};

const readPacked = (bytes: Buffer, start: number, end: number): Packed => {
  const packed: Packed = { entry: undefined, labels: [] };
  let at = skipBlanks(bytes, start + 1, end);
  if (at >= end) throw new MemberError(JSON_ERROR.malformed);
  while (bytes[at] !== CLOSE_OBJECT) {
    const { key, value } = readKey(bytes, at, end);
    at = readValue(bytes, value, end, (text) => {
      if (key === ENTRY_KEY) packed.entry = text;
      else packed.labels.push([sanitizeLabelName(key, true), text]);
    });
    at = skipBlanks(bytes, at, end);
    if (at < end && bytes[at] === COMMA) at = skipBlanks(bytes, at + 1, end);
    else if (at < end && bytes[at] !== CLOSE_OBJECT) throw new MemberError(JSON_ERROR.object);
    if (at >= end) throw new MemberError(JSON_ERROR.array);
  }
  return packed;
};

const apply = (entry: Entry, { entry: line, labels }: Packed): void => {
  if (line === undefined) return;
  for (const [name, value] of labels) {
    if (name === '' || !entry.canWant(name)) continue;
    const id = entry.parsedId(entry.id(name));
    if (entry.wants(id) && !entry.isParsed(id)) entry.setParsedText(id, value);
  }
  entry.setLine(Buffer.from(line, 'utf8'));
};

const unpack = (entry: Entry): boolean => {
  const { lineBytes, lineStart, lineEnd } = entry;
  if (lineStart === lineEnd || entry.needsNoParser) return true;
  if (lineBytes[lineStart] !== OPEN_OBJECT) {
    entry.setParserError(JSON_PARSER_ERROR, 'expecting json object(6), but it is not');
    return true;
  }
  try {
    apply(entry, readPacked(lineBytes, lineStart, lineEnd));
  } catch (error) {
    if (!(error instanceof MemberError)) throw error;
    entry.setParserError(JSON_PARSER_ERROR, error.message);
  }
  return true;
};

export const compileUnpack = (): CompiledStage => ({ start: () => unpack });
