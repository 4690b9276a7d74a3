import { MembershipError } from './membership-error.ts';
import type {
  Guard,
  KeyEvent,
  KeyValue,
  LeaseId,
  Operation,
  RangeReply,
  TransactionReply,
} from './membership-store.ts';

/** What outlives the process that serves it. */
export interface StoreSnapshot {
  readonly revision: number;
  /** Of leases given; an id is never used again. */
  readonly leaseCount: number;
  readonly entries: readonly KeyValue[];
  readonly leases: readonly { readonly id: LeaseId; readonly ttlMs: number }[];
}

interface Lease {
  readonly ttlMs: number;
  endsMs: number;
}

export interface Change {
  readonly revision: number;
  readonly events: readonly KeyEvent[];
}

/** Changes kept for watches that come back; one that is further behind reads the range anew. */
const CHANGES_MAX = 1000;

/**
 * The embedded store's keys, leases and last changes. No clock, no I/O: `nowMs` is monotonic and comes with each call. Mutable, owned by
 * one `EmbeddedStore`.
 */
export class StoreState {
  #revision: number;
  #leaseCount: number;
  readonly #entries = new Map<string, KeyValue>();
  readonly #leases = new Map<LeaseId, Lease>();
  #changes: Change[] = [];

  /** All leases of a snapshot get their whole time again: nobody could keep them alive while the store was away. */
  constructor(snapshot: StoreSnapshot | undefined, nowMs: number) {
    this.#revision = snapshot?.revision ?? 1;
    this.#leaseCount = snapshot?.leaseCount ?? 0;
    for (const entry of snapshot?.entries ?? []) this.#entries.set(entry.key, entry);
    for (const { id, ttlMs } of snapshot?.leases ?? []) this.#leases.set(id, { ttlMs, endsMs: nowMs + ttlMs });
  }

  get revision(): number {
    return this.#revision;
  }

  get leaseCount(): number {
    return this.#leaseCount;
  }

  snapshot(): StoreSnapshot {
    return {
      revision: this.#revision,
      leaseCount: this.#leaseCount,
      entries: [...this.#entries.values()],
      leases: Array.from(this.#leases, ([id, { ttlMs }]) => ({ id, ttlMs })),
    };
  }

  range(prefix: string): RangeReply {
    const entries = [...this.#entries.values()].filter(({ key }) => key.startsWith(prefix));
    return { revision: this.#revision, entries: entries.sort((a, b) => (a.key < b.key ? -1 : 1)) };
  }

  /** @throws MembershipError LEASE_GONE if a put names a lease that is not there */
  transaction(guards: readonly Guard[], operations: readonly Operation[]): TransactionReply {
    if (!guards.every((guard) => this.#holds(guard))) return { ok: false, revision: this.#revision };
    for (const operation of operations) {
      if (operation.type === 'put' && operation.lease !== undefined) this.#lease(operation.lease);
    }
    this.#apply(operations);
    return { ok: true, revision: this.#revision };
  }

  grant(ttlMs: number, nowMs: number): LeaseId {
    this.#leaseCount += 1;
    const id = String(this.#leaseCount);
    this.#leases.set(id, { ttlMs, endsMs: nowMs + ttlMs });
    return id;
  }

  /** @throws MembershipError LEASE_GONE */
  keepAlive(id: LeaseId, nowMs: number): void {
    const lease = this.#lease(id);
    lease.endsMs = nowMs + lease.ttlMs;
  }

  revoke(id: LeaseId): void {
    if (!this.#leases.delete(id)) return;
    const keys = [...this.#entries.values()].filter(({ lease }) => lease === id);
    this.#apply(keys.map(({ key }) => ({ type: 'delete', key })));
  }

  /** Ends the leases that are due. */
  expire(nowMs: number): void {
    const due = [...this.#leases].filter(([, { endsMs }]) => endsMs <= nowMs);
    for (const [id] of due) this.revoke(id);
  }

  /** When the next lease ends; Infinity without leases. */
  nextEndMs(): number {
    return Math.min(Number.POSITIVE_INFINITY, ...Array.from(this.#leases.values(), ({ endsMs }) => endsMs));
  }

  /** Of all leases; Infinity without any. */
  shortestTtlMs(): number {
    return Math.min(Number.POSITIVE_INFINITY, ...Array.from(this.#leases.values(), ({ ttlMs }) => ttlMs));
  }

  /** The changes from this revision on; undefined if some are no longer known, or the revision lies in the future of this store. */
  changesFrom(revision: number): readonly Change[] | undefined {
    const firstKnown = this.#changes[0]?.revision ?? this.#revision + 1;
    if (revision < firstKnown || revision > this.#revision + 1) return undefined;
    return this.#changes.filter((change) => change.revision >= revision);
  }

  /** Forgets the changes before this revision. */
  compact(revision: number): void {
    this.#changes = this.#changes.filter((change) => change.revision >= revision);
  }

  #lease(id: LeaseId): Lease {
    const lease = this.#leases.get(id);
    if (!lease) throw new MembershipError({ code: 'LEASE_GONE', text: `lease ${id} has ended` });
    return lease;
  }

  #holds(guard: Guard): boolean {
    const entry = this.#entries.get(guard.key);
    switch (guard.type) {
      case 'absent':
        return entry === undefined;
      case 'unchanged':
        return entry?.modRevision === guard.modRevision;
      case 'value':
        return entry?.value === guard.value;
    }
  }

  #apply(operations: readonly Operation[]): void {
    const written = operations.filter(({ type, key }) => type === 'put' || this.#entries.has(key));
    if (written.length === 0) return;
    this.#revision += 1;
    const events = written.map((operation): KeyEvent => {
      if (operation.type === 'delete') {
        this.#entries.delete(operation.key);
        return operation;
      }
      const { key, value, lease } = operation;
      const createRevision = this.#entries.get(key)?.createRevision ?? this.#revision;
      const entry = { key, value, createRevision, modRevision: this.#revision, ...(lease !== undefined && { lease }) };
      this.#entries.set(key, entry);
      return { type: 'put', entry };
    });
    this.#changes.push({ revision: this.#revision, events });
    if (this.#changes.length > CHANGES_MAX) this.#changes = this.#changes.slice(-CHANGES_MAX / 2);
  }
}
