/** Matchers on label values: those of selectors (storage, actors, drop and keep) and the same operators on values in a pipeline. */
import type { LabelMatcher } from '../protocol/matcher.ts';
import { compileValueRegex } from './regex.ts';
import { parseError } from './syntax-error.ts';

const compile = (matcher: LabelMatcher, dotMatchesNewline: boolean): ((value: string) => boolean) => {
  const { op, value: wanted } = matcher;
  if (op === '=') return (value) => value === wanted;
  if (op === '!=') return (value) => value !== wanted;
  let matches: (value: string) => boolean;
  try {
    matches = compileValueRegex(wanted, { dotMatchesNewline });
  } catch (error) {
    throw parseError((error as Error).message, { cause: error });
  }
  return op === '=~' ? matches : (value) => !matches(value);
};

/**
 * A selector's matcher as a test on the label's value, "" for a missing label. Regexes are Go's, fully anchored, `.` matches newline.
 * @throws RefusedError `INVALID_QUERY` if the regex does not parse
 */
export const compileLabelMatcher = (matcher: LabelMatcher): ((value: string) => boolean) => compile(matcher, true);

/** The same for `| name =~ "…"` in a pipeline, where `.` does not match newline. */
export const compileFilterMatcher = (matcher: LabelMatcher): ((value: string) => boolean) => compile(matcher, false);

/** True if a stream without the label passes. */
export const matchesEmpty = (matcher: LabelMatcher): boolean => compileLabelMatcher(matcher)('');
