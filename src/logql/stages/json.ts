/** `| json` without arguments: every scalar of the object becomes a label, names of nested keys joined by `_`. Arrays and nulls are skipped. */
import type { LabelFilter } from '../ast.ts';
import { EarlyFilters, type EarlyTest } from './early-filters.ts';
import { type Entry, FORM, type Form } from './entry.ts';
import { type Key, KeyReader, SKIPPED as NO_LABEL, type Prefix } from './json-keys.ts';
import { FAILED, MORE } from './json-members.ts';
import {
  BACKSLASH,
  CLOSE_ARRAY,
  CLOSE_OBJECT,
  COLON,
  endOfBlock,
  endOfToken,
  JSON_ERROR,
  OPEN_ARRAY,
  OPEN_OBJECT,
  skipBlanks,
  tokenKind,
} from './json-scan.ts';
import type { CompiledStage } from './stage.ts';

export const JSON_PARSER_ERROR = 'JSONParserErr';

// Constants of the inner loop: imported ones are loaded and checked at each use, constants of the module itself are part of the code.
const QUOTE = 0x22;
const COMMA = 0x2c;
const SKIPPED: number = NO_LABEL;
const { bytes: BYTES, cleaned: CLEANED } = FORM;

/** Objects nested deeper than this are skipped like arrays: the names would be longer than the line. */
const DEPTH_MAX = 128;

class JsonFlattener {
  readonly #entry: Entry;
  readonly #early: EarlyTest | undefined;
  readonly #keys: KeyReader;
  #generation = 0;
  readonly #prefixes: Prefix[] = [];
  #depth = 0;
  /** Labels found inside a top-level member that is an object: they count once it is known to be closed. */
  readonly #pending: number[] = [];
  #pendingCount = 0;
  #memberStart = 0;
  #position = 0;
  #error = '';
  #isDropped = false;

  constructor(entry: Entry, early: EarlyFilters) {
    this.#entry = entry;
    this.#early = early.start(entry);
    this.#keys = new KeyReader(entry, early.comparisons(entry));
  }

  run(): boolean {
    const entry = this.#entry;
    if (entry.needsNoParser) return true;
    if (entry.generation !== this.#generation) {
      this.#generation = entry.generation;
      this.#keys.forget();
    }
    this.#isDropped = false;
    return this.#takeKnown() ? !this.#isDropped : this.#readLine();
  }

  /** Takes the values of keys seen before. False: the line may hold others, and is to be read from its beginning. */
  #takeKnown(): boolean {
    const { lineBytes, lineStart, lineEnd, neededBits, touchedCount } = this.#entry;
    const { known } = this.#keys;
    // A label that is there before the line is read keeps its value.
    const found = known.find(lineBytes, lineStart, lineEnd, neededBits, touchedCount === 0);
    if (found === FAILED) {
      this.#isDropped = true;
      return true;
    }
    const count = found & (MORE - 1);
    for (let index = 0; index < count; index++) {
      const form = known.formOf(index) as Form;
      if (!this.#set(lineBytes, known.idOf(index), form, known.startOf(index), known.endOf(index))) return true;
    }
    return count === found;
  }

