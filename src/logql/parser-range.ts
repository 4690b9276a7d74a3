/** What a range aggregation reads: a log query with a range, perhaps an offset and an unwrap. */
import type { LabelFilter, LogRange, Stage, Unwrap } from './ast.ts';
import { CONDITION, parseLabelFilter } from './parser-label-filter.ts';
import { parseStages } from './parser-pipeline.ts';
import { parseSelector } from './parser-selector.ts';
import type { TokenReader } from './token-reader.ts';

/** S selector, P stages, U unwrap, R range, O offset: `S [P] [U] R [O]`, `S R [O] [P] [U]`, `(S [P] [U]) R [O]`, `(S) R [O] U`, `(any of these)`. */
export const parseLogRange = (reader: TokenReader, expected: string): LogRange => {
  if (reader.peek() === '{') return parseBare(reader);
  if (!reader.accept('(')) throw reader.unexpected(expected);
  return reader.nested(() => parseParenthesised(reader));
};

interface Head {
  readonly matchers: LogRange['log']['matchers'];
  readonly stages: readonly Stage[];
  readonly unwrap: Unwrap | undefined;
}

const parseHead = (reader: TokenReader): Head => {
  const matchers = parseSelector(reader);
  const stages = parseStages(reader, true);
  return { matchers, stages, unwrap: parseUnwrap(reader) };
};

const isSelectorAlone = ({ stages, unwrap }: Head): boolean => stages.length === 0 && unwrap === undefined;

const parseBare = (reader: TokenReader): LogRange => {
  const head = parseHead(reader);
  if (reader.peek() !== 'RANGE') throw reader.unexpected(head.unwrap === undefined ? undefined : 'RANGE or |');
  return parseTail(reader, head, isSelectorAlone(head));
};

/** Behind `(`. */
const parseParenthesised = (reader: TokenReader): LogRange => {
  if (reader.peek() !== '{') {
    const range = parseLogRange(reader, '{ or (');
    reader.expect(')');
    return range;
  }
  const head = parseHead(reader);
  if (reader.peek() === 'RANGE') {
    const range = parseTail(reader, head, isSelectorAlone(head));
    reader.expect(')');
    return range;
  }
  if (!reader.accept(')')) throw reader.unexpected(head.unwrap === undefined ? undefined : 'RANGE or ) or |');
  if (reader.peek() !== 'RANGE') throw reader.unexpected('RANGE');
  const range = readRange(reader);
  if (!isSelectorAlone(head) || !reader.accept('|')) return logRange(head, range);
  if (reader.peek() !== 'unwrap') throw reader.unexpected('unwrap');
  return logRange({ ...head, unwrap: parseUnwrap(reader) }, range);
};

/** From the range on; stages and unwrap may follow only if none stood before. */
const parseTail = (reader: TokenReader, head: Head, mayFollow: boolean): LogRange => {
  const range = readRange(reader);
  if (!mayFollow) return logRange(head, range);
  const stages = parseStages(reader, true);
  return logRange({ ...head, stages, unwrap: parseUnwrap(reader) }, range);
};

interface Window {
  readonly rangeNs: bigint;
  readonly offsetNs: bigint;
}

const readRange = (reader: TokenReader): Window => {
  const rangeNs = reader.durationNs;
  reader.take();
  if (!reader.accept('offset')) return { rangeNs, offsetNs: 0n };
  if (reader.peek() !== 'DURATION') throw reader.unexpected('DURATION');
  const offsetNs = reader.durationNs;
  reader.take();
  return { rangeNs, offsetNs };
};

const logRange = ({ matchers, stages, unwrap }: Head, { rangeNs, offsetNs }: Window): LogRange => ({
  log: { kind: 'log', matchers, stages },
  rangeNs,
  offsetNs,
  unwrap,
});

/** The word `unwrap` and what follows, its `|` already consumed. Only label filters may follow. */
const parseUnwrap = (reader: TokenReader): Unwrap | undefined => {
  if (!reader.accept('unwrap')) return undefined;
  const { name, conversion } = parseUnwrapped(reader);
  const filters: LabelFilter[] = [];
  while (reader.accept('|')) filters.push(parseLabelFilter(reader, CONDITION));
  return { name, conversion, filters };
};

const CONVERSIONS = new Map<string, Unwrap['conversion']>([
  ['BYTES_CONV', 'bytes'],
  ['DURATION_CONV', 'duration'],
  ['DURATION_SECONDS_CONV', 'duration_seconds'],
]);

const parseUnwrapped = (reader: TokenReader): Pick<Unwrap, 'name' | 'conversion'> => {
  const conversion = CONVERSIONS.get(reader.peek());
  if (conversion === undefined) {
    const expected = `IDENTIFIER or ${[...CONVERSIONS.keys()].join(' or ')}`;
    return { name: reader.expect('IDENTIFIER', expected), conversion: 'none' };
  }
  reader.take();
  reader.expect('(');
  const name = reader.expect('IDENTIFIER');
  reader.expect(')');
  return { name, conversion };
};
