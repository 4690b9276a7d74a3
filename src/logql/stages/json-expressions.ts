/** `| json a, b="path"`: the listed places of the line's JSON, each as the text of its value. */
import type { Extract } from '../ast.ts';
import { type Entry, FORM } from './entry.ts';
import { JSON_PARSER_ERROR } from './json.ts';
import { type JsonPath, parseJsonPath } from './json-path.ts';
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
import { hashOf, KeyTable } from './key-table.ts';
import type { CompiledStage } from './stage.ts';

/** What is wanted at and below one place. */
interface Place {
  readonly targets: number[];
  readonly fields: Map<string, Place>;
  readonly items: Map<number, Place>;
  /** Members by the bytes of their keys, also those that nobody wants. */
  readonly known: KeyTable<Place>;
  /** The first value of a place counts. */
  isTaken: boolean;
}

const newPlace = (): Place => ({
  targets: [],
  fields: new Map(),
  items: new Map(),
  known: new KeyTable(),
  isTaken: false,
});

const placeAt = (root: Place, path: JsonPath): Place => {
  let place = root;
  for (const step of path) {
    const steps = (typeof step === 'string' ? place.fields : place.items) as Map<string | number, Place>;
    const next = steps.get(step) ?? newPlace();
    steps.set(step, next);
    place = next;
  }
  return place;
};

const forget = (place: Place): void => {
  place.isTaken = false;
  for (const below of place.fields.values()) forget(below);
  for (const below of place.items.values()) forget(below);
};

class JsonPicker {
  readonly #entry: Entry;
  readonly #root = newPlace();
  readonly #ids: readonly number[];

  constructor(entry: Entry, targets: readonly (readonly [name: string, path: JsonPath])[]) {
    this.#entry = entry;
    this.#ids = targets.map(([name]) => entry.id(name));
    for (const [index, [, path]] of targets.entries()) placeAt(this.#root, path).targets.push(this.#ids[index]!);
  }

  run(): boolean {
    const entry = this.#entry;
    if (entry.lineStart === entry.lineEnd || entry.needsNoParser) return true;
    const first = entry.lineBytes[entry.lineStart];
    if (first !== OPEN_OBJECT && first !== OPEN_ARRAY && first !== QUOTE) {
      entry.setParserError(JSON_PARSER_ERROR, '');
      return true;
    }
    forget(this.#root);
    this.#value(entry.lineBytes, entry.lineStart, entry.lineEnd, this.#root);
    for (const id of this.#ids) if (!entry.has(id)) entry.setParsedText(id, '');
    return true;
  }

  /** Takes what is wanted of the value at `position`; returns the position after it, -1 if the JSON ends or breaks there. */
  #value(bytes: Buffer, position: number, end: number, place: Place): number {
    const start = skipBlanks(bytes, position, end);
    if (start >= end) return -1;
    const isWanted = place.targets.length > 0 && !place.isTaken;
    place.isTaken = true;
    switch (bytes[start]) {
      case QUOTE: {
        const close = closingQuote(bytes, start + 1, end);
        if (close < 0) return this.#broken(isWanted, place, JSON_ERROR.string);
        if (isWanted) this.#take(place, bytes, start + 1, close);
        return close + 1;
      }
      case OPEN_OBJECT:
      case OPEN_ARRAY:
        return this.#block(bytes, start, end, place, isWanted);
      default:
        return this.#token(bytes, start, end, place, isWanted);
    }
  }

  #token(bytes: Buffer, start: number, end: number, place: Place, isWanted: boolean): number {
    const stop = endOfToken(bytes, start, end);
    const kind = tokenKind(bytes, start, stop);
    if (kind === undefined) return this.#broken(isWanted, place, JSON_ERROR.unknown);
    if (isWanted) this.#take(place, bytes, kind === 'null' ? stop : start, stop);
    return stop;
  }

  #block(bytes: Buffer, start: number, end: number, place: Place, isWanted: boolean): number {
    const isObject = bytes[start] === OPEN_OBJECT;
    const stop = isObject
      ? endOfBlock(bytes, start, end, OPEN_OBJECT, CLOSE_OBJECT)
      : endOfBlock(bytes, start, end, OPEN_ARRAY, CLOSE_ARRAY);
    if (isWanted) {
      if (stop < 0) return this.#broken(true, place, isObject ? JSON_ERROR.object : JSON_ERROR.array);
      this.#take(place, bytes, start, stop);
    }
    if (isObject && place.fields.size > 0) this.#members(bytes, start + 1, stop < 0 ? end : stop, place);
    if (!isObject && place.items.size > 0) this.#items(bytes, start + 1, stop < 0 ? end : stop, place);
    return stop;
  }

