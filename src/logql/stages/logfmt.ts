/** `| logfmt`, with and without a list of targets. Lenient unless --strict: a malformed pair is skipped up to the next blank. */
import type { Extract, LabelFilter } from '../ast.ts';
import { EarlyFilters, type EarlyTest } from './early-filters.ts';
import { type Entry, FORM } from './entry.ts';
import { hashOf, KeyTable } from './key-table.ts';
import { sanitizeLabelName } from './label-names.ts';
import { LogfmtScanner } from './logfmt-scan.ts';
import type { CompiledStage } from './stage.ts';
import { withoutBadRunes } from './text-cache.ts';

const LOGFMT_ERROR = 'LogfmtParserErr';
const SKIPPED = -1;

export interface LogfmtFlags {
  readonly strict: boolean;
  readonly keepEmpty: boolean;
}

class LogfmtFlattener {
  readonly #entry: Entry;
  readonly #flags: LogfmtFlags;
  readonly #early: EarlyTest | undefined;
  readonly #scanner = new LogfmtScanner();
  #ids = new KeyTable<number>();
  #generation = 0;

  constructor(entry: Entry, flags: LogfmtFlags, early: EarlyTest | undefined) {
    this.#entry = entry;
    this.#flags = flags;
    this.#early = early;
  }

  run(): boolean {
    const entry = this.#entry;
    if (entry.needsNoParser) return true;
    if (entry.generation !== this.#generation) {
      this.#generation = entry.generation;
      this.#ids = new KeyTable();
    }
    const scanner = this.#scanner;
    scanner.reset(entry.lineBytes, entry.lineStart, entry.lineEnd);
    for (;;) {
      if (scanner.next()) {
        const outcome = this.#take(entry, scanner);
        if (outcome !== undefined) return outcome;
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

  /** undefined: read on; otherwise the stage's answer. */
  #take(entry: Entry, scanner: LogfmtScanner): boolean | undefined {
    const isEmpty = scanner.isEscaped ? scanner.unescaped === '' : scanner.valueStart === scanner.valueEnd;
    if (isEmpty && !this.#flags.keepEmpty) return undefined;
    const plainId = this.#idOf(entry, scanner);
    if (plainId === SKIPPED) return undefined;
    const id = entry.parsedId(plainId);
    if (!entry.wants(id) || entry.isParsed(id)) return undefined;
    if (scanner.isEscaped) entry.setParsedText(id, withoutBadRunes(scanner.unescaped));
    else entry.setParsedBytes(id, FORM.cleaned, entry.lineBytes, scanner.valueStart, scanner.valueEnd);
    if (this.#early !== undefined && !this.#early(id)) return false;
    return entry.hasFoundAll ? true : undefined;
  }

  #idOf(entry: Entry, scanner: LogfmtScanner): number {
    const { keyStart, keyEnd } = scanner;
    const bytes = entry.lineBytes;
    const hash = hashOf(bytes, keyStart, keyEnd);
    const known = this.#ids.find(bytes, keyStart, keyEnd, hash);
    if (known !== undefined) return known;
    const name = sanitizeLabelName(bytes.toString('utf8', keyStart, keyEnd), true);
    const id = name !== '' && entry.canWant(name) ? entry.id(name) : SKIPPED;
    this.#ids.add(Uint8Array.prototype.slice.call(bytes, keyStart, keyEnd), hash, id);
    return id;
  }
}

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
