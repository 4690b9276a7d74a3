/** What operators may ask of a member of a cluster. */
import type { LabelMatcher } from '../protocol/matcher.ts';

/** What a member tells of itself. Bytes and counts of now. */
export interface NodeStatus {
  readonly nodeId: string;
  readonly state: string;
  readonly zone: string;
  readonly weight: number;
  readonly address: string;
  readonly httpAddress: string;
  readonly incarnation: number;
  /** Share of all streams that it should have, 0 to 1. */
  readonly ownership: number;
  /** undefined if it does not answer. */
  readonly figures: MemberFigures | undefined;
}

export interface MemberFigures {
  /** Streams that have an actor there. */
  readonly streams: number;
  readonly unflushedBytes: number;
  /** Segments that lie in its log only. */
  readonly loggedSegments: number;
  /** Segments on their way to another node, and those that have arrived there and are still answered for. */
  readonly moving: number;
  readonly lingering: number;
  /** It has looked at all it holds since the ring changed, and nothing of it moves or lingers. */
  readonly isSettled: boolean;
  readonly movingBytes: number;
  /** Until it acknowledges nothing any more unless its lease is renewed. */
  readonly fenceMs: number;
}

export interface RingStatus {
  /** Revision of the view. */
  readonly changedAt: number;
  readonly nodes: readonly NodeStatus[];
  /** Disks that left with what is on them. */
  readonly missing: readonly { readonly nodeId: string; readonly diskId: string }[];
}

/** Where a stream is. */
export interface StreamStatus {
  readonly labels: string;
  /** By the ring; undefined if no member takes entries. */
  readonly owner: string | undefined;
  /** Nodes after it, in order. */
  readonly next: readonly string[];
  /** Unflushed segments and who holds them. */
  readonly segments: readonly { readonly segment: string; readonly holders: readonly string[] }[];
}

export interface ClusterServices {
  ring(): Promise<RingStatus>;
  /** Unflushed streams that match. @throws RefusedError as queries do */
  streams(tenant: string, matchers: readonly LabelMatcher[]): Promise<readonly StreamStatus[]>;
  /** The node's share of the streams beside the others, from now on until it starts again. @throws RefusedError BAD_REQUEST */
  setWeight(weight: number): Promise<void>;
  /** Asks the process to hand everything over and end, as SIGTERM does. */
  drain(): void;
}
