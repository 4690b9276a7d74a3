import type { EntryRange } from '../protocol/entry-columns.ts';
import type { Refusal } from '../protocol/refusal.ts';
import type { AppendOutcome } from './stream-state.ts';

/** What a push has for one stream, checked. The ranges are borrowed until the outcome is there. */
export interface StreamAppend {
  /** Of its labels. */
  readonly canonical: string;
  /** Its place on the ring. */
  readonly key: number;
  readonly ranges: readonly EntryRange[];
}

/** As another node sent it. */
export interface ForwardedStream {
  /** Canonical text. */
  readonly labelText: Uint8Array;
  readonly ranges: readonly EntryRange[];
}

/** Where the entries of a node's pushes go in a cluster. A node alone has none: all are its own. */
export interface AppendRouter {
  /** A stream's place on the ring; whoever keeps the labels keeps it beside them. */
  keyOf(tenant: string, canonical: string): number;
  /** This node should write the streams at the place. */
  isHere(key: number): boolean;
  /** Nodes that take entries now, at least 1: they share what a tenant may have in all. */
  readonly memberCount: number;
  /** What `isHere` goes by now: another object after a change. */
  readonly places: object;
  /** Entries were taken here that were this node's by these places. */
  taken(places: object): void;
  /** Brings entries of streams that are elsewhere to who takes them. An outcome for each, in order of arrival. Never throws for what is refused. */
  append(tenant: string, appends: readonly StreamAppend[]): Promise<readonly AppendOutcome[]>;
  /** Why nothing may be acknowledged now: asked before entries are taken, and again before it is said that they were. */
  refusal(): Refusal | undefined;
}
