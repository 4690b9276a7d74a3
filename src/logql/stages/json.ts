/** `| json` without arguments: every scalar of the object becomes a label, names of nested keys joined by `_`. Arrays and nulls are skipped. */
import type { LabelFilter } from '../ast.ts';
import { EarlyFilters, type EarlyTest } from './early-filters.ts';
import { type Entry, FORM, type Form } from './entry.ts';
import { CHAR, endOfBlock, endOfToken, JSON_ERROR, skipBlanks, tokenKind } from './json-scan.ts';
import { unescapeJson } from './json-text.ts';
import { hashStep, KeyTable } from './key-table.ts';
import { sanitizeLabelName } from './label-names.ts';
import type { CompiledStage } from './stage.ts';

export const JSON_PARSER_ERROR = 'JSONParserErr';

/** Objects nested deeper than this are skipped like arrays: the names would be longer than the line. */
const DEPTH_MAX = 128;

const SKIPPED = -1;

/** A key below some prefix: the label it becomes as a scalar, and what it leads to as an object. */
interface Key {
  /** Id of the label, or SKIPPED. */
  readonly id: number;
  readonly name: string;
  /** Keys of the object under this key; undefined if nothing in it can be wanted. */
  prefix: Prefix | undefined | null;
}

class Prefix {
  readonly name: string;
  readonly keys = new KeyTable<Key>();

  constructor(name: string) {
    this.name = name;
  }
}

class JsonFlattener {
  readonly #entry: Entry;
  readonly #early: EarlyTest | undefined;
  #root = new Prefix('');
  #generation = 0;
  #prefixes: Prefix[] = [];
  /** Labels found inside a top-level member that is an object: they count once it is known to be closed. */
  #pending: number[] = [];
  #memberStart = 0;
  #position = 0;
  #keyEnd = 0;
  #keyHash = 0;
  #keyIsEscaped = false;
  #error = '';
  #isDropped = false;

  constructor(entry: Entry, early: EarlyTest | undefined) {
    this.#entry = entry;
    this.#early = early;
  }

