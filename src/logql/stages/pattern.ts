/** `| pattern "<ip> - <user> <_>"`. */
import type { LabelFilter } from '../ast.ts';
import { parseError } from '../syntax-error.ts';
import { ByteFinder } from './byte-finder.ts';
import { EarlyFilters, type EarlyTest } from './early-filters.ts';
import { type Entry, FORM } from './entry.ts';
import { checkParserPattern, type PatternPart } from './pattern-syntax.ts';
import type { CompiledStage } from './stage.ts';

const UNNAMED = -1;

/** A capture and the literal that ends it (none: it takes the rest). */
interface Capture {
  readonly id: number;
  readonly until: ByteFinder | undefined;
}

class PatternMatcher {
  readonly #prefix: Buffer;
  readonly #captures: readonly Capture[];
  readonly #early: EarlyTest | undefined;

  constructor(entry: Entry, parts: readonly PatternPart[], early: EarlyTest | undefined) {
    const [first] = parts;
    this.#prefix = Buffer.from(first?.kind === 'literal' ? first.text : '', 'utf8');
    this.#early = early;
    this.#captures = parts.flatMap((part, index) => {
      if (part.kind === 'literal') return [];
      const next = parts[index + 1];
      const until = next?.kind === 'literal' ? new ByteFinder(Buffer.from(next.text, 'utf8')) : undefined;
      return [{ id: part.name === '_' ? UNNAMED : entry.id(part.name), until }];
    });
  }

  #startsWithPrefix(bytes: Buffer, start: number, end: number): boolean {
    const prefix = this.#prefix;
    if (end - start < prefix.length) return false;
    for (let index = 0; index < prefix.length; index++) if (bytes[start + index] !== prefix[index]) return false;
    return true;
  }

  /** Each capture runs to the next literal; one whose literal is missing takes the rest of the line, and the match ends. */
  run(entry: Entry): boolean {
    const { lineBytes: bytes, lineStart: start, lineEnd: end } = entry;
    if (start === end || !this.#startsWithPrefix(bytes, start, end)) return true;
    let at = start + this.#prefix.length;
    for (let index = 0; index < this.#captures.length; index++) {
      const { id, until } = this.#captures[index]!;
      const found = until === undefined ? -1 : until.indexIn(bytes, at, end);
      const stop = found < 0 ? end : found;
      if (id !== UNNAMED && !this.#take(entry, id, bytes, at, stop)) return false;
      if (found < 0) return true;
      at = found + until!.needle.length;
    }
    return true;
  }

  #take(entry: Entry, plainId: number, bytes: Buffer, from: number, to: number): boolean {
    const id = entry.parsedId(plainId);
    if (!entry.wants(id) || entry.isParsed(id)) return true;
    entry.setParsedBytes(id, FORM.bytes, bytes, from, to);
    return this.#early === undefined || this.#early(id);
  }
}

const check = (pattern: string): readonly PatternPart[] => {
  try {
    return checkParserPattern(pattern);
  } catch (error) {
    throw parseError(`invalid pattern parser: ${(error as Error).message}`, { cause: error });
  }
};

/** @throws RefusedError `INVALID_QUERY`: without the stage's text, for Loki finds these while it parses */
export const compilePatternParser = (pattern: string, followingFilters: readonly LabelFilter[]): CompiledStage => {
  const parts = check(pattern);
  const early = new EarlyFilters(followingFilters);
  return {
    start: (fresh) => {
      const matcher = new PatternMatcher(fresh, parts, early.start(fresh));
      return (entry) => entry.needsNoParser || matcher.run(entry);
    },
  };
};
