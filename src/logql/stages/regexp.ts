/** `| regexp "(?P<name>…)"`: the named groups of the first match anywhere in the line. */
import type { RE2JS } from 're2js';
import { compileLineRegex, groupNames, regexText, tryCompileRegex } from '../regex.ts';
import { parseError } from '../syntax-error.ts';
import type { Entry } from './entry.ts';
import { sanitizeLabelName } from './label-names.ts';
import type { CompiledStage } from './stage.ts';

interface Group {
  readonly name: string;
  readonly index: number;
}

const namedGroups = (pattern: string, regex: RE2JS): readonly Group[] => {
  const names = groupNames(pattern);
  if (names.length === 0) throw parseError('invalid regexp parser: at least one named capture must be supplied');
  const duplicate = names.find((name, index) => names.indexOf(name) !== index);
  if (duplicate !== undefined) {
    throw parseError(`invalid regexp parser: duplicate extracted label name '${duplicate}'`);
  }
  return Object.entries(regex.namedGroups()).map(([name, index]) => ({ name: sanitizeLabelName(name, true), index }));
};

const setGroups = (entry: Entry, regex: RE2JS, groups: readonly { readonly id: number; readonly index: number }[]) => {
  const matcher = regex.matcher(regexText(entry.lineBytes, entry.lineStart, entry.lineEnd));
  if (!matcher.find()) return;
  for (const { id: plainId, index } of groups) {
    const id = entry.parsedId(plainId);
    if (entry.wants(id) && !entry.isParsed(id)) entry.setParsedText(id, matcher.group(index) ?? '');
  }
};

/** @throws RefusedError `INVALID_QUERY`: without the stage's text, for Loki finds these while it parses */
export const compileRegexpParser = (pattern: string): CompiledStage => {
  const compiled = tryCompileRegex(pattern);
  if ('error' in compiled) throw parseError(`invalid regexp parser: ${compiled.error}`);
  const { regex } = compiled;
  const named = namedGroups(pattern, regex);
  const { required } = compileLineRegex(pattern);
  const canMatch = required === undefined ? undefined : compileLineRegex(pattern).test;
  return {
    start: (fresh) => {
      const groups = named.map(({ name, index }) => ({ id: fresh.id(name), index }));
      return (entry) => {
        if (entry.needsNoParser) return true;
        if (canMatch?.(entry.lineBytes, entry.lineStart, entry.lineEnd) !== false) setGroups(entry, regex, groups);
        return true;
      };
    },
  };
};
