/** What is wrong with a group, in the words of Loki's ruler (pkg/ruler) where it has them. */
import { parseExpr } from '../logql/parser.ts';
import { quoteGo } from '../protocol/go-quote.ts';
import { RefusedError } from '../protocol/refusal.ts';
import { compileAlertTemplate } from './alert-template.ts';
import { isAlerting, type NamedTexts, type Rule, type RuleGroup } from './rule-group.ts';

const METRIC_NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL_NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
const NAME_LABEL = '__name__';

/** One text a problem; a rule has one at most. `index`: of the group in its file. */
export const groupProblems = (group: RuleGroup, index = 0): readonly string[] => {
  const problems: string[] = [];
  if (group.name === '') problems.push(`group ${index}: Groupname must not be empty`);
  const ofLabels = labelProblem(group.labels);
  if (ofLabels !== undefined) problems.push(ofLabels);
  for (const rule of group.rules) {
    const problem = ruleProblem(rule, group.name);
    if (problem !== undefined) problems.push(problem);
  }
  return problems;
};

/** Of a file: two groups of one name too. */
export const fileProblems = (groups: readonly RuleGroup[]): readonly string[] => {
  const names = new Set<string>();
  return groups.flatMap((group, index) => {
    const problems = groupProblems(group, index);
    const isRepeated = names.has(group.name);
    names.add(group.name);
    return isRepeated ? [`groupname: "${group.name}" is repeated in the same file`, ...problems] : problems;
  });
};

const ruleProblem = (rule: Rule, groupName: string): string | undefined =>
  kindProblem(rule) ??
  exprProblem(rule, groupName) ??
  recordProblem(rule) ??
  labelProblem(rule.labels) ??
  annotationProblem(rule.annotations) ??
  templateProblem(rule);

const kindProblem = ({ alert, record }: Rule): string | undefined => {
  if (record !== '' && alert !== '') return "only one of 'record' and 'alert' must be set";
  return record === '' && alert === '' ? "one of 'record' or 'alert' must be set" : undefined;
};

const exprProblem = ({ alert, record, expr }: Rule, groupName: string): string | undefined => {
  if (expr === '') return "field 'expr' must be set in rule";
  try {
    parseExpr(expr);
    return undefined;
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    const whose = record !== '' ? `record '${record}'` : `alert '${alert}'`;
    return `could not parse expression for ${whose} in group '${groupName}': ${error.refusal.text}`;
  }
};

const recordProblem = ({ record, annotations, forMs, keepFiringForMs }: Rule): string | undefined => {
  if (record === '') return undefined;
  if (Object.keys(annotations).length > 0) return "invalid field 'annotations' in recording rule";
  if (forMs > 0) return "invalid field 'for' in recording rule";
  if (keepFiringForMs > 0) return "invalid field 'keep_firing_for' in recording rule";
  return METRIC_NAME.test(record) ? undefined : `invalid recording rule name: ${record}`;
};

const labelProblem = (labels: NamedTexts): string | undefined => {
  const name = Object.keys(labels).find((label) => !LABEL_NAME.test(label) || label === NAME_LABEL);
  return name === undefined ? undefined : `invalid label name: ${name}`;
};

const annotationProblem = (annotations: NamedTexts): string | undefined => {
  const name = Object.keys(annotations).find((annotation) => !LABEL_NAME.test(annotation));
  return name === undefined ? undefined : `invalid annotation name: ${name}`;
};

const templateProblem = (rule: Rule): string | undefined => {
  if (!isAlerting(rule)) return undefined;
  const texts = [
    ...Object.entries(rule.labels).map(([name, text]) => ['label', name, text] as const),
    ...Object.entries(rule.annotations).map(([name, text]) => ['annotation', name, text] as const),
  ];
  for (const [kind, name, text] of texts) {
    try {
      compileAlertTemplate(rule.alert, text);
    } catch (error) {
      return `${kind} ${quoteGo(name)}: ${(error as Error).message}`;
    }
  }
  return undefined;
};
