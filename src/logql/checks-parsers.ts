/** What is wrong with a `regexp` or `pattern` parser. Loki stops parsing at once for these. */
import { groupNames, tryCompileRegex } from './regex.ts';
import { checkParserPattern } from './stages/pattern-syntax.ts';
import { parseError } from './syntax-error.ts';

export const checkRegexpParser = (pattern: string): void => {
  const compiled = tryCompileRegex(pattern);
  if ('error' in compiled) throw parseError(`invalid regexp parser: ${compiled.error}`);
  const names = groupNames(pattern);
  if (names.length === 0) throw parseError('invalid regexp parser: at least one named capture must be supplied');
  const duplicate = firstDuplicate(names);
  if (duplicate !== undefined) {
    throw parseError(`invalid regexp parser: duplicate extracted label name '${duplicate}'`);
  }
};

export const checkPatternParser = (pattern: string): void => {
  try {
    checkParserPattern(pattern);
  } catch (error) {
    throw parseError(`invalid pattern parser: ${(error as Error).message}`, { cause: error });
  }
};

const firstDuplicate = (names: readonly string[]): string | undefined =>
  names.find((name, index) => names.indexOf(name) !== index);
