import { compileLabelMatcher } from '../logql/matcher.ts';
import type { LabelSet } from '../protocol/label-set.ts';
import { labelSetOf } from '../protocol/label-text.ts';
import type { LabelMatcher } from '../protocol/matcher.ts';
import { TENANT_LABEL, tenantsOf } from '../protocol/tenant.ts';

/** What a label of that name becomes. */
const ORIGINAL_LABEL = `original_${TENANT_LABEL}`;

/** What is read of one tenant. */
export interface TenantSelection {
  readonly tenant: string;
  readonly matchers: readonly LabelMatcher[];
  /** Its streams get the label: there are others. */
  readonly isNamed: boolean;
}

/**
 * Matchers on the tenant's label choose among several tenants. To one alone they are like others: it has no such label.
 * @param tenant a query's: one, or several joined by `|`
 * @throws RefusedError INVALID_QUERY for a regex that does not parse
 */
export const selectionsOf = (tenant: string, matchers: readonly LabelMatcher[]): readonly TenantSelection[] => {
  const tenants = tenantsOf(tenant);
  if (tenants.length === 1) return [{ tenant, matchers, isNamed: false }];
  const tests = matchers.filter(({ name }) => name === TENANT_LABEL).map(compileLabelMatcher);
  const others = matchers.filter(({ name }) => name !== TENANT_LABEL);
  return tenants
    .filter((one) => tests.every((test) => test(one)))
    .map((one) => ({ tenant: one, matchers: others, isNamed: true }));
};

/** The labels of a stream of a tenant among others. */
export const withTenant = ({ pairs, fingerprint }: LabelSet, tenant: string): LabelSet => {
  const renamed = pairs.map((text, index) => (index % 2 === 0 && text === TENANT_LABEL ? ORIGINAL_LABEL : text));
  return { ...labelSetOf([...renamed, TENANT_LABEL, tenant]), fingerprint };
};
