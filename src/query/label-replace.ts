import type { LabelReplaceExpr } from '../logql/ast.ts';
import { compileRegex } from '../logql/regex.ts';
import { compareBytes } from '../protocol/label-text.ts';
import { type StepSeries, valueOfLabel } from './step-series.ts';
import { SERIES_PER_LOOK, type Turns } from './turns.ts';

/** Groups of a match by number or name; undefined if there is no such group. */
type Groups = (name: string) => string | undefined;

/** Series whose source label matches get the target label; an empty replacement takes it away. Two series may end up with equal labels. */
export const replaceLabels = async (
  { target, replacement, source, pattern }: Omit<LabelReplaceExpr, 'inner'>,
  series: readonly StepSeries[],
  turns: Turns,
): Promise<StepSeries[]> => {
  const regex = compileRegex(`^(?:${pattern})$`);
  const names = regex.namedGroups();
  const replaced = (one: StepSeries): StepSeries => {
    const matcher = regex.matcher(valueOfLabel(one.labels, source));
    if (!matcher.matches()) return one;
    const groups: Groups = (name) => {
      const number = /^\d+$/.test(name) ? Number(name) : names[name];
      return number === undefined || number > matcher.groupCount() ? undefined : (matcher.group(number) ?? undefined);
    };
    return { ...one, labels: withLabel(one.labels, target, expanded(replacement, groups)) };
  };
  const results: StepSeries[] = [];
  for (const one of series) {
    results.push(replaced(one));
    if (results.length % SERIES_PER_LOOK === 0) await turns.breathe();
  }
  return results;
};

const withLabel = (labels: readonly string[], name: string, value: string): readonly string[] => {
  const pairs: [string, string][] = [];
  for (let index = 0; index < labels.length; index += 2) {
    if (labels[index] !== name) pairs.push([labels[index]!, labels[index + 1]!]);
  }
  if (value !== '') pairs.push([name, value]);
  return pairs.sort((a, b) => compareBytes(a[0], b[0])).flat();
};

/** Go's Expand: `$1`, `$name` (as long as letters, digits and `_` go on), `${name}`, `$$`. */
const expanded = (template: string, groups: Groups): string =>
  template.replace(/\$(?:(\$)|\{(\w+)\}|(\w+))/g, (_whole, dollar?: string, braced?: string, plain?: string) =>
    dollar ? '$' : (groups(braced ?? plain ?? '') ?? ''),
  );
