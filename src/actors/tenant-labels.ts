import type { LabelSet } from '../protocol/label-set.ts';
import { compareBytes } from '../protocol/label-text.ts';
import type { LabelMatcher } from '../protocol/matcher.ts';
import { TENANT_LABEL } from '../protocol/tenant.ts';
import type { TimeRangeNs } from '../protocol/time-range.ts';
import { selectionsOf, withTenant } from '../query/query-tenants.ts';
import type { LabelQueries } from './label-queries.ts';

/** Questions about labels, of one tenant or of several (`a|b`): of several streams say whose they are. */
export class TenantLabels {
  readonly #labels: LabelQueries;

  constructor(labels: LabelQueries) {
    this.#labels = labels;
  }

  async names(tenant: string, matchers: readonly LabelMatcher[], range: TimeRangeNs): Promise<readonly string[]> {
    const names = new Set<string>();
    for (const one of selectionsOf(tenant, matchers)) {
      const found = await this.#labels.names(one.tenant, one.matchers, range);
      for (const name of found) names.add(name);
      if (one.isNamed && found.length > 0) names.add(TENANT_LABEL);
    }
    return [...names].sort(compareBytes);
  }

  async values(
    tenant: string,
    name: string,
    matchers: readonly LabelMatcher[],
    range: TimeRangeNs,
  ): Promise<readonly string[]> {
    const values = new Set<string>();
    for (const one of selectionsOf(tenant, matchers)) {
      if (one.isNamed && name === TENANT_LABEL) values.add(one.tenant);
      else for (const value of await this.#labels.values(one.tenant, name, one.matchers, range)) values.add(value);
    }
    return [...values].sort(compareBytes);
  }

  async series(
    tenant: string,
    selectors: readonly (readonly LabelMatcher[])[],
    range: TimeRangeNs,
  ): Promise<readonly LabelSet[]> {
    const found = new Map<string, LabelSet>();
    for (const matchers of selectors.length > 0 ? selectors : [[]]) {
      for (const one of selectionsOf(tenant, matchers)) {
        for (const labels of await this.#labels.series(one.tenant, [one.matchers], range)) {
          const shown = one.isNamed ? withTenant(labels, one.tenant) : labels;
          found.set(shown.canonical, shown);
        }
      }
    }
    return [...found.values()];
  }
}
