/** `| logfmt`, with and without a list of targets. Lenient unless --strict: a malformed pair is skipped up to the next blank. */
import type { Extract, LabelFilter } from '../ast.ts';
import { BlockView, BytePattern, endOfPlainText } from './byte-words.ts';
import { EarlyFilters, type EarlyTest } from './early-filters.ts';
import { type Entry, FORM } from './entry.ts';
import { hashOf, KeyTable } from './key-table.ts';
import { sanitizeLabelName } from './label-names.ts';
import { LogfmtScanner } from './logfmt-scan.ts';
import type { CompiledStage } from './stage.ts';
import { withoutBadRunes } from './text-cache.ts';

const LOGFMT_ERROR = 'LogfmtParserErr';
const SKIPPED = -1;
const QUOTE = 0x22;
const BLANK = 0x20;
const EQUALS_SIGN = Buffer.from('=');

/** Bytes that end a value without quotes: blanks and control characters, and `=` and `"`, which have no place in one. */
const ENDS_WORD = new Uint8Array(256);
ENDS_WORD.fill(1, 0, BLANK + 1);
ENDS_WORD[QUOTE] = 1;
ENDS_WORD[0x3d] = 1;

export interface LogfmtFlags {
  readonly strict: boolean;
  readonly keepEmpty: boolean;
}

/** A key as a label-to-be. */
interface Key {
  /** `key=`, as it stands in a line. */
  readonly pair: BytePattern;
  /** Id of the label, or SKIPPED. */
  readonly id: number;
  /** The key that came next last time: most lines of a stream have the same keys in the same order. */
  following: Key | undefined;
}

class LogfmtFlattener {
  readonly #entry: Entry;
  readonly #flags: LogfmtFlags;
  readonly #early: EarlyTest | undefined;
  readonly #scanner = new LogfmtScanner();
  readonly #view = new BlockView();
  #keys = new KeyTable<Key>();
  #generation = 0;
  /** The key that came first last time. */
  #first: Key | undefined;
  /** The key read last in the line at hand. */
  #cursor: Key | undefined;
  #position = 0;

  constructor(entry: Entry, flags: LogfmtFlags, early: EarlyTest | undefined) {
    this.#entry = entry;
    this.#flags = flags;
    this.#early = early;
  }

  run(): boolean {
    const entry = this.#entry;
    if (entry.needsNoParser) return true;
    if (entry.generation !== this.#generation) this.#forget(entry.generation);
    const bytes = entry.lineBytes;
    const end = entry.lineEnd;
    if (bytes !== this.#view.bytes) this.#view.show(bytes);
    this.#position = entry.lineStart;
    this.#cursor = undefined;
    const outcome = this.#usualPairs(bytes, end);
    if (outcome !== undefined) return outcome;
    return this.#position >= end || this.#anyPairs(entry, bytes, end);
  }

  #forget(generation: number): void {
    this.#generation = generation;
    this.#keys = new KeyTable();
    this.#first = undefined;
  }

  #anyPairs(entry: Entry, bytes: Buffer, end: number): boolean {
    const scanner = this.#scanner;
    scanner.reset(bytes, entry.lineStart, end);
    for (;;) {
      scanner.position = this.#position;
      if (!scanner.next()) {
        if (scanner.error === '') return true;
        if (this.#flags.strict) {
          entry.setParserError(LOGFMT_ERROR, scanner.errorText);
          return true;
        }
        scanner.skipBroken();
        this.#position = scanner.position;
        continue;
      }
      this.#position = scanner.position;
      const outcome = this.#take(entry, scanner) ?? this.#usualPairs(bytes, end);
      if (outcome !== undefined) return outcome;
    }
  }

  /**
   * Pairs as long as they are as usual: the key that came here in the line before, a value without escapes, a blank. #position then stands
   * at what is not. The stage's answer if it is found on the way.
   */
  #usualPairs(bytes: Buffer, end: number): boolean | undefined {
    const view = this.#view;
    const { data, size } = view;
    let at = this.#position;
    let last = this.#cursor;
    while (at < end) {
      const key: Key | undefined = last === undefined ? this.#first : last.following;
      if (key === undefined || at + key.pair.reach > size || !key.pair.isAt(data, at)) break;
      const start = at + key.pair.length;
      const isQuoted = start < end && bytes[start] === QUOTE;
      const from = start + +isQuoted;
      const to = isQuoted ? endOfQuoted(view, from, end) : endOfWord(bytes, from, end);
      const after = to + +isQuoted;
      if (after > end || (after < end && bytes[after]! > BLANK)) break;
      last = key;
      at = after + 1;
      if (key.id === SKIPPED || (from === to && !this.#flags.keepEmpty)) continue;
      const outcome = this.#setBytes(bytes, key.id, from, to);
      if (outcome !== undefined) return outcome;
    }
    this.#cursor = last;
    this.#position = at;
    return undefined;
  }

  #setBytes(bytes: Buffer, plainId: number, from: number, to: number): boolean | undefined {
    const entry = this.#entry;
    const id = entry.parsedId(plainId);
    if (!entry.wants(id) || entry.isParsed(id)) return undefined;
    entry.setParsedBytes(id, FORM.cleaned, bytes, from, to);
    return this.#afterSet(entry, id);
  }

  #afterSet(entry: Entry, id: number): boolean | undefined {
    if (this.#early !== undefined && !this.#early(id)) return false;
    return entry.hasFoundAll ? true : undefined;
  }