  #readLine(): boolean {
    const entry = this.#entry;
    this.#error = '';
    this.#pendingCount = 0;
    this.#depth = 0;
    this.#keys.root.cursor = undefined;
    this.#walk(entry.lineBytes, entry.lineEnd);
    if (this.#error !== '' && this.#depth > 0) this.#endUnfinishedMember(entry.lineBytes, entry.lineEnd);
    if (this.#isDropped) return false;
    if (this.#error !== '') entry.setParserError(JSON_PARSER_ERROR, this.#error);
    return true;
  }

  /** Steps from member to member until the object ends, all that is needed is found, or something is in the way (#error). */
  #walk(bytes: Buffer, end: number): void {
    this.#position = skipBlanks(bytes, this.#entry.lineStart, end);
    if (this.#position >= end || bytes[this.#position] !== OPEN_OBJECT) {
      this.#error = JSON_ERROR.object;
      return;
    }
    this.#position = skipBlanks(bytes, this.#position + 1, end);
    if (this.#position >= end) this.#error = JSON_ERROR.malformed;
    else this.#members(bytes, end);
  }

  #members(bytes: Buffer, end: number): void {
    let prefix: Prefix | undefined = this.#keys.root;
    while (prefix !== undefined) {
      const byte: number = bytes[this.#position]!;
      if (byte === QUOTE) {
        prefix = this.#readMember(bytes, end, prefix);
      } else if (byte === CLOSE_OBJECT) {
        prefix = this.#leaveObject(bytes, end);
      } else {
        this.#error = JSON_ERROR.object;
        return;
      }
    }
  }

  /** The prefix of the member that follows; undefined to stop. */
  #readMember(bytes: Buffer, end: number, prefix: Prefix): Prefix | undefined {
    const key = this.#readKey(bytes, end, prefix);
    const below = key === undefined ? undefined : this.#readValue(bytes, end, key);
    if (below === null) return this.#skipToNext(bytes, end) ? prefix : undefined;
    if (below !== undefined) this.#prefixes[this.#depth++] = prefix;
    return below;
  }

  #leaveObject(bytes: Buffer, end: number): Prefix | undefined {
    if (this.#depth === 0) return undefined;
    const outer = this.#prefixes[--this.#depth];
    this.#position++;
    if (this.#depth === 0 && !this.#commitPending(bytes)) return undefined;
    return this.#skipToNext(bytes, end) ? outer : undefined;
  }

  /** From after a value to the next key or the closing bracket. */
  #skipToNext(bytes: Buffer, end: number): boolean {
    const after = this.#position;
    if (after + 1 < end && bytes[after] === COMMA && bytes[after + 1] === QUOTE) {
      this.#position = after + 1;
      return true;
    }
    let at = skipBlanks(bytes, after, end);
    if (at < end && bytes[at] === COMMA) at = skipBlanks(bytes, at + 1, end);
    else if (at < end && bytes[at] !== CLOSE_OBJECT) {
      this.#error = JSON_ERROR.object;
      return false;
    }
    this.#position = at;
    if (at < end) return true;
    this.#error = JSON_ERROR.array;
    return false;
  }

  /** Reads `"key" :`; #position then stands after the colon. */
  #readKey(bytes: Buffer, end: number, prefix: Prefix): Key | undefined {
    const keys = this.#keys;
    const key = keys.read(bytes, this.#position + 1, end, prefix);
    if (key === undefined) return this.#stop(keys.error);
    const colon = skipBlanks(bytes, keys.keyEnd + 1, end);
    if (colon >= end || bytes[colon] !== COLON) return this.#stop(JSON_ERROR.malformed);
    this.#position = colon + 1;
    return key;
  }

  /** null: read a value; a prefix: went into an object; undefined: stop. */
  #readValue(bytes: Buffer, end: number, key: Key): Prefix | null | undefined {
    const start = skipBlanks(bytes, this.#position, end);
    if (start >= end) return this.#stop(JSON_ERROR.malformed);
    const first = bytes[start];
    if (first === QUOTE) return this.#readString(bytes, start + 1, end, key);
    if (first === OPEN_OBJECT) return this.#readObject(bytes, start, end, key);
    if (first === OPEN_ARRAY) {
      this.#position = endOfBlock(bytes, start, end, OPEN_ARRAY, CLOSE_ARRAY);
      return this.#position < 0 ? this.#stop(JSON_ERROR.array) : null;
    }
    this.#position = endOfToken(bytes, start, end);
    const kind = tokenKind(bytes, start, this.#position);
    if (kind === undefined) return this.#stop(JSON_ERROR.unknown);
    return kind === 'null' || this.#found(bytes, key, BYTES, start, this.#position) ? null : undefined;
  }

  #stop(error: string): undefined {
    this.#error = error;
    return undefined;
  }

  #readString(bytes: Buffer, start: number, end: number, key: Key): null | undefined {
    let at = start;
    let isEscaped = false;
    for (; at < end; at++) {
      const byte = bytes[at];
      if (byte === QUOTE) break;
      if (byte === BACKSLASH) {
        isEscaped = true;
        at++;
      }
    }
    if (at >= end) return this.#stop(JSON_ERROR.string);
    this.#position = at + 1;
    if (key.id === SKIPPED) return null;
    return this.#found(bytes, key, isEscaped ? FORM.jsonString : CLEANED, start, at) ? null : undefined;
  }

  #readObject(bytes: Buffer, start: number, end: number, key: Key): Prefix | null | undefined {
    const prefix = this.#keys.prefixUnder(key);
    const depth = this.#depth;
    if (prefix === undefined || depth >= DEPTH_MAX) {
      this.#position = endOfBlock(bytes, start, end, OPEN_OBJECT, CLOSE_OBJECT);
      return this.#position < 0 ? this.#stop(JSON_ERROR.object) : null;
    }
    if (depth === 0) this.#memberStart = start;
    this.#position = skipBlanks(bytes, start + 1, end);
    return this.#position >= end ? this.#stop(JSON_ERROR.object) : prefix;
  }

  /** Takes a scalar. False: stop here. */
  #found(bytes: Buffer, key: Key, form: Form, from: number, to: number): boolean {
    if (key.id === SKIPPED) return true;
    if (this.#depth === 0) return this.#set(bytes, key.id, form, from, to);
    const pending = this.#pending;
    const at = this.#pendingCount;
    pending[at] = key.id;
    pending[at + 1] = form;
    pending[at + 2] = from;
    pending[at + 3] = to;
    this.#pendingCount = at + 4;
    return true;
  }

  #set(bytes: Buffer, plainId: number, form: Form, from: number, to: number): boolean {
    const entry = this.#entry;
    const id = entry.parsedId(plainId);
    if (!entry.wants(id) || entry.isParsed(id)) return true;
    entry.setParsedBytes(id, form, bytes, from, to);
    if (this.#early !== undefined && !this.#early(id)) {
      this.#isDropped = true;
      return false;
    }
    return !entry.hasFoundAll;
  }

  #commitPending(bytes: Buffer): boolean {
    const pending = this.#pending;
    for (let index = 0; index < this.#pendingCount; index += 4) {
      if (!this.#set(bytes, pending[index]!, pending[index + 1] as Form, pending[index + 2]!, pending[index + 3]!))
        return false;
    }
    this.#pendingCount = 0;
    return true;
  }

  /** An error inside a nested object: its labels count only if its brackets close after all. */
  #endUnfinishedMember(bytes: Buffer, end: number): void {
    const close = endOfBlock(bytes, this.#memberStart, end, OPEN_OBJECT, CLOSE_OBJECT);
    if (close < 0) this.#error = JSON_ERROR.object;
    else if (!this.#commitPending(bytes)) this.#error = '';
  }
}

export const compileJson = (followingFilters: readonly LabelFilter[]): CompiledStage => {
  const early = new EarlyFilters(followingFilters);
  return {
    start: (entry) => {
      const flattener = new JsonFlattener(entry, early);
      return () => flattener.run();
    },
  };
};
