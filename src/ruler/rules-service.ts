import type { TenantLimits } from '../protocol/limits.ts';
import { badRequest } from '../protocol/wire.ts';
import type { GroupId, RuleGroup, StoredGroup } from './rule-group.ts';
import { type GroupStatus, mergedStatuses } from './rule-status.ts';
import type { RuleStore } from './rule-store.ts';
import { groupProblems } from './validate-group.ts';

export interface RulesServiceDeps {
  readonly store: RuleStore;
  readonly limits: TenantLimits;
  readonly defaultIntervalMs: number;
  /** Of the groups that run at any node. @throws RefusedError STORAGE_UNAVAILABLE if one does not answer */
  readonly ask: (tenant: string) => Promise<readonly GroupStatus[]>;
  /** A group was changed: tells whoever may evaluate it, and does not wait. */
  readonly changed: () => void;
}

/** What clients may ask about rules, and change, at any node. */
export class RulesService {
  readonly #deps: RulesServiceDeps;

  constructor(deps: RulesServiceDeps) {
    this.#deps = deps;
  }

  /** Sorted by namespace and name. @throws RefusedError STORAGE_UNAVAILABLE */
  async groups(tenant: string): Promise<readonly StoredGroup[]> {
    return await this.#deps.store.groups(tenant);
  }

  /**
   * Adds the group, or puts it in the place of the one of its name.
   * @throws RefusedError BAD_REQUEST with what is wrong with it; STORAGE_UNAVAILABLE
   */
  async put(tenant: string, namespace: string, group: RuleGroup): Promise<void> {
    const { store, limits } = this.#deps;
    const problems = groupProblems(group);
    if (problems.length > 0) throw badRequest(problems.join(', '));
    const { rulerMaxRulesPerRuleGroup: rulesMax, rulerMaxRuleGroupsPerTenant: groupsMax } = limits.limitsFor(tenant);
    checkCount('rules per rule group', group.rules.length, rulesMax);
    if (groupsMax > 0) {
      const others = (await store.groups(tenant)).filter(
        (one) => one.namespace !== namespace || one.name !== group.name,
      );
      checkCount('rule groups', others.length + 1, groupsMax);
    }
    await store.put(tenant, namespace, group);
    this.#deps.changed();
  }

  /** False if there was none. @throws RefusedError STORAGE_UNAVAILABLE */
  async delete(id: Omit<GroupId, 'name'> & { readonly name?: string | undefined }): Promise<boolean> {
    const isDeleted = await this.#deps.store.delete(id);
    if (isDeleted) this.#deps.changed();
    return isDeleted;
  }

  /** How every group of the tenant stands, wherever it is evaluated. @throws RefusedError STORAGE_UNAVAILABLE if not all is known */
  async statuses(tenant: string): Promise<readonly GroupStatus[]> {
    const { store, ask, defaultIntervalMs } = this.#deps;
    const [stored, told] = await Promise.all([store.groups(tenant), ask(tenant)]);
    return mergedStatuses(stored, told, defaultIntervalMs);
  }
}

const checkCount = (what: string, actual: number, limit: number): void => {
  if (limit > 0 && actual > limit)
    throw badRequest(`per-user ${what} limit (limit: ${limit} actual: ${actual}) exceeded`);
};