  /** undefined: read on; otherwise the stage's answer. */
  #take(entry: Entry, scanner: LogfmtScanner): boolean | undefined {
    const key = this.#keyOf(entry, scanner);
    if (this.#cursor === undefined) this.#first = key;
    else this.#cursor.following = key;
    this.#cursor = key;
    const isEmpty = scanner.isEscaped ? scanner.unescaped === '' : scanner.valueStart === scanner.valueEnd;
    if (key.id === SKIPPED || (isEmpty && !this.#flags.keepEmpty)) return undefined;
    if (!scanner.isEscaped) return this.#setBytes(entry.lineBytes, key.id, scanner.valueStart, scanner.valueEnd);
    const id = entry.parsedId(key.id);
    if (!entry.wants(id) || entry.isParsed(id)) return undefined;
    entry.setParsedText(id, withoutBadRunes(scanner.unescaped));
    return this.#afterSet(entry, id);
  }

  #keyOf(entry: Entry, scanner: LogfmtScanner): Key {
    const { keyStart, keyEnd } = scanner;
    const bytes = entry.lineBytes;
    const hash = hashOf(bytes, keyStart, keyEnd);
    const known = this.#keys.find(bytes, keyStart, keyEnd, hash);
    if (known !== undefined) return known;
    const name = sanitizeLabelName(bytes.toString('utf8', keyStart, keyEnd), true);
    const id = name !== '' && entry.canWant(name) ? entry.id(name) : SKIPPED;
    const raw = Uint8Array.prototype.slice.call(bytes, keyStart, keyEnd);
    const key: Key = { pair: new BytePattern(Buffer.concat([raw, EQUALS_SIGN])), id, following: undefined };
    this.#keys.add(raw, hash, key);
    return key;
  }
}

/** The closing quote of a value without escapes; `end` if there is none or it may have some. */
const endOfQuoted = ({ data, isPlain }: BlockView, position: number, end: number): number =>
  isPlain ? endOfPlainText(data, position, end) : end;

const endOfWord = (bytes: Buffer, position: number, end: number): number => {
  let at = position;
  while (at < end && ENDS_WORD[bytes[at]!] === 0) at++;
  return at;
};

export const compileLogfmt = (flags: LogfmtFlags, followingFilters: readonly LabelFilter[]): CompiledStage => {
  const early = new EarlyFilters(followingFilters);
  return {
    start: (entry) => {
      const flattener = new LogfmtFlattener(entry, flags, early.start(entry));
      return () => flattener.run();
    },
  };
};

class LogfmtPicker {
  readonly #entry: Entry;
  readonly #flags: LogfmtFlags;
  readonly #scanner = new LogfmtScanner();
  readonly #ids: readonly number[];
  readonly #targets = new Map<string, number>();

  constructor(entry: Entry, flags: LogfmtFlags, extracts: ReadonlyMap<string, string>) {
    this.#entry = entry;
    this.#flags = flags;
    this.#ids = [...extracts.keys()].map((name) => entry.id(name));
    // A key that is no path but named as a target fills it too, as in Loki.
    for (const name of extracts.keys()) this.#targets.set(name, entry.id(name));
    for (const [name, key] of extracts) this.#targets.set(key, entry.id(name));
  }

  run(): boolean {
    const entry = this.#entry;
    if (entry.needsNoParser) return true;
    for (const id of this.#ids) if (!entry.isTaken(id)) entry.setParsedText(id, '');
    const scanner = this.#scanner;
    scanner.reset(entry.lineBytes, entry.lineStart, entry.lineEnd);
    for (;;) {
      if (scanner.next()) {
        this.#take(entry, scanner);
        continue;
      }
      if (scanner.error === '') return true;
      if (this.#flags.strict) {
        entry.setParserError(LOGFMT_ERROR, scanner.errorText);
        return true;
      }
      scanner.skipBroken();
    }
  }

  /** The last occurrence of a key counts. */
  #take(entry: Entry, scanner: LogfmtScanner): void {
    const key = sanitizeLabelName(entry.lineBytes.toString('utf8', scanner.keyStart, scanner.keyEnd), true);
    const id = this.#targets.get(key);
    if (id === undefined) return;
    const raw = scanner.isEscaped
      ? scanner.unescaped
      : entry.lineBytes.toString('utf8', scanner.valueStart, scanner.valueEnd);
    const value = raw.includes('\uFFFD') ? '' : raw;
    if (value === '' && !this.#flags.keepEmpty) return;
    entry.setParsedText(entry.parsedId(id), value);
  }
}

const KEY = /^[A-Za-z_][A-Za-z0-9_]*$/;
const NO_KEY_CHAR = /[^A-Za-z0-9_\s"]/u;

/** @throws Error with Loki's text if the path is not one identifier */
const checkKey = (path: string): string => {
  if (KEY.test(path)) return path;
  const odd = NO_KEY_CHAR.exec(path);
  const why = odd === null ? 'syntax error: unexpected $end, expecting STRING or KEY' : `unexpected char ${odd[0]}`;
  throw new Error(`cannot parse expression [${path}]: ${why}`);
};

/** Of expressions with the same target the last one counts. @throws Error with Loki's text for a bad path */
export const compileLogfmtExpressions = (flags: LogfmtFlags, extracts: readonly Extract[]): CompiledStage => {
  const keys = new Map(extracts.map(({ name, path }) => [name, checkKey(path)] as const));
  return {
    start: (entry) => {
      const picker = new LogfmtPicker(entry, flags, keys);
      return () => picker.run();
    },
  };
};
