/** How rules stand, as nodes tell each other and answers are made of: plain JSON, to which fields may be added. Times in ms since 1970, 0: never. */
import type { Alert } from './alerting-rule.ts';
import type { Rule, RuleGroup, StoredGroup } from './rule-group.ts';

/** An active alert; its value as text, since JSON has no infinity. */
export type ActiveAlert = Omit<Alert, 'value'> & { readonly value: string };

export interface RuleStatus {
  readonly rule: Rule;
  readonly health: 'unknown' | 'ok' | 'err';
  readonly lastError: string;
  readonly lastEvaluationMs: number;
  readonly evaluationMs: number;
  /** Pending and firing ones. */
  readonly alerts: readonly ActiveAlert[];
}

export interface GroupStatus {
  readonly namespace: string;
  readonly name: string;
  readonly intervalMs: number;
  readonly limit: number;
  readonly lastEvaluationMs: number;
  readonly evaluationMs: number;
  readonly rules: readonly RuleStatus[];
}

/** Of a group that no node has evaluated yet. */
export const unknownStatus = ({ namespace, name, group }: StoredGroup, defaultIntervalMs: number): GroupStatus => ({
  namespace,
  name,
  intervalMs: intervalOf(group, defaultIntervalMs),
  limit: group.limit,
  lastEvaluationMs: 0,
  evaluationMs: 0,
  rules: group.rules.map((rule) => ({
    rule: { ...rule, labels: { ...group.labels, ...rule.labels } },
    health: 'unknown',
    lastError: '',
    lastEvaluationMs: 0,
    evaluationMs: 0,
    alerts: [],
  })),
});

export const intervalOf = ({ intervalMs }: RuleGroup, defaultIntervalMs: number): number =>
  intervalMs > 0 ? intervalMs : defaultIntervalMs;

/**
 * What nodes tell of a tenant's groups, one status each: the latest where several have a group for a moment. What is stored decides which groups there are.
 */
export const mergedStatuses = (
  stored: readonly StoredGroup[],
  told: readonly GroupStatus[],
  defaultIntervalMs: number,
): readonly GroupStatus[] => {
  const latest = new Map<string, GroupStatus>();
  for (const status of told) {
    const key = JSON.stringify([status.namespace, status.name]);
    const known = latest.get(key);
    if (!known || known.lastEvaluationMs < status.lastEvaluationMs) latest.set(key, status);
  }
  return stored.map(
    (group) => latest.get(JSON.stringify([group.namespace, group.name])) ?? unknownStatus(group, defaultIntervalMs),
  );
};
