import { encodeMember, type MemberDescription, type MemberKeys } from './member-keys.ts';
import { isUnknownOutcome, MembershipError } from './membership-error.ts';
import type { MembershipSettings } from './membership-options.ts';
import type { Guard, KeyValue, LeaseId, Operation } from './membership-store.ts';
import { Backoff, delay } from './waiting.ts';

export interface Registration {
  readonly incarnation: number;
  /** To be kept with the disk, and given to the next process. */
  readonly clusterUid: string;
}

export interface Registered extends Registration {
  readonly lease: LeaseId;
}

const RETRY_FIRST_MS = 50;
const RETRY_LAST_MS = 1_000;

/**
 * Tries until `endMs`. `attempt` returns undefined to be tried again, and must cope with what an earlier try that failed may have done.
 * @throws MembershipError of the last try, or DEADLINE_EXCEEDED
 */
export const retrying = async <T>(
  { clock, random }: MembershipSettings,
  endMs: number,
  attempt: () => Promise<T | undefined>,
): Promise<T> => {
  const backoff = new Backoff(RETRY_FIRST_MS, RETRY_LAST_MS, random);
  for (;;) {
    try {
      const outcome = await attempt();
      if (outcome !== undefined) return outcome;
    } catch (error) {
      if (!isUnknownOutcome(error) || clock.monotonicMs() >= endMs) throw error;
    }
    if (clock.monotonicMs() >= endMs) {
      throw new MembershipError({ code: 'DEADLINE_EXCEEDED', text: 'the members of the cluster kept changing' });
    }
    await delay(clock, backoff.nextMs());
  }
};

/**
 * Puts the member and its disk into the store, in one transaction; its revision is the incarnation. A process of the same disk that was there
 * is replaced, and its lease ends.
 * @param lease granted for it; it tells our own registration, when an outcome was lost, from another's
 * @throws MembershipError OTHER_CLUSTER, OTHER_CONFIG, NODE_ID_IN_USE, LEASE_GONE, DEADLINE_EXCEEDED, UNAVAILABLE
 */
export const registerMember = (
  settings: MembershipSettings,
  keys: MemberKeys,
  member: MemberDescription,
  lease: LeaseId,
  endMs: number,
): Promise<Registered> => {
  const { store, callDeadlineMs } = settings;
  const memberKey = keys.member(member.nodeId);
  return retrying(settings, endMs, async () => {
    const { entries } = await store.range(keys.prefix, callDeadlineMs);
    const byKey = new Map(entries.map((entry) => [entry.key, entry]));
    const present = byKey.get(memberKey);
    const clusterUid = byKey.get(keys.cluster)?.value ?? settings.clusterUid ?? settings.newClusterUid;
    if (present?.lease === lease) return { incarnation: present.modRevision, clusterUid, lease };
    refuseOthers(settings, keys, byKey, member);
    const guards: Guard[] = [
      present
        ? { type: 'unchanged', key: memberKey, modRevision: present.modRevision }
        : { type: 'absent', key: memberKey },
    ];
    const operations: Operation[] = [
      { type: 'put', key: memberKey, value: encodeMember(member), lease },
      { type: 'put', key: keys.roster(member.nodeId, member.diskId), value: '' },
    ];
    agreeOn(keys.cluster, clusterUid, byKey, guards, operations);
    agreeOn(keys.config, settings.config, byKey, guards, operations);
    const reply = await store.transaction(guards, operations, callDeadlineMs);
    if (!reply.ok) return undefined;
    // It holds no key any more; if this fails, it ends by itself.
    if (present?.lease !== undefined) await store.revoke(present.lease, callDeadlineMs).catch(() => undefined);
    return { incarnation: reply.revision, clusterUid, lease };
  });
};

/** The key has this value once the transaction is done: it has it now, or there is none. */
const agreeOn = (
  key: string,
  value: string,
  byKey: ReadonlyMap<string, KeyValue>,
  guards: Guard[],
  operations: Operation[],
): void => {
  if (byKey.has(key)) {
    guards.push({ type: 'value', key, value });
    return;
  }
  guards.push({ type: 'absent', key });
  operations.push({ type: 'put', key, value });
};

const refuseOthers = (
  { clusterUid, config, cluster }: MembershipSettings,
  keys: MemberKeys,
  byKey: ReadonlyMap<string, KeyValue>,
  { nodeId, diskId }: MemberDescription,
): void => {
  const uid = byKey.get(keys.cluster)?.value;
  if (clusterUid !== undefined && uid !== clusterUid) {
    const found = uid === undefined ? 'the membership store has forgotten it' : `the membership store has ${uid}`;
    const text = `this disk belongs to cluster ${cluster} with uid ${clusterUid}; ${found}`;
    throw new MembershipError({ code: 'OTHER_CLUSTER', text });
  }
  const agreed = byKey.get(keys.config)?.value;
  if (agreed !== undefined && agreed !== config) {
    const text = `the cluster's configuration is ${agreed}, this node's ${config}`;
    throw new MembershipError({ code: 'OTHER_CONFIG', text });
  }
  const present = byKey.get(keys.member(nodeId));
  if (!present) return;
  const other = keys.memberOf(present)?.diskId;
  if (other === diskId) return;
  const text = `node ${nodeId} runs on another disk (${other ?? 'unreadable'}); wait until its lease has ended`;
  throw new MembershipError({ code: 'NODE_ID_IN_USE', text });
};
