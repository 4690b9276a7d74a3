/** Keys of JSON objects as labels-to-be, remembered by their bytes and by what usually follows what. */
import type { Entry } from './entry.ts';
import { type Comparison, KnownMembers, ROOT_KEY } from './json-members.ts';
import { BACKSLASH, JSON_ERROR, QUOTE } from './json-scan.ts';
import { unescapeJson } from './json-text.ts';
import { hashOf, KeyTable } from './key-table.ts';
import { sanitizeLabelName } from './label-names.ts';

/** Id of a key that nobody wants as a label. */
export const SKIPPED = -1;

/** A key below some prefix: the label it becomes as a scalar, and what it leads to as an object. */
export interface Key {
  readonly raw: Uint8Array;
  /** Id of the label, or SKIPPED. */
  readonly id: number;
  readonly name: string;
  /** What `KnownMembers` calls it. */
  readonly known: number;
  /** Keys of the object under this key; undefined if nothing in it can be wanted, null before anyone asked. */
  prefix: Prefix | undefined | null;
  /** The key that came next last time: most lines of a stream have the same keys in the same order. */
  following: Key | undefined;
}

export class Prefix {
  readonly name: string;
  /** What `KnownMembers` calls the key that leads here. */
  readonly known: number;
  readonly keys = new KeyTable<Key>();
  /** The key that came first last time. */
  first: Key | undefined;
  /** The key read last in the object at hand. */
  cursor: Key | undefined;

  constructor(name: string, known: number) {
    this.name = name;
    this.known = known;
  }
}

const isAt = (raw: Uint8Array, bytes: Buffer, start: number, end: number): boolean => {
  const length = raw.length;
  if (start + length >= end || bytes[start + length] !== QUOTE) return false;
  for (let index = 0; index < length; index++) if (bytes[start + index] !== raw[index]) return false;
  return true;
};

/** Reads keys, and remembers them for the lines that follow. After read() gave a key, `keyEnd` is where its closing quote stands. */
export class KeyReader {
  keyEnd = 0;
  error = '';
  /** Keys of the outermost object, and what they lead to. */
  root = new Prefix('', ROOT_KEY);
  known = new KnownMembers();
  readonly #entry: Entry;
  readonly #comparisons: ReadonlyMap<number, Comparison>;
  #isEscaped = false;

  /** @param comparisons that values must pass, by the ids of their labels */
  constructor(entry: Entry, comparisons: ReadonlyMap<number, Comparison>) {
    this.#entry = entry;
    this.#comparisons = comparisons;
  }

  /** The key whose text starts at `start`; undefined with `error` set if it does not end or has a bad escape. */
  read(bytes: Buffer, start: number, end: number, prefix: Prefix): Key | undefined {
    const before = prefix.cursor;
    const guess = before === undefined ? prefix.first : before.following;
    if (guess !== undefined && isAt(guess.raw, bytes, start, end)) {
      this.keyEnd = start + guess.raw.length;
      prefix.cursor = guess;
      return guess;
    }
    const key = this.#find(bytes, start, end, prefix);
    if (before === undefined) prefix.first = key;
    else before.following = key;
    prefix.cursor = key;
    return key;
  }

  #find(bytes: Buffer, start: number, end: number, prefix: Prefix): Key | undefined {
    if (!this.#scan(bytes, start, end)) {
      this.error = JSON_ERROR.malformed;
      return undefined;
    }
    const hash = hashOf(bytes, start, this.keyEnd);
    const known = prefix.keys.find(bytes, start, this.keyEnd, hash);
    if (known !== undefined) return known;
    const key = this.#newKey(bytes, start, prefix);
    if (key === undefined) this.error = JSON_ERROR.escape;
    else prefix.keys.add(key.raw, hash, key);
    return key;
  }

  /** Finds the closing quote. */
  #scan(bytes: Buffer, start: number, end: number): boolean {
    this.#isEscaped = false;
    for (let at = start; at < end; at++) {
      const byte = bytes[at];
      if (byte === QUOTE) {
        this.keyEnd = at;
        return true;
      }
      if (byte === BACKSLASH) {
        this.#isEscaped = true;
        at++;
      }
    }
    return false;
  }

  #newKey(bytes: Buffer, start: number, prefix: Prefix): Key | undefined {
    const raw = bytes.toString('utf8', start, this.keyEnd);
    const text = this.#isEscaped ? unescapeJson(raw) : raw;
    if (text === undefined) return undefined;
    const isTop = prefix.name === '';
    const part = sanitizeLabelName(text, isTop);
    const name = isTop ? part : `${prefix.name}_${part}`;
    const id = name !== '' && this.#entry.canWant(name) ? this.#entry.id(name) : SKIPPED;
    const copy = Uint8Array.prototype.slice.call(bytes, start, this.keyEnd);
    const bit = id === SKIPPED ? 0 : this.#entry.neededBit(this.#entry.parsedId(id));
    const isParent = this.#entry.canWantPrefix(name);
    const comparison = this.#comparisons.get(id);
    const known = this.known.learn({ raw: copy, id, parent: prefix.known, isParent, bit, comparison });
    return { raw: copy, id, name, known, prefix: null, following: undefined };
  }

  /** Ids mean other names from here on. */
  forget(): void {
    this.root = new Prefix('', ROOT_KEY);
    this.known = new KnownMembers();
  }

  /** What stands under a key as an object; undefined if nothing in it can be wanted. */
  prefixUnder(key: Key): Prefix | undefined {
    if (key.prefix === null)
      key.prefix = this.#entry.canWantPrefix(key.name) ? new Prefix(key.name, key.known) : undefined;
    if (key.prefix !== undefined) key.prefix.cursor = undefined;
    return key.prefix;
  }
}
