import type { Clock } from '../protocol/clock.ts';
import type { LabelSet } from '../protocol/label-set.ts';
import { compareBytes } from '../protocol/label-text.ts';
import type { LabelMatcher } from '../protocol/matcher.ts';
import { TENANT_LABEL } from '../protocol/tenant.ts';
import type { TimeRangeNs } from '../protocol/time-range.ts';
import { selectionsOf, withTenant } from '../query/query-tenants.ts';
import { sortInTurns } from '../query/sort-in-turns.ts';
import { Turns } from '../query/turns.ts';
import { forEachInSlices } from './cooperative.ts';
import type { LabelQueries } from './label-queries.ts';

/** A slice of work on the event loop: a tenant may have 100,000 streams. */
const SLICE_MS = 4;

/** Questions about labels, of one tenant or of several (`a|b`): of several streams say whose they are. */
export class TenantLabels {
  readonly #labels: LabelQueries;
  readonly #clock: Clock;

  constructor(labels: LabelQueries, clock: Clock) {
    this.#labels = labels;
    this.#clock = clock;
  }

  async names(tenant: string, matchers: readonly LabelMatcher[], range: TimeRangeNs): Promise<readonly string[]> {
    const names = new Set<string>();
    for (const one of selectionsOf(tenant, matchers)) {
      const found = await this.#labels.names(one.tenant, one.matchers, range);
      for (const name of found) names.add(name);
      if (one.isNamed && found.size > 0) names.add(TENANT_LABEL);
    }
    return await this.#sorted(names);
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
      else
        await this.#each(await this.#labels.values(one.tenant, name, one.matchers, range), (value) =>
          values.add(value),
        );
    }
    return await this.#sorted(values);
  }

  async series(
    tenant: string,
    selectors: readonly (readonly LabelMatcher[])[],
    range: TimeRangeNs,
  ): Promise<readonly LabelSet[]> {
    const found = new Map<string, LabelSet>();
    for (const matchers of selectors.length > 0 ? selectors : [[]]) {
      for (const one of selectionsOf(tenant, matchers)) {
        await this.#each(await this.#labels.series(one.tenant, [one.matchers], range), (labels) => {
          const shown = one.isNamed ? withTenant(labels, one.tenant) : labels;
          found.set(shown.canonical, shown);
        });
      }
    }
    return [...found.values()];
  }

  async #each<Item>(items: Iterable<Item>, visit: (item: Item) => void): Promise<void> {
    await forEachInSlices(this.#clock, SLICE_MS, items, visit);
  }

  async #sorted(texts: ReadonlySet<string>): Promise<readonly string[]> {
    return await sortInTurns([...texts], compareBytes, new Turns(this.#clock));
  }
}
