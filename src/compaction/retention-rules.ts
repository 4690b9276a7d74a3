/** How long the entries of a stream are kept, by a tenant's limits as Loki reads them. */
import { parseMatchers } from '../logql/parser.ts';
import type { StreamRetention } from '../protocol/limit-values.ts';
import type { Limits } from '../protocol/limits.ts';
import type { LabelMatcher } from '../protocol/matcher.ts';
import type { RetentionBound } from '../query/scan/hidden-entries.ts';

/** Which streams, and how long. */
export interface RetentionRule {
  /** None: all. */
  readonly matchers: readonly LabelMatcher[];
  /** undefined: for ever. */
  readonly periodMs: number | undefined;
}

const known = new WeakMap<readonly StreamRetention[], readonly RetentionRule[]>();

/** The first rule that matches a stream decides: of rules of streams that with the highest priority, of equal ones the shortest; else the tenant's own. */
export const retentionRulesOf = (
  limits: Pick<Limits, 'retentionPeriodMs' | 'retentionStream'>,
): readonly RetentionRule[] => {
  const { retentionPeriodMs, retentionStream } = limits;
  const ofStreams = known.get(retentionStream) ?? rulesOfStreams(retentionStream);
  known.set(retentionStream, ofStreams);
  return [...ofStreams, { matchers: [], periodMs: retentionPeriodMs || undefined }];
};

const rulesOfStreams = (streams: readonly StreamRetention[]): readonly RetentionRule[] =>
  streams
    .toSorted((a, b) => b.priority - a.priority || a.periodMs - b.periodMs)
    .map(({ selector, periodMs }) => ({ matchers: parseMatchers(selector), periodMs }));

/** True if something of the tenant is not kept for ever. */
export const isLimited = (rules: readonly RetentionRule[]): boolean =>
  rules.some(({ periodMs }) => periodMs !== undefined);

const NS_PER_MS = 1_000_000n;

export const retentionBounds = (rules: readonly RetentionRule[], nowMs: number): readonly RetentionBound[] =>
  rules.map(({ matchers, periodMs }) => ({
    matchers,
    keptFromNs: periodMs === undefined ? undefined : BigInt(Math.floor(nowMs - periodMs)) * NS_PER_MS,
  }));
