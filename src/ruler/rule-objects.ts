import type { Clock } from '../protocol/clock.ts';
import { forEachConcurrent } from '../protocol/for-each-concurrent.ts';
import { RefusedError } from '../protocol/refusal.ts';
import type { ChunkStore } from '../storage/chunk-store.ts';
import { printGroup, readGroup } from './group-yaml.ts';
import { type GroupId, groupKey, type RuleGroup, type StoredGroup } from './rule-group.ts';
import { parseRuleKey, RULES_PREFIX, type RuleObject, ruleKey, tenantPrefix, versionAfter } from './rule-key.ts';
import { byPlace, type RuleStore } from './rule-store.ts';
import { groupProblems } from './validate-group.ts';

export interface RuleObjectsDeps {
  readonly chunks: Pick<ChunkStore, 'put' | 'get' | 'delete' | 'list'>;
  readonly clock: Clock;
  /** In [0, 1). */
  readonly chance: () => number;
  readonly report: (problem: string, error: unknown, about?: object) => void;
}

/** Chosen: reads of a store over the network. */
const READS_AT_A_TIME = 16;
/** A group that changes while it is read is looked for again. */
const LOOKS_MAX = 5;

/** Groups as objects in the chunk store, where all nodes see them. */
export class RuleObjects implements RuleStore {
  readonly #deps: RuleObjectsDeps;
  /** By key: what was read is not read again. Of versions that were the newest at the last look only. An object that is damaged stays so. */
  readonly #kept = new Map<string, RuleGroup | 'damaged'>();

  constructor(deps: RuleObjectsDeps) {
    this.#deps = deps;
  }

  async groups(tenant?: string): Promise<readonly StoredGroup[]> {
    const newest = new Map<string, RuleObject>();
    const prefix = tenant === undefined ? RULES_PREFIX : tenantPrefix(tenant);
    for (const object of await this.#objects(prefix)) {
      const id = groupKey(object);
      const known = newest.get(id);
      if (!known || known.version < object.version) newest.set(id, object);
    }
    this.#forget(prefix, new Set([...newest.values()].map(({ key }) => key)));
    const found: StoredGroup[] = [];
    await forEachConcurrent([...newest.values()], READS_AT_A_TIME, async (object) => {
      const loaded = await this.#newest(object);
      if (loaded) found.push(loaded);
    });
    return found.sort(byPlace);
  }

  async put(tenant: string, namespace: string, group: RuleGroup): Promise<void> {
    const id = { tenant, namespace, name: group.name };
    const older = await this.#versions(id);
    const { chunks, clock, chance } = this.#deps;
    const text = printGroup(group);
    const newest = older.at(-1);
    const known = newest && (await this.#load(newest));
    // Who posts all groups again and again has nodes take up none that is the same.
    if (known && known !== 'damaged' && printGroup(known) === text) older.pop();
    else await chunks.put(ruleKey(id, versionAfter(newest?.version, clock.nowMs(), chance())), Buffer.from(text));
    // Nobody reads them any more: what a failure leaves here, the next call takes away.
    for (const { key } of older) {
      this.#kept.delete(key);
      await chunks.delete(key).catch(() => undefined);
    }
  }

  async delete({ tenant, namespace, name }: Parameters<RuleStore['delete']>[0]): Promise<boolean> {
    const all = await this.#objects(tenantPrefix(tenant));
    const objects = all.filter((one) => one.namespace === namespace && (name === undefined || one.name === name));
    // The newest last: what is cut between two leaves the group as it is, not as it was.
    for (const { key } of objects.sort(byVersion)) await this.#deps.chunks.delete(key);
    return objects.length > 0;
  }

  /** undefined: the group was deleted meanwhile, or is damaged. */
  async #newest(listed: RuleObject): Promise<StoredGroup | undefined> {
    let object: RuleObject | undefined = listed;
    for (let looks = 0; object && looks < LOOKS_MAX; looks++) {
      const group = await this.#load(object);
      const { tenant, namespace, name, version } = object;
      if (group === 'damaged') return undefined;
      if (group) return { tenant, namespace, name, group, version };
      // Gone since it was listed: for a newer one, or for good.
      object = (await this.#versions(listed)).at(-1);
    }
    return undefined;
  }

  /** Oldest first. */
  async #versions(id: GroupId): Promise<RuleObject[]> {
    const objects = await this.#objects(ruleKey(id, ''));
    return objects.filter((one) => groupKey(one) === groupKey(id)).sort(byVersion);
  }

  async #objects(prefix: string): Promise<RuleObject[]> {
    const objects: RuleObject[] = [];
    for await (const key of this.#deps.chunks.list(prefix)) {
      const object = parseRuleKey(key);
      if (object) objects.push(object);
    }
    return objects;
  }

  #forget(prefix: string, listed: ReadonlySet<string>): void {
    for (const key of this.#kept.keys()) if (key.startsWith(prefix) && !listed.has(key)) this.#kept.delete(key);
  }

  /** undefined: it is not there. */
  async #load({ key, tenant, namespace, name }: RuleObject): Promise<RuleGroup | 'damaged' | undefined> {
    const kept = this.#kept.get(key);
    if (kept !== undefined) return kept;
    const bytes = await this.#deps.chunks.get(key);
    if (!bytes) return undefined;
    const read = groupIn(Buffer.from(bytes).toString(), name);
    if ('problem' in read) {
      const about = { tenant, namespace, name };
      this.#deps.report('a stored group of rules is damaged, and is not evaluated', new Error(read.problem), about);
    }
    const group = 'problem' in read ? 'damaged' : read.group;
    this.#kept.set(key, group);
    return group;
  }
}

const groupIn = (yaml: string, name: string): { readonly group: RuleGroup } | { readonly problem: string } => {
  try {
    const group = readGroup(yaml);
    const problems = groupProblems(group);
    if (problems.length === 0 && group.name === name) return { group };
    return { problem: problems.join(', ') || `it is of group ${JSON.stringify(group.name)}` };
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    return { problem: error.refusal.text };
  }
};

const byVersion = (a: RuleObject, b: RuleObject): number =>
  a.version < b.version ? -1 : Number(a.version > b.version);
