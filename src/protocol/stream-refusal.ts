/** Why nothing of a pushed stream is taken, in Loki's order and with the texts of 3.7 (the API specification, 1.7). */
import type { Discard, DiscardReason } from './discards.ts';
import type { LabelSet } from './label-set.ts';
import { labelRefusal } from './label-validation.ts';
import type { Limits } from './limits.ts';
import type { Refusal } from './refusal.ts';
import { rfc3339Text } from './time-text.ts';

export interface StreamRefusal {
  readonly reason: DiscardReason;
  readonly text: string;
  /** Errors that the answer tells. A block on the whole tenant is told by its own refusal, and only if nothing else is wrong. */
  readonly errors: 0 | 1;
}

/** Streams that Loki makes for itself need not have the labels that a tenant's must have. */
const INTERNAL_LABELS: ReadonlySet<string> = new Set(['__aggregated_metric__', '__pattern__']);

export const streamRefusal = (
  labels: LabelSet,
  limits: Limits,
  tenant: string,
  nowMs: number,
): StreamRefusal | undefined => labelsRefusal(labels, limits, tenant) ?? blockRefusal(limits, tenant, nowMs);

/** … for its labels: the same as long as the limits are. */
export const labelsRefusal = (labels: LabelSet, limits: Limits, tenant: string): StreamRefusal | undefined => {
  const refused = labelRefusal(labels, limits) ?? missingLabels(labels, limits, tenant);
  return refused && { ...refused, errors: 1 };
};

/** … for now, whatever its labels are. */
export const blockRefusal = (limits: Limits, tenant: string, nowMs: number): StreamRefusal | undefined => {
  if (nowMs >= limits.blockIngestionUntilMs) return undefined;
  return { reason: 'blocked_ingestion', text: blockedText(limits, tenant), errors: 0 };
};

/**
 * What a push is told of which only a block on its tenant kept anything from being stored.
 * @returns undefined for a block that is kept quiet (status 200), and where there is none
 */
export const blockRefusalOf = (discards: readonly Discard[], limits: Limits): Refusal | undefined => {
  const blocked = discards.find(({ reason }) => reason === 'blocked_ingestion');
  const status = limits.blockIngestionStatusCode;
  return blocked && status !== 200 ? { code: 'INGESTION_BLOCKED', text: blocked.text, status } : undefined;
};

const blockedText = ({ blockIngestionUntilMs, blockIngestionStatusCode }: Limits, tenant: string): string => {
  const until = rfc3339Text(Math.floor(blockIngestionUntilMs / 1000));
  return `ingestion blocked for user '${tenant}' until '${until}' with status code '${blockIngestionStatusCode}'`;
};

const missingLabels = (
  { pairs, canonical }: LabelSet,
  { enforcedLabels }: Limits,
  tenant: string,
): Pick<StreamRefusal, 'reason' | 'text'> | undefined => {
  if (enforcedLabels.length === 0) return undefined;
  const names = new Set(pairs.filter((_, index) => index % 2 === 0));
  const missing = enforcedLabels.filter((name) => !names.has(name));
  if (missing.length === 0 || [...INTERNAL_LABELS].some((name) => names.has(name))) return undefined;
  const text = `missing required labels '${missing.join(',')}' for user '${tenant}' for stream '${canonical}' (policy: '')`;
  return { reason: 'missing_enforced_labels', text };
};
