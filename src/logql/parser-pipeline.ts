/** The stages behind a selector: line filters and what follows a `|`. */
import type { DropTarget, Extract, LabelFormat, LineFilterStage, LineFilterValue, Stage } from './ast.ts';
import { checkPatternParser, checkRegexpParser } from './checks-parsers.ts';
import { parseLabelFilter } from './parser-label-filter.ts';
import { finishMatcher, matcherOp } from './parser-selector.ts';
import { regexCost } from './regex-cost.ts';
import { parseError } from './syntax-error.ts';
import type { TokenReader } from './token-reader.ts';

/** Chosen: far above what people write. Every task of a query carries all of them, and every line may go through each. */
const STAGES_MAX = 500;

/**
 * Reads stages as long as there are any. With `stopsAtUnwrap` the `|` of an `unwrap` is consumed and the word is left; else it is refused.
 */
export const parseStages = (reader: TokenReader, stopsAtUnwrap: boolean): readonly Stage[] => {
  const stages: Stage[] = [];
  for (;;) {
    const lineFilter = lineFilterOp(reader);
    if (lineFilter !== undefined) stages.push(...parseLineFilter(reader, lineFilter));
    else if (!reader.accept('|')) return stages;
    else if (stopsAtUnwrap && reader.peek() === 'unwrap') return stages;
    else stages.push(parseStage(reader));
    if (stages.length > STAGES_MAX) throw parseError('query has too many stages');
  }
};

const lineFilterOp = (reader: TokenReader): LineFilterStage['op'] | undefined => {
  const type = reader.peek();
  switch (type) {
    case '|=':
    case '!=':
    case '|~':
    case '!~':
    case '|>':
    case '!>':
      return type;
    default:
      return undefined;
  }
};

/** `!= "a" or "b"` asks that neither be there, which is two filters; Loki prints it so too. */
const parseLineFilter = (reader: TokenReader, op: LineFilterStage['op']): readonly LineFilterStage[] => {
  reader.take();
  const alternatives = [parseLineFilterValue(reader)];
  while (reader.accept('or')) alternatives.push(parseLineFilterValue(reader));
  if (op === '|~' || op === '!~') for (const { value } of alternatives) reader.chargeRegex(regexCost(value));
  if (!op.startsWith('!')) return [{ kind: 'lineFilter', op, alternatives }];
  return alternatives.map((value) => ({ kind: 'lineFilter', op, alternatives: [value] }));
};

const parseLineFilterValue = (reader: TokenReader): LineFilterValue => {
  if (reader.peek() === 'STRING') return { ip: false, value: reader.take() };
  if (!reader.accept('ip')) throw reader.unexpected('STRING or ip');
  reader.expect('(');
  const value = reader.expect('STRING');
  reader.expect(')');
  return { ip: true, value };
};

/** One stage, its `|` already consumed. */
const parseStage = (reader: TokenReader): Stage => {
  switch (reader.peek()) {
    case 'json':
      reader.take();
      return { kind: 'json', extracts: parseExtracts(reader) };
    case 'logfmt':
      reader.take();
      return parseLogfmt(reader);
    case 'regexp': {
      reader.take();
      const pattern = reader.expect('STRING');
      reader.chargeRegex(regexCost(pattern));
      checkRegexpParser(pattern);
      return { kind: 'regexp', pattern };
    }
    case 'pattern': {
      reader.take();
      const pattern = reader.expect('STRING');
      checkPatternParser(pattern);
      return { kind: 'pattern', pattern };
    }
    case 'unpack':
      reader.take();
      return { kind: 'unpack' };
    case 'decolorize':
      reader.take();
      return { kind: 'decolorize' };
    case 'line_format':
      reader.take();
      return { kind: 'lineFormat', template: reader.expect('STRING') };
    case 'label_format':
      reader.take();
      return { kind: 'labelFormat', formats: parseList(reader, parseLabelFormat) };
    case 'drop':
      reader.take();
      return { kind: 'drop', targets: parseList(reader, parseDropTarget) };
    case 'keep':
      reader.take();
      return { kind: 'keep', targets: parseList(reader, parseDropTarget) };
    default:
      return { kind: 'labelFilter', filter: parseLabelFilter(reader, undefined) };
  }
};

const parseList = <T>(reader: TokenReader, parseOne: (reader: TokenReader) => T): readonly T[] => {
  const items = [parseOne(reader)];
  while (reader.accept(',')) items.push(parseOne(reader));
  return items;
};

const parseExtracts = (reader: TokenReader): readonly Extract[] =>
  reader.peek() === 'IDENTIFIER' ? parseList(reader, parseExtract) : [];

const parseExtract = (reader: TokenReader): Extract => {
  const name = reader.expect('IDENTIFIER');
  const path = reader.accept('=') ? reader.expect('STRING') : name;
  return { name, path, bare: path === name };
};

const parseLogfmt = (reader: TokenReader): Stage => {
  let strict = false;
  let keepEmpty = false;
  while (reader.peek() === 'FUNCTION_FLAG') {
    if (reader.take() === '--strict') strict = true;
    else keepEmpty = true;
  }
  return { kind: 'logfmt', strict, keepEmpty, extracts: parseExtracts(reader) };
};

const parseLabelFormat = (reader: TokenReader): LabelFormat => {
  const target = reader.expect('IDENTIFIER');
  reader.expect('=');
  if (reader.peek() === 'STRING') return { kind: 'template', target, template: reader.take() };
  return { kind: 'rename', target, source: reader.expect('IDENTIFIER', 'IDENTIFIER or STRING') };
};

const parseDropTarget = (reader: TokenReader): DropTarget => {
  const name = reader.expect('IDENTIFIER');
  const op = matcherOp(reader);
  return { name, matcher: op === undefined ? undefined : finishMatcher(reader, name, op) };
};
