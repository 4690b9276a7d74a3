/** Rules as they are written, and how a group is named. Durations in ms. */

export type NamedTexts = Readonly<Record<string, string>>;

/** One of `alert` and `record` is set in what was checked; the other is empty. */
export interface Rule {
  readonly alert: string;
  readonly record: string;
  readonly expr: string;
  readonly forMs: number;
  readonly keepFiringForMs: number;
  readonly labels: NamedTexts;
  readonly annotations: NamedTexts;
}

export interface RuleGroup {
  readonly name: string;
  /** 0: `ruler.evaluation_interval`. */
  readonly intervalMs: number;
  /** The times of evaluations, and of what they give, lie so far back. */
  readonly queryOffsetMs: number;
  /** Alerts or samples that one rule may give; 0: any number. */
  readonly limit: number;
  /** Of all its rules, unless they have their own. */
  readonly labels: NamedTexts;
  readonly rules: readonly Rule[];
}

export interface GroupId {
  readonly tenant: string;
  readonly namespace: string;
  readonly name: string;
}

/** A group in its place. */
export interface StoredGroup extends GroupId {
  readonly group: RuleGroup;
  /** Another text for what was changed. */
  readonly version: string;
}

/** Equal for equal groups only. */
export const groupKey = ({ tenant, namespace, name }: GroupId): string => JSON.stringify([tenant, namespace, name]);

export const isAlerting = ({ alert }: Rule): boolean => alert !== '';

export const ruleName = ({ alert, record }: Rule): string => alert || record;
