/** In the order of a node's life: no tokens yet, but it answers reads · owns tokens · hands everything over and still answers reads. */
export type MemberState = 'JOINING' | 'ACTIVE' | 'LEAVING';

/** The tokens of a node are hashed and merged at every node of the cluster. */
export const WEIGHT_MAX = 16;

/** A node as the membership store knows it. */
export interface Member {
  readonly nodeId: string;
  /** Store revision at which this process registered: above that of all processes before it under this nodeId. */
  readonly incarnation: number;
  /** host:port of the transport between nodes. */
  readonly address: string;
  readonly httpAddress: string;
  /** Empty where zones are not used: all nodes are then in one. */
  readonly zone: string;
  /** Tokens in proportion to it; 1 is a usual node. */
  readonly weight: number;
  readonly state: MemberState;
  /** Of the data folder: a node that comes back with another disk holds nothing of what it held. */
  readonly diskId: string;
  /** What it can speak with its peers. */
  readonly protocol: { readonly min: number; readonly max: number };
  /** It takes groups of rules. Nodes of versions before there were rules do not say. */
  readonly evaluatesRules?: boolean | undefined;
}

/** A disk that was a member's, and is until it is known that nothing on it is needed. */
export interface RosterEntry {
  readonly nodeId: string;
  readonly diskId: string;
  /** The last one that ran on it. */
  readonly incarnation: number;
}

/** The members at one revision of the membership store. */
export interface View {
  /**
   * Store revision of the last change of members or roster, or a later one where the change itself was not seen. Never decreases at a node;
   * nodes with the same members may have different ones.
   */
  readonly changedAt: number;
  /** Sorted by nodeId. */
  readonly members: readonly Member[];
  /** Sorted by nodeId, then diskId. */
  readonly roster: readonly RosterEntry[];
}

/** Disks that left with what is on them. */
export const missingDisks = ({ members, roster }: View): readonly RosterEntry[] =>
  roster.filter(({ nodeId, diskId }) => !members.some((one) => one.nodeId === nodeId && one.diskId === diskId));
