/** `{name="value", …}` and its matchers. */
import type { LabelMatcher } from '../protocol/matcher.ts';
import { checkValueRegex } from './regex.ts';
import type { TokenReader } from './token-reader.ts';

export const parseSelector = (reader: TokenReader): readonly LabelMatcher[] => {
  reader.expect('{');
  const matchers: LabelMatcher[] = [];
  if (reader.accept('}')) return matchers;
  matchers.push(parseMatcher(reader, 'IDENTIFIER or }'));
  while (!reader.accept('}')) {
    if (!reader.accept(',')) throw reader.unexpected('} or ,');
    matchers.push(parseMatcher(reader, 'IDENTIFIER'));
  }
  return matchers;
};

const parseMatcher = (reader: TokenReader, expectedName: string): LabelMatcher => {
  const name = reader.expect('IDENTIFIER', expectedName);
  const op = matcherOp(reader);
  if (op === undefined) throw reader.unexpected('= or =~ or !~ or !=');
  return finishMatcher(reader, name, op);
};

/** The operator of a matcher if the next token is one; does not consume it. */
export const matcherOp = (reader: TokenReader): LabelMatcher['op'] | undefined => {
  const type = reader.peek();
  return type === '=' || type === '!=' || type === '=~' || type === '!~' ? type : undefined;
};

/** From the operator on. A bad regex ends parsing here, whatever else is wrong further on. */
export const finishMatcher = (reader: TokenReader, name: string, op: LabelMatcher['op']): LabelMatcher => {
  reader.take();
  return makeMatcher(reader, name, op, reader.expect('STRING'));
};

export const makeMatcher = (reader: TokenReader, name: string, op: LabelMatcher['op'], value: string): LabelMatcher => {
  if (op === '=~' || op === '!~') checkValueRegex(value, reader.chargeRegex);
  return { name, op, value };
};
