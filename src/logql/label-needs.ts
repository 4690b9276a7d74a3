/** What label filters behind a parser need a line to hold. */
import { plainAlternatives } from '../protocol/plain-pattern.ts';
import { TENANT_LABEL } from '../protocol/tenant.ts';
import type { LabelFilter, Stage } from './ast.ts';
import { ERROR_DETAILS_LABEL, ERROR_LABEL } from './stages/entry.ts';
import { needAll, needAny, needText, type TextNeed } from './text-need.ts';

/** Whose values stand in the line as they are, or escaped. `unpack` changes the line; expressions of `json` may give a part of it in another form. */
const isPlainParser = (stage: Stage): boolean =>
  stage.kind === 'logfmt' ||
  stage.kind === 'regexp' ||
  stage.kind === 'pattern' ||
  (stage.kind === 'json' && stage.extracts.length === 0);

/** What may be escaped in other ways than by its number, or stand between what JSON may write with blanks. */
const MAY_BE_OTHER = /[^\x21-\x7e]|["'\\/{}[\]:,]/;

/** Any other character may be written by its number: `\u0041`. */
const BY_NUMBER = needText('\\u00');

const needsOfValue = (value: string): TextNeed | undefined =>
  needAny([needAll(value.split(MAY_BE_OTHER).map(needText)), BY_NUMBER]);

const needsOfFilter = (filter: LabelFilter): TextNeed | undefined => {
  if (filter.kind === 'and') return needAll([needsOfFilter(filter.left), needsOfFilter(filter.right)]);
  if (filter.kind === 'or') return needAny([needsOfFilter(filter.left), needsOfFilter(filter.right)]);
  if (filter.kind !== 'string') return undefined;
  const { name, op, value } = filter.matcher;
  // No line has the tenant: it is given to the streams of several, and what they have of that name is renamed.
  if (name === ERROR_LABEL || name === ERROR_DETAILS_LABEL || name.endsWith(TENANT_LABEL)) return undefined;
  const alternatives = op === '=' ? [{ text: value }] : op === '=~' ? plainAlternatives(value) : undefined;
  const need = alternatives && needAny(alternatives.map(({ text }) => needsOfValue(text)));
  return need && { kind: 'label', name, need };
};

/** Of the stages up to the first one that changes the line. Deep nests of filters are left alone. */
export const needsOfLabelFilters = (stages: readonly Stage[]): TextNeed | undefined => {
  const needs: (TextNeed | undefined)[] = [];
  let isParsed = false;
  for (const stage of stages) {
    if (stage.kind === 'labelFilter' && isParsed && depthOf(stage.filter) <= DEPTH_MAX)
      needs.push(needsOfFilter(stage.filter));
    else if (stage.kind === 'labelFormat' || (stage.kind === 'json' && !isPlainParser(stage))) break;
    else if (isPlainParser(stage)) isParsed = true;
  }
  return needAll(needs);
};

const DEPTH_MAX = 50;

/** Without recursion: chains can be thousands long. */
const depthOf = (filter: LabelFilter): number => {
  let deepest = 0;
  const waiting = [{ filter, depth: 1 }];
  for (let next = waiting.pop(); next !== undefined && deepest <= DEPTH_MAX; next = waiting.pop()) {
    const { filter: one, depth } = next;
    deepest = Math.max(deepest, depth);
    if (one.kind !== 'and' && one.kind !== 'or') continue;
    waiting.push({ filter: one.left, depth: depth + 1 }, { filter: one.right, depth: depth + 1 });
  }
  return deepest;
};
