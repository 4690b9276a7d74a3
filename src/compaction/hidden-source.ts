import type { Clock } from '../protocol/clock.ts';
import type { TenantLimits } from '../protocol/limits.ts';
import type { TimeRangeNs } from '../protocol/time-range.ts';
import type { HiddenEntries } from '../query/scan/hidden-entries.ts';
import { deletedEntriesOf, touches } from './delete-request.ts';
import type { DeleteRequests } from './delete-requests.ts';
import { isLimited, retentionBounds, retentionRulesOf } from './retention-rules.ts';

export interface HiddenSourceDeps {
  readonly requests: DeleteRequests;
  readonly limits: TenantLimits;
  readonly clock: Clock;
}

/**
 * What queries of a tenant must not show of a range, wherever it lies: entries of all delete requests there are, also of those that are processed (something of them
 * may have been in the memory or on the disk of some node), and entries that are past their retention.
 */
export const hiddenSource =
  ({ requests, limits, clock }: HiddenSourceDeps) =>
  async (tenant: string, range: TimeRangeNs): Promise<HiddenEntries | undefined> => {
    const own = limits.limitsFor(tenant);
    const rules = retentionRulesOf(own);
    const found = own.deletionMode === 'disabled' ? [] : await requests.ofTenant(tenant);
    const deletes = found.flatMap((request) => (touches(request, range) ? (deletedEntriesOf(request) ?? []) : []));
    const retention = isLimited(rules) ? retentionBounds(rules, clock.nowMs()) : [];
    return deletes.length + retention.length > 0 ? { deletes, retention } : undefined;
  };
