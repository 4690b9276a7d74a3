import type { Member, MemberState, RosterEntry } from '../view.ts';
import type { KeyValue } from './membership-store.ts';

/** What a node says of itself when it registers; the store adds the incarnation. */
export type MemberDescription = Omit<Member, 'incarnation'>;

/**
 * The keys of a cluster. Neither node ids nor disk ids hold a `/`.
 *
 *   <cluster>/members/<nodeId>            a member, with the node's lease
 *   <cluster>/roster/<nodeId>/<diskId>    a disk that may hold what nothing else does, without a lease
 *   <cluster>/meta/cluster                uid of the cluster, written once
 *   <cluster>/config                      what all members must agree in
 */
export class MemberKeys {
  readonly prefix: string;

  constructor(cluster: string) {
    this.prefix = `${cluster}/`;
  }

  get cluster(): string {
    return `${this.prefix}meta/cluster`;
  }

  get config(): string {
    return `${this.prefix}config`;
  }

  member(nodeId: string): string {
    return `${this.prefix}members/${nodeId}`;
  }

  roster(nodeId: string, diskId: string): string {
    return `${this.prefix}roster/${nodeId}/${diskId}`;
  }

  /** undefined: of another kind, or written by a version that is unlike this one. */
  memberOf(entry: KeyValue): Member | undefined {
    return entry.key.startsWith(`${this.prefix}members/`) ? decodeMember(entry) : undefined;
  }

  /** The incarnation is the key's revision: only registrations write it. */
  rosterOf({ key, modRevision }: KeyValue): RosterEntry | undefined {
    const prefix = `${this.prefix}roster/`;
    if (!key.startsWith(prefix)) return undefined;
    const [nodeId, diskId] = key.slice(prefix.length).split('/');
    return nodeId && diskId ? { nodeId, diskId, incarnation: modRevision } : undefined;
  }
}

/**
 * A member's value: JSON. A registration cannot know its own revision, which is the incarnation, so it leaves it out; whoever reads takes the
 * key's revision. Later changes of the same process write it down.
 */
export const encodeMember = (member: MemberDescription, incarnation?: number): string => {
  // One by one: a caller's object may hold more, such as the incarnation of the process before.
  const { address, httpAddress, zone, weight, state, diskId, protocol, evaluatesRules } = member;
  return JSON.stringify({ address, httpAddress, zone, weight, state, diskId, protocol, evaluatesRules, incarnation });
};

const STATES: readonly MemberState[] = ['JOINING', 'ACTIVE', 'LEAVING'];

const decodeMember = ({ key, value, modRevision }: KeyValue): Member | undefined => {
  let fields: Partial<Member>;
  try {
    fields = JSON.parse(value) as Partial<Member>;
  } catch {
    return undefined;
  }
  const { address, httpAddress, zone, weight, state, diskId, protocol, incarnation = modRevision } = fields;
  const { evaluatesRules } = fields;
  if (typeof address !== 'string' || typeof httpAddress !== 'string' || typeof zone !== 'string') return undefined;
  if (typeof weight !== 'number' || typeof diskId !== 'string' || !protocol) return undefined;
  if (state === undefined || !STATES.includes(state)) return undefined;
  const nodeId = key.slice(key.lastIndexOf('/') + 1);
  const known = { nodeId, incarnation, address, httpAddress, zone, weight, state, diskId, protocol };
  return evaluatesRules === true ? { ...known, evaluatesRules } : known;
};