  #members(bytes: Buffer, position: number, end: number, place: Place): void {
    let at = skipBlanks(bytes, position, end);
    while (at < end && bytes[at] === QUOTE) {
      const close = closingQuote(bytes, at + 1, end);
      if (close < 0) return;
      const colon = skipBlanks(bytes, close + 1, end);
      if (bytes[colon] !== COLON || colon >= end) return;
      const below = this.#member(bytes, at + 1, close, place);
      at = this.#value(bytes, colon + 1, end, below.isTaken ? IGNORED : below);
      if (at < 0) return;
      at = nextMember(bytes, at, end);
    }
  }

  #member(bytes: Buffer, start: number, end: number, place: Place): Place {
    const hash = hashOf(bytes, start, end);
    const known = place.known.find(bytes, start, end, hash);
    if (known !== undefined) return known;
    const key = unescapeJson(bytes.toString('utf8', start, end));
    const below = (key === undefined ? undefined : place.fields.get(key)) ?? IGNORED;
    place.known.add(Uint8Array.prototype.slice.call(bytes, start, end), hash, below);
    return below;
  }

  #items(bytes: Buffer, position: number, end: number, place: Place): void {
    let at = skipBlanks(bytes, position, end);
    for (let index = 0; at < end && bytes[at] !== CLOSE_ARRAY; index++) {
      at = this.#value(bytes, at, end, place.items.get(index) ?? IGNORED);
      if (at < 0) return;
      at = this.#next(bytes, at, end);
    }
  }

  /** Over the comma to the next item; anything else ends the array. */
  #next(bytes: Buffer, position: number, end: number): number {
    const at = skipBlanks(bytes, position, end);
    if (at >= end || bytes[at] === COMMA) return skipBlanks(bytes, Math.min(at + 1, end), end);
    return bytes[at] === CLOSE_ARRAY ? at : end;
  }

  #broken(isWanted: boolean, place: Place, error: string): number {
    if (isWanted) {
      this.#entry.setParserError(JSON_PARSER_ERROR, error);
      this.#setText(place, '');
    }
    return -1;
  }

  #setText(place: Place, text: string): void {
    for (const id of place.targets) {
      if (!this.#entry.isTaken(id)) this.#entry.setParsedText(id, text);
    }
  }

  #take(place: Place, bytes: Buffer, from: number, to: number): void {
    for (const id of place.targets)
      this.#entry.setParsedBytes(this.#entry.parsedId(id), FORM.jsonString, bytes, from, to);
  }
}

/** To the next key or the object's end. Loki looks for keys, not for commas: members without one between them are read as if it were there. */
const nextMember = (bytes: Buffer, position: number, end: number): number => {
  const at = skipBlanks(bytes, position, end);
  return at < end && bytes[at] === COMMA ? skipBlanks(bytes, at + 1, end) : at;
};

const IGNORED: Place = { ...newPlace(), isTaken: true };

/** Of expressions with the same target, the one found last in the line counts. @throws Error with Loki's text for a bad path */
export const compileJsonExpressions = (extracts: readonly Extract[]): CompiledStage => {
  const paths = extracts.map(({ name, path }) => [name, parseJsonPath(path)] as const);
  return {
    start: (entry) => {
      const picker = new JsonPicker(entry, paths);
      return () => picker.run();
    },
  };
};
