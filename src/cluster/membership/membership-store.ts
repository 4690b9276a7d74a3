/**
 * The port of the store that the members of a cluster agree in: keys with revisions, leases that end, watches. Revisions are those of
 * etcd: one counter for the whole store, one step for each transaction that writes. They stay below 2^53.
 */
export type LeaseId = string;

export interface KeyValue {
  readonly key: string;
  readonly value: string;
  readonly createRevision: number;
  /** Of the last put. */
  readonly modRevision: number;
  /** The key goes when it ends. Without one it stays until deleted. */
  readonly lease?: LeaseId;
}

export type KeyEvent =
  | { readonly type: 'put'; readonly entry: KeyValue }
  | { readonly type: 'delete'; readonly key: string };

/** What must hold for a transaction to do its `then`. */
export type Guard =
  | { readonly type: 'absent'; readonly key: string }
  | { readonly type: 'unchanged'; readonly key: string; readonly modRevision: number }
  | { readonly type: 'value'; readonly key: string; readonly value: string };

/** At most one for a key in a transaction. */
export type Operation =
  | { readonly type: 'put'; readonly key: string; readonly value: string; readonly lease?: LeaseId }
  | { readonly type: 'delete'; readonly key: string };

export interface RangeReply {
  /** Of the store when it answered: everything up to it is in `entries`. */
  readonly revision: number;
  /** Sorted by key. */
  readonly entries: readonly KeyValue[];
}

export interface TransactionReply {
  /** All guards held. */
  readonly ok: boolean;
  /** With ok, that of the writes. */
  readonly revision: number;
}

export interface WatchHandlers {
  /** Once for a revision, in order: all its changes under the prefix. Must not throw. */
  onEvents(revision: number, events: readonly KeyEvent[]): void;
  /** Everything up to `revision` was told. May never come. */
  onProgress(revision: number): void;
  /** Changes are missing, nothing more comes: read the range, watch from behind it. */
  onReset(): void;
}

/**
 * Calls end by their deadline. @throws MembershipError UNAVAILABLE or DEADLINE_EXCEEDED; `grant`, `keepAlive` and puts with a lease also
 * LEASE_GONE. No call retries: that is for the caller.
 */
export interface MembershipStore {
  /** Linearizable: holds whatever was acknowledged before the call. */
  range(prefix: string, deadlineMs: number): Promise<RangeReply>;
  transaction(
    guards: readonly Guard[],
    operations: readonly Operation[],
    deadlineMs: number,
  ): Promise<TransactionReply>;
  /** @param ttlMs whole seconds at least 1 s; etcd rounds up */
  grant(ttlMs: number, deadlineMs: number): Promise<LeaseId>;
  /** Gives the lease its whole time again. Answers the store's revision. @throws MembershipError LEASE_GONE */
  keepAlive(lease: LeaseId, deadlineMs: number): Promise<{ readonly revision: number }>;
  /** Ends the lease now; ok if it has ended already. */
  revoke(lease: LeaseId, deadlineMs: number): Promise<void>;
  /**
   * All changes under `prefix` from revision `from` on, over any number of reconnects. Nothing after `onReset` or the returned cancel.
   */
  watch(prefix: string, from: number, handlers: WatchHandlers): () => void;
  close(): Promise<void>;
}
