/**
 * What an alerting rule makes of the samples of its expression. Pure: times come in. One alert a label set:
 *
 *   - ── sample ──► pending ── for `for` ──► firing ── no sample (for `keep_firing_for`) ──► inactive ── 15 min ──► -
 *                      └── no sample ──► -               ◄────────── sample: a new one, pending ──────┘
 *
 * As Prometheus has it. With `for` 0 an alert fires at once.
 */
import type { AlertSurroundings, AlertTemplate } from './alert-template.ts';
import { compileAlertTemplate } from './alert-template.ts';
import type { NamedTexts, Rule } from './rule-group.ts';
import { labelKey, type Sample, withLabels } from './sample.ts';

export type AlertState = 'pending' | 'firing' | 'inactive';

export interface Alert {
  /** Flat pairs, sorted by name. */
  readonly labels: readonly string[];
  readonly annotations: NamedTexts;
  readonly state: AlertState;
  readonly value: number;
  readonly activeAtMs: number;
  readonly firedAtMs?: number | undefined;
  readonly resolvedAtMs?: number | undefined;
  /** There is no sample any more, and it still fires. */
  readonly keepFiringSinceMs?: number | undefined;
  readonly lastSentMs?: number | undefined;
}

/** By the text of their labels. */
export type Alerts = ReadonlyMap<string, Alert>;

export interface CompiledAlertingRule {
  readonly rule: Rule;
  readonly labels: readonly (readonly [name: string, template: AlertTemplate])[];
  readonly annotations: readonly (readonly [name: string, template: AlertTemplate])[];
}

/** What went wrong with an evaluation; the text is shown as the rule's last error. */
export class EvaluationError extends Error {
  override readonly name = 'EvaluationError';
}

/** Resolved alerts are told of for so long: Alertmanager keeps what it was told for 5 minutes. Prometheus'. */
const RESOLVED_KEPT_MS = 15 * 60_000;

/** Of one rule. Chosen: some MiB, and 20 times what a query may answer with; a label with the value in it makes new ones each time. */
const ALERTS_MAX = 10_000;

/**
 * Of names and texts of one alert, in characters. Chosen: far above what people read. Labels beyond it are an error, since cut ones
 * would be another alert; annotations are cut, since an alert with half of them is worth more than none.
 */
const ALERT_CHARS_MAX = 64 * 1024;
const CUT = ` <cut: labels and annotations of an alert may be ${ALERT_CHARS_MAX} characters>`;

/** @throws Error if a text is no template */
export const compileAlertingRule = (rule: Rule, groupLabels: NamedTexts): CompiledAlertingRule => {
  const compiled = (texts: NamedTexts): CompiledAlertingRule['labels'] =>
    Object.entries(texts).map(([name, text]) => [name, compileAlertTemplate(rule.alert, text)]);
  return { rule, labels: compiled({ ...groupLabels, ...rule.labels }), annotations: compiled(rule.annotations) };
};

/** A sample as an alert shows it. */
export type AlertSample = Pick<Alert, 'labels' | 'annotations' | 'value'>;

/**
 * Labels and annotations as the templates make them of a sample: up to some ms, for templates are anybody's.
 * @throws EvaluationError if the labels are too long
 */
export const alertSample = (
  { rule, labels, annotations }: CompiledAlertingRule,
  sample: Sample,
  surroundings: AlertSurroundings,
): AlertSample => {
  const changes: [string, string][] = [['__name__', '']];
  let room = ALERT_CHARS_MAX - charsOf(sample.labels) - rule.alert.length;
  for (const [name, template] of labels) {
    const text = template(sample, surroundings);
    room -= name.length + text.length;
    if (room < 0) break;
    changes.push([name, text]);
  }
  if (room < 0) throw new EvaluationError(`labels of an alert have more than ${ALERT_CHARS_MAX} characters`);
  const shown: [string, string][] = [];
  for (const [name, template] of annotations) {
    room -= name.length;
    if (room < 0) break;
    const text = template(sample, surroundings);
    shown.push([name, text.length <= room ? text : copied(text.slice(0, room)) + CUT]);
    room -= Math.min(text.length, room);
  }
  return {
    labels: withLabels(sample.labels, [...changes, ['alertname', rule.alert]]),
    annotations: Object.fromEntries(shown),
    value: sample.value,
  };
};

const charsOf = (texts: readonly string[]): number => texts.reduce((chars, text) => chars + text.length, 0);

/** A slice keeps the whole text in memory, and may end in half of a character. */
const copied = (text: string): string => Buffer.from(text).toString();

export interface AlertStep {
  readonly samples: readonly AlertSample[];
  readonly nowMs: number;
  /** Of active alerts; 0: as many as any rule may have. */
  readonly limit: number;
  /** Of alerts that were active before this node evaluated the rule, by the text of their labels. */
  readonly activeSinceMs?: ReadonlyMap<string, number> | undefined;
}

