import type { GroupId, RuleGroup, StoredGroup } from './rule-group.ts';

/** Where groups of rules last. */
export interface RuleStore {
  /**
   * The groups of a tenant, or of all, sorted by tenant, namespace and name. What is damaged is reported and left out.
   * @throws RefusedError STORAGE_UNAVAILABLE
   */
  groups(tenant?: string): Promise<readonly StoredGroup[]>;
  /** In place of the one of that name. Durable when it resolves. @throws RefusedError STORAGE_UNAVAILABLE, BAD_REQUEST */
  put(tenant: string, namespace: string, group: RuleGroup): Promise<void>;
  /** A group, or without a name all of the namespace. False if there was none. @throws RefusedError STORAGE_UNAVAILABLE */
  delete(id: Omit<GroupId, 'name'> & { readonly name?: string | undefined }): Promise<boolean>;
}

const order = (a: string, b: string): number => (a < b ? -1 : Number(a > b));

export const byPlace = (a: GroupId, b: GroupId): number =>
  order(a.tenant, b.tenant) || order(a.namespace, b.namespace) || order(a.name, b.name);
