import type { Clock } from '../protocol/clock.ts';
import type { TenantLimits } from '../protocol/limits.ts';
import type { TimeRangeNs } from '../protocol/time-range.ts';
import type { HiddenEntries } from '../query/scan/hidden-entries.ts';
import { BoundedMap } from '../storage/bounded-map.ts';
import { deletedEntriesOf, type TrackedRequest, touches } from './delete-request.ts';
import type { DeleteRequests } from './delete-requests.ts';
import { isLimited, retentionBounds, retentionRulesOf } from './retention-rules.ts';

/** Tenants whose requests are remembered: chosen, those of a node's tails. */
const TENANTS_MAX = 1_000;

export interface HiddenSourceDeps {
  readonly requests: DeleteRequests;
  readonly limits: TenantLimits;
  readonly clock: Clock;
}

/**
 * What queries of a tenant must not show of a range, wherever it lies: entries of all delete requests there are, also of those that are processed (something of them
 * may have been in the memory or on the disk of some node), and entries that are past their retention.
 */
export const hiddenSource = ({ requests, limits, clock }: HiddenSourceDeps) => {
  const known = new BoundedMap<string, { readonly found: readonly TrackedRequest[]; readonly atMs: number }>(
    TENANTS_MAX,
  );
  const requestsOf = async (tenant: string, ageMsMax: number): Promise<readonly TrackedRequest[]> => {
    const atMs = clock.monotonicMs();
    const kept = ageMsMax > 0 ? known.get(tenant) : undefined;
    if (kept && atMs - kept.atMs < ageMsMax) return kept.found;
    const found = await requests.ofTenant(tenant);
    if (ageMsMax > 0) known.set(tenant, { found, atMs });
    return found;
  };
  /** `deletesAgeMsMax`: see QueryRequest. */
  return async (tenant: string, range: TimeRangeNs, deletesAgeMsMax = 0): Promise<HiddenEntries | undefined> => {
    const own = limits.limitsFor(tenant);
    const rules = retentionRulesOf(own);
    const found = own.deletionMode === 'disabled' ? [] : await requestsOf(tenant, deletesAgeMsMax);
    const deletes = found.flatMap((request) => (touches(request, range) ? (deletedEntriesOf(request) ?? []) : []));
    const retention = isLimited(rules) ? retentionBounds(rules, clock.nowMs()) : [];
    return deletes.length + retention.length > 0 ? { deletes, retention } : undefined;
  };
};