/** @throws EvaluationError if two samples make one alert, or there are too many of them */
export const stepAlerts = (rule: Rule, alerts: Alerts, step: AlertStep): Alerts => {
  const { samples, nowMs, limit, activeSinceMs } = step;
  const next = new Map(alerts);
  const present = new Set<string>();
  for (const { labels, annotations, value } of samples) {
    const key = labelKey(labels);
    if (present.has(key)) {
      throw new EvaluationError('vector contains metrics with the same labelset after applying alert labels');
    }
    present.add(key);
    const known = next.get(key);
    const fresh: Alert = known && known.state !== 'inactive' ? known : newAlert(labels, nowMs);
    const activeAtMs = activeSinceMs?.get(key) ?? fresh.activeAtMs;
    next.set(key, { ...fresh, activeAtMs, annotations, value, keepFiringSinceMs: undefined });
  }
  for (const [key, alert] of next) {
    const stepped = present.has(key) ? activeAlert(alert, rule, nowMs) : absentAlert(alert, rule, nowMs);
    if (stepped) next.set(key, stepped);
    else next.delete(key);
  }
  const active = [...next.values()].filter(({ state }) => state !== 'inactive').length;
  const activeMax = limit > 0 ? Math.min(limit, ALERTS_MAX) : ALERTS_MAX;
  if (active > activeMax) throw new EvaluationError(`exceeded limit of ${activeMax} with ${active} alerts`);
  return next.size > ALERTS_MAX ? withoutOldest(next, next.size - ALERTS_MAX) : next;
};

/** Without so many of those that were resolved first: Alertmanagers have heard of them for the longest time. */
const withoutOldest = (alerts: Alerts, count: number): Alerts => {
  const resolvedMs = ({ resolvedAtMs = Number.POSITIVE_INFINITY }: Alert): number => resolvedAtMs;
  const resolved = [...alerts].filter(([, { state }]) => state === 'inactive');
  const oldest = resolved.sort(([, a], [, b]) => resolvedMs(a) - resolvedMs(b)).slice(0, count);
  const gone = new Set(oldest.map(([key]) => key));
  return new Map([...alerts].filter(([key]) => !gone.has(key)));
};

const newAlert = (labels: readonly string[], nowMs: number): Alert => ({
  labels,
  annotations: {},
  state: 'pending',
  value: 0,
  activeAtMs: nowMs,
});

const activeAlert = (alert: Alert, { forMs }: Rule, nowMs: number): Alert =>
  alert.state === 'pending' && nowMs - alert.activeAtMs >= forMs
    ? { ...alert, state: 'firing', firedAtMs: nowMs }
    : alert;

/** undefined: nobody has to know of it any more. */
const absentAlert = (alert: Alert, { keepFiringForMs }: Rule, nowMs: number): Alert | undefined => {
  switch (alert.state) {
    case 'pending':
      return undefined;
    case 'firing': {
      const sinceMs = alert.keepFiringSinceMs ?? nowMs;
      if (keepFiringForMs > 0 && nowMs - sinceMs < keepFiringForMs) return { ...alert, keepFiringSinceMs: sinceMs };
      return { ...alert, state: 'inactive', resolvedAtMs: nowMs, keepFiringSinceMs: undefined };
    }
    case 'inactive':
      return nowMs - (alert.resolvedAtMs ?? nowMs) > RESOLVED_KEPT_MS ? undefined : alert;
  }
};

/** The series ALERTS and ALERTS_FOR_STATE of what is active. */
export const alertSamples = (alerts: Alerts): readonly Sample[] =>
  [...alerts.values()].flatMap(({ labels, state, activeAtMs }) => {
    if (state === 'inactive') return [];
    const now = withLabels(labels, [
      ['__name__', 'ALERTS'],
      ['alertstate', state],
    ]);
    const since = withLabels(labels, [['__name__', 'ALERTS_FOR_STATE']]);
    return [
      { labels: now, value: 1 },
      { labels: since, value: Math.floor(activeAtMs / 1000) },
    ];
  });

/** Those that Alertmanagers should hear of now: what fires and what was resolved, anew and again after `resendDelayMs`. */
export const alertsToSend = (
  alerts: Alerts,
  nowMs: number,
  resendDelayMs: number,
): { readonly alerts: Alerts; readonly due: readonly Alert[] } => {
  const due: Alert[] = [];
  const next = new Map(alerts);
  for (const [key, alert] of alerts) {
    if (!isDue(alert, nowMs, resendDelayMs)) continue;
    const sent = { ...alert, lastSentMs: nowMs };
    due.push(sent);
    next.set(key, sent);
  }
  return { alerts: next, due };
};

const isDue = ({ state, resolvedAtMs, lastSentMs }: Alert, nowMs: number, resendDelayMs: number): boolean => {
  if (state === 'pending') return false;
  if (lastSentMs === undefined) return true;
  if (resolvedAtMs !== undefined && resolvedAtMs > lastSentMs) return true;
  return lastSentMs + resendDelayMs <= nowMs;
};
