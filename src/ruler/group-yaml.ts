/** Groups of rules as YAML, in the words of Prometheus' rule files. */
import { type Document, isScalar, parseDocument, Scalar, stringify as toYaml, visit } from 'yaml';
import { formatPrometheusDuration, parsePrometheusDuration } from '../logql/durations.ts';
import { RefusedError } from '../protocol/refusal.ts';
import type { NamedTexts, Rule, RuleGroup } from './rule-group.ts';

const NS_PER_MS = 1_000_000n;

type Fields = ReadonlyMap<string, unknown>;

/**
 * What lies where another thing should: as Loki says it, whatever it is.
 * @throws RefusedError BAD_REQUEST
 */
export const readGroup = (yaml: string): RuleGroup => groupOf(fieldsOf(parsed(yaml)));

/** A file of rules: its groups. @throws RefusedError BAD_REQUEST */
export const readGroups = (yaml: string): readonly RuleGroup[] =>
  listOf(fieldsOf(parsed(yaml)).get('groups')).map((group) => groupOf(fieldsOf(group)));

export const printGroup = (group: RuleGroup): string => print(plainGroup(group));

/** Groups by namespace. */
export const printNamespaces = (namespaces: ReadonlyMap<string, readonly RuleGroup[]>): string =>
  print(new Map([...namespaces].map(([namespace, groups]) => [namespace, groups.map(plainGroup)])));

const undecodable = (cause?: unknown): RefusedError =>
  new RefusedError({ code: 'BAD_REQUEST', text: 'unable to decoded rule group' }, { cause });

/**
 * With this schema all scalars are texts: `severity: 1` is "1". Maps keep their order, and a name such as __proto__ is one like others.
 * The library's own look at equal keys, and its texts of errors, take time by the square of the size.
 */
const READING = { schema: 'failsafe', uniqueKeys: false, prettyErrors: false, logLevel: 'error' } as const;

const parsed = (yaml: string): unknown => {
  try {
    const document = withoutStacks(() => parseDocument(yaml, READING));
    const [error] = document.errors;
    if (error) throw error;
    checkKeys(document);
    return document.toJS({ mapAsMap: true, maxAliasCount: 100 });
  } catch (error) {
    throw undecodable(error);
  }
};

/** There may be as many errors as bytes, and their stacks take three quarters of the time. */
const withoutStacks = <T>(work: () => T): T => {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return work();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
};

/** @throws Error if a map has a key twice */
const checkKeys = (document: Document): void =>
  visit(document, {
    Map: (_, { items }) => {
      const names = new Set<unknown>();
      for (const { key } of items) {
        const name = isScalar(key) ? key.value : key;
        if (names.has(name)) throw new Error('Map keys must be unique');
        names.add(name);
      }
    },
  });

const isAbsent = (value: unknown): boolean => value === undefined || value === null || value === '';

const fieldsOf = (value: unknown): Fields => {
  if (isAbsent(value)) return new Map();
  if (!(value instanceof Map)) throw undecodable();
  return value as Fields;
};

const listOf = (value: unknown): readonly unknown[] => {
  if (isAbsent(value)) return [];
  if (!Array.isArray(value)) throw undecodable();
  return value;
};

const textOf = (value: unknown): string => {
  if (isAbsent(value)) return '';
  if (typeof value !== 'string') throw undecodable();
  return value;
};

const msOf = (value: unknown): number => {
  if (isAbsent(value)) return 0;
  const duration = parsePrometheusDuration(textOf(value));
  if (!('ns' in duration)) throw undecodable(new Error(duration.error));
  return Number(duration.ns / NS_PER_MS);
};

const countOf = (value: unknown): number => {
  if (isAbsent(value)) return 0;
  const text = textOf(value);
  if (!/^[0-9]{1,9}$/.test(text)) throw undecodable();
  return Number(text);
};

const textsOf = (value: unknown): NamedTexts =>
  Object.fromEntries([...fieldsOf(value)].map(([name, text]) => [name, textOf(text)]));

const groupOf = (fields: Fields): RuleGroup => ({
  name: textOf(fields.get('name')),
  intervalMs: msOf(fields.get('interval')),
  queryOffsetMs: msOf(fields.get('query_offset')),
  limit: countOf(fields.get('limit')),
  labels: textsOf(fields.get('labels')),
  rules: rulesOf(fields.get('rules')).map((rule) => ruleOf(fieldsOf(rule))),
});

/** Chosen: many times what groups have, and read in a fraction of a second. */
const RULES_MAX = 2_000;

const rulesOf = (value: unknown): readonly unknown[] => {
  const rules = listOf(value);
  if (rules.length <= RULES_MAX) return rules;
  const text = `a group may have ${RULES_MAX} rules, not ${rules.length}`;
  throw new RefusedError({ code: 'BAD_REQUEST', text });
};

const ruleOf = (fields: Fields): Rule => ({
  alert: textOf(fields.get('alert')),
  record: textOf(fields.get('record')),
  expr: textOf(fields.get('expr')),
  forMs: msOf(fields.get('for')),
  keepFiringForMs: msOf(fields.get('keep_firing_for')),
  labels: textsOf(fields.get('labels')),
  annotations: textsOf(fields.get('annotations')),
});

/** As Go's library indents; lines are not folded. */
const print = (value: unknown): string => toYaml(value, quotedWhereIndented, { indent: 4, lineWidth: 0 });

/** A block of lines of which the first is indented says by how much, and the library says 2 whatever `indent` is: it would be read as another text. */
const quotedWhereIndented = (_: unknown, value: unknown): unknown => {
  if (typeof value !== 'string' || !(/^\n* /.test(value) && value.includes('\n'))) return value;
  const quoted = new Scalar(value);
  quoted.type = Scalar.QUOTE_DOUBLE;
  return quoted;
};

const durationText = (ms: number): string | undefined =>
  ms > 0 ? formatPrometheusDuration(BigInt(ms) * NS_PER_MS) : undefined;

const unlessEmpty = (texts: NamedTexts): NamedTexts | undefined => (Object.keys(texts).length > 0 ? texts : undefined);

const withoutAbsent = (fields: Readonly<Record<string, unknown>>): object =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));

const plainGroup = ({ name, intervalMs, queryOffsetMs, limit, labels, rules }: RuleGroup): object =>
  withoutAbsent({
    name,
    interval: durationText(intervalMs),
    query_offset: durationText(queryOffsetMs),
    limit: limit || undefined,
    labels: unlessEmpty(labels),
    rules: rules.map(plainRule),
  });

const plainRule = ({ alert, record, expr, forMs, keepFiringForMs, labels, annotations }: Rule): object =>
  withoutAbsent({
    record: record || undefined,
    alert: alert || undefined,
    expr,
    for: durationText(forMs),
    keep_firing_for: durationText(keepFiringForMs),
    labels: unlessEmpty(labels),
    annotations: unlessEmpty(annotations),
  });