  run(): boolean {
    const entry = this.#entry;
    if (entry.needsNoParser) return true;
    if (entry.generation !== this.#generation) {
      this.#generation = entry.generation;
      this.#root = new Prefix('');
    }
    this.#error = '';
    this.#isDropped = false;
    this.#pending.length = 0;
    this.#prefixes.length = 0;
    this.#walk(entry.lineBytes, entry.lineEnd);
    if (this.#error !== '' && this.#prefixes.length > 0) this.#endUnfinishedMember(entry.lineBytes, entry.lineEnd);
    if (this.#isDropped) return false;
    if (this.#error !== '') entry.setParserError(JSON_PARSER_ERROR, this.#error);
    return true;
  }

  /** Steps from member to member until the object ends, all that is needed is found, or something is in the way (#error). */
  #walk(bytes: Buffer, end: number): void {
    this.#position = skipBlanks(bytes, this.#entry.lineStart, end);
    if (this.#position >= end || bytes[this.#position] !== CHAR.openObject) {
      this.#error = JSON_ERROR.object;
      return;
    }
    this.#position = skipBlanks(bytes, this.#position + 1, end);
    if (this.#position >= end) this.#error = JSON_ERROR.malformed;
    else this.#members(bytes, end);
  }

  #members(bytes: Buffer, end: number): void {
    let prefix: Prefix | undefined = this.#root;
    while (prefix !== undefined) {
      const byte: number = bytes[this.#position]!;
      if (byte === CHAR.quote) {
        prefix = this.#readMember(bytes, end, prefix);
      } else if (byte === CHAR.closeObject) {
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
    if (below !== undefined) this.#prefixes.push(prefix);
    return below;
  }

  #leaveObject(bytes: Buffer, end: number): Prefix | undefined {
    const outer = this.#prefixes.pop();
    if (outer === undefined) return undefined;
    this.#position++;
    if (this.#prefixes.length === 0 && !this.#commitPending(bytes)) return undefined;
    return this.#skipToNext(bytes, end) ? outer : undefined;
  }

  /** From after a value to the next key or the closing bracket. */
  #skipToNext(bytes: Buffer, end: number): boolean {
    let at = skipBlanks(bytes, this.#position, end);
    if (at < end && bytes[at] === CHAR.comma) at = skipBlanks(bytes, at + 1, end);
    else if (at < end && bytes[at] !== CHAR.closeObject) {
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
    const start = this.#position + 1;
    if (!this.#scanKey(bytes, start, end)) return this.#stop(JSON_ERROR.malformed);
    const keyEnd = this.#keyEnd;
    const hash = this.#keyHash;
    const key = prefix.keys.find(bytes, start, keyEnd, hash) ?? this.#newKey(bytes, start, keyEnd, prefix);
    if (key === undefined) return this.#stop(JSON_ERROR.escape);
    const colon = skipBlanks(bytes, keyEnd + 1, end);
    if (colon >= end || bytes[colon] !== CHAR.colon) return this.#stop(JSON_ERROR.malformed);
    this.#position = colon + 1;
    return key;
  }

  /** Finds the closing quote and sums up the hash on the way. */
  #scanKey(bytes: Buffer, start: number, end: number): boolean {
    let hash = 0;
    let isEscaped = false;
    for (let at = start; at < end; at++) {
      const byte = bytes[at]!;
      if (byte === CHAR.quote) {
        this.#keyEnd = at;
        this.#keyHash = hash;
        this.#keyIsEscaped = isEscaped;
        return true;
      }
      hash = hashStep(hash, byte);
      if (byte === CHAR.backslash && at + 1 < end) {
        isEscaped = true;
        hash = hashStep(hash, bytes[++at]!);
      }
    }
    return false;
  }

  #newKey(bytes: Buffer, start: number, end: number, prefix: Prefix): Key | undefined {
    const raw = bytes.toString('utf8', start, end);
    const text = this.#keyIsEscaped ? unescapeJson(raw) : raw;
    if (text === undefined) return undefined;
    const isTop = prefix.name === '';
    const part = sanitizeLabelName(text, isTop);
    const name = isTop ? part : `${prefix.name}_${part}`;
    const id = name !== '' && this.#entry.canWant(name) ? this.#entry.id(name) : SKIPPED;
    const key: Key = { id, name, prefix: null };
    prefix.keys.add(bytes, start, end, this.#keyHash, key);
    return key;
  }

  /** null: read a value; a prefix: went into an object; undefined: stop. */
  #readValue(bytes: Buffer, end: number, key: Key): Prefix | null | undefined {
    const start = skipBlanks(bytes, this.#position, end);
    if (start >= end) return this.#stop(JSON_ERROR.malformed);
    const first = bytes[start];
    if (first === CHAR.quote) return this.#readString(bytes, start + 1, end, key);
    if (first === CHAR.openObject) return this.#readObject(bytes, start, end, key);
    if (first === CHAR.openArray) {
      this.#position = endOfBlock(bytes, start, end, CHAR.openArray, CHAR.closeArray);
      return this.#position < 0 ? this.#stop(JSON_ERROR.array) : null;
    }
    this.#position = endOfToken(bytes, start, end);
    const kind = tokenKind(bytes, start, this.#position);
    if (kind === undefined) return this.#stop(JSON_ERROR.unknown);
    return kind === 'null' || this.#found(bytes, key, FORM.bytes, start, this.#position) ? null : undefined;
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
      if (byte === CHAR.quote) break;
      if (byte === CHAR.backslash) {
        isEscaped = true;
        at++;
      }
    }
    if (at >= end) return this.#stop(JSON_ERROR.string);
    this.#position = at + 1;
    return this.#found(bytes, key, isEscaped ? FORM.jsonString : FORM.cleaned, start, at) ? null : undefined;
  }

  #readObject(bytes: Buffer, start: number, end: number, key: Key): Prefix | null | undefined {
    if (key.prefix === null) key.prefix = this.#entry.canWantPrefix(key.name) ? new Prefix(key.name) : undefined;
    const { prefix } = key;
    const depth = this.#prefixes.length;
    if (prefix === undefined || depth >= DEPTH_MAX) {
      this.#position = endOfBlock(bytes, start, end, CHAR.openObject, CHAR.closeObject);
      return this.#position < 0 ? this.#stop(JSON_ERROR.object) : null;
    }
    if (depth === 0) this.#memberStart = start;
    this.#position = skipBlanks(bytes, start + 1, end);
    return this.#position >= end ? this.#stop(JSON_ERROR.object) : prefix;
  }

  /** Takes a scalar. False: stop here. */
  #found(bytes: Buffer, key: Key, form: Form, from: number, to: number): boolean {
    if (key.id === SKIPPED) return true;
    if (this.#prefixes.length === 0) return this.#set(bytes, key.id, form, from, to);
    this.#pending.push(key.id, form, from, to);
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
    for (let index = 0; index < pending.length; index += 4) {
      if (!this.#set(bytes, pending[index]!, pending[index + 1] as Form, pending[index + 2]!, pending[index + 3]!))
        return false;
    }
    pending.length = 0;
    return true;
  }

  /** An error inside a nested object: its labels count only if its brackets close after all. */
  #endUnfinishedMember(bytes: Buffer, end: number): void {
    const close = endOfBlock(bytes, this.#memberStart, end, CHAR.openObject, CHAR.closeObject);
    if (close < 0) this.#error = JSON_ERROR.object;
    else if (!this.#commitPending(bytes)) this.#error = '';
  }
}

export const compileJson = (followingFilters: readonly LabelFilter[]): CompiledStage => {
  const early = new EarlyFilters(followingFilters);
  return {
    start: (entry) => {
      const flattener = new JsonFlattener(entry, early.start(entry));
      return () => flattener.run();
    },
  };
};
