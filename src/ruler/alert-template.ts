/** Texts of labels and annotations of alerts: `{{ $labels.app }} has {{ $value | humanize }} errors a second`. */
import { fromByteText, toByteText } from '../logql/template/byte-text.ts';
import { executeTemplate } from '../logql/template/exec.ts';
import { parseTemplate } from '../logql/template/parser.ts';
import type { TemplateFunction } from '../logql/template/template-function.ts';
import { GoMap, type GoValue, TemplateError } from '../logql/template/values.ts';
import { ALERT_FUNCTION_NAMES, alertFunctions } from './alert-functions.ts';
import type { NamedTexts } from './rule-group.ts';

/** What is the same for all alerts of a node. */
export interface AlertSurroundings {
  readonly externalUrl: string;
  readonly externalLabels: NamedTexts;
}

export interface AlertValues {
  /** Flat pairs, of the sample. */
  readonly labels: readonly string[];
  readonly value: number;
}

export type AlertTemplate = (values: AlertValues, surroundings: AlertSurroundings) => string;

const DEFINITIONS =
  '{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}{{$value := .Value}}';

/**
 * What it makes of an alert; where the template fails, a text that says so, as Prometheus has it.
 * @throws Error with Go's text if it is no template
 */
export const compileAlertTemplate = (alert: string, text: string): AlertTemplate => {
  if (!text.includes('{{')) return () => text;
  const name = `__alert_${alert}`;
  const template = parseTemplate(name, DEFINITIONS + text, ALERT_FUNCTION_NAMES);
  return (values, surroundings) => {
    const data = { labels: dataOf(values, surroundings), line: () => '', timeNs: () => 0n };
    try {
      return fromByteText(executeTemplate(template, data, functionsOf(surroundings.externalUrl)));
    } catch (error) {
      if (!(error instanceof TemplateError)) throw error;
      return `<error expanding template: error executing template ${name}: ${error.message}>`;
    }
  };
};

const dataOf = ({ labels, value }: AlertValues, { externalUrl, externalLabels }: AlertSurroundings): GoMap => {
  const pairs: [string, string][] = [];
  for (let index = 0; index < labels.length; index += 2) pairs.push([labels[index] ?? '', labels[index + 1] ?? '']);
  const fields = new Map<string, GoValue>([
    ['Labels', textMap(pairs)],
    ['ExternalLabels', textMap(Object.entries(externalLabels))],
    ['ExternalURL', toByteText(externalUrl)],
    ['Value', value],
  ]);
  return new GoMap(
    () => fields,
    false,
    (name) => {
      if (!fields.has(name)) throw new TemplateError(`can't evaluate field ${name} in the data of an alert`);
      return fields.get(name);
    },
  );
};

/** Like Go's map of strings: what is not there is "". */
const textMap = (pairs: readonly (readonly [string, string])[]): GoMap =>
  new GoMap(() => new Map(pairs.map(([name, text]) => [toByteText(name), toByteText(text)])), true);

let known: { readonly url: string; readonly functions: ReadonlyMap<string, TemplateFunction> } | undefined;

/** There is one URL in a process, as a rule. */
const functionsOf = (url: string): ReadonlyMap<string, TemplateFunction> => {
  if (known?.url !== url) known = { url, functions: alertFunctions(url) };
  return known.functions;
};
