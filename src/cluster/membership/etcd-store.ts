import { noop } from 'cockatiel';
import { Etcd3, EtcdLeaseInvalidError, GRPCDeadlineExceededError, GRPCNotFoundError, Range } from 'etcd3';
import type { Clock } from '../../protocol/clock.ts';
import { EtcdWatch, keyValueOf } from './etcd-watch.ts';
import { MembershipError, textOf } from './membership-error.ts';
import type {
  Guard,
  LeaseId,
  MembershipStore,
  Operation,
  RangeReply,
  TransactionReply,
  WatchHandlers,
} from './membership-store.ts';
import { withDeadline } from './waiting.ts';

export interface EtcdStoreOptions {
  readonly clock: Clock;
  /** `http://host:port` each; `https` throughout for TLS. */
  readonly hosts: readonly string[];
  readonly auth?: { readonly username: string; readonly password: string };
  /** A chance from 0 to 1, for waits. */
  readonly random?: () => number;
}

const GRPC_OPTIONS = {
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 2_000,
  // etcd counts pings that come more often than each 5 s as an attack.
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 5_000,
  'grpc.keepalive_permit_without_calls': 1,
};

/** Later than our own deadline: only frees what the call holds. */
const GRPC_DEADLINE_EXTRA_MS = 500;

/**
 * The membership store in etcd 3.4 or newer. Of the client package only the calls are used: its lease gives up after twice the TTL, its
 * circuit breaker loses a lease in an outage of 2 s, and its watcher goes on from the wrong revision (see `EtcdWatch`).
 */
export class EtcdStore implements MembershipStore {
  readonly #clock: Clock;
  readonly #client: Etcd3;
  readonly #random: () => number;
  readonly #watches = new Set<EtcdWatch>();

  constructor({ clock, hosts, auth, random = Math.random }: EtcdStoreOptions) {
    this.#clock = clock;
    this.#random = random;
    this.#client = new Etcd3({
      hosts: [...hosts],
      ...(auth && { auth }),
      grpcOptions: GRPC_OPTIONS,
      faultHandling: { host: () => noop, global: noop },
    });
  }

  range(prefix: string, deadlineMs: number): Promise<RangeReply> {
    const { start, end } = Range.prefix(prefix);
    return this.#call('range', deadlineMs, async (options) => {
      const reply = await this.#client.kv.range({ key: start, range_end: end, serializable: false }, options);
      return { revision: Number(reply.header.revision), entries: reply.kvs.map(keyValueOf) };
    });
  }

  transaction(
    guards: readonly Guard[],
    operations: readonly Operation[],
    deadlineMs: number,
  ): Promise<TransactionReply> {
    return this.#call('transaction', deadlineMs, async (options) => {
      const request = { compare: guards.map(compareOf), success: operations.map(requestOf), failure: [] };
      const reply = await this.#client.kv.txn(request, options);
      return { ok: reply.succeeded, revision: Number(reply.header.revision) };
    });
  }

  grant(ttlMs: number, deadlineMs: number): Promise<LeaseId> {
    return this.#call('grant', deadlineMs, async (options) => {
      const reply = await this.#client.leaseClient.leaseGrant({ TTL: Math.ceil(ttlMs / 1000) }, options);
      return reply.ID;
    });
  }

  keepAlive(lease: LeaseId, deadlineMs: number): Promise<{ readonly revision: number }> {
    return this.#call('keep-alive', deadlineMs, async (options) => {
      const stream = await this.#client.leaseClient.leaseKeepAlive(options);
      try {
        const reply = await new Promise<{ readonly TTL: string; readonly header: { readonly revision: string } }>(
          (resolve, reject) => {
            stream.on('data', resolve);
            stream.on('error', reject);
            stream.on('end', () => reject(new Error('the stream ended')));
            stream.write({ ID: lease });
          },
        );
        if (Number(reply.TTL) <= 0) throw leaseGone(lease);
        return { revision: Number(reply.header.revision) };
      } finally {
        stream.end();
      }
    });
  }

  revoke(lease: LeaseId, deadlineMs: number): Promise<void> {
    return this.#call('revoke', deadlineMs, async (options) => {
      try {
        await this.#client.leaseClient.leaseRevoke({ ID: lease }, options);
      } catch (error) {
        if (!isLeaseGone(error)) throw error;
      }
    });
  }

  watch(prefix: string, from: number, handlers: WatchHandlers): () => void {
    const watch = new EtcdWatch({
      client: this.#client.watchClient,
      clock: this.#clock,
      random: this.#random,
      range: Range.prefix(prefix),
      from,
      handlers,
    });
    this.#watches.add(watch);
    return () => {
      this.#watches.delete(watch);
      watch.cancel();
    };
  }

  close(): Promise<void> {
    for (const watch of this.#watches) watch.cancel();
    this.#watches.clear();
    this.#client.close();
    return Promise.resolve();
  }

  #call<T>(what: string, deadlineMs: number, act: (options: { deadline: number }) => Promise<T>): Promise<T> {
    const call = act({ deadline: this.#clock.nowMs() + deadlineMs + GRPC_DEADLINE_EXTRA_MS }).catch(
      (error: unknown) => {
        throw membershipError(what, error);
      },
    );
    return withDeadline(this.#clock, deadlineMs, `etcd ${what}`, call);
  }
}

const compareOf = (guard: Guard) => {
  const key = Buffer.from(guard.key);
  switch (guard.type) {
    case 'absent':
      return { key, result: 'Equal', target: 'Create', create_revision: 0 } as const;
    case 'unchanged':
      return { key, result: 'Equal', target: 'Mod', mod_revision: guard.modRevision } as const;
    case 'value':
      return { key, result: 'Equal', target: 'Value', value: Buffer.from(guard.value) } as const;
  }
};

const requestOf = (operation: Operation) => {
  const key = Buffer.from(operation.key);
  if (operation.type === 'delete') return { request_delete_range: { key } };
  return { request_put: { key, value: Buffer.from(operation.value), lease: operation.lease ?? 0 } };
};

const leaseGone = (lease: LeaseId): MembershipError =>
  new MembershipError({ code: 'LEASE_GONE', text: `lease ${lease} has ended` });

/** The package knows the text of only one of etcd's ways to say it. */
const isLeaseGone = (error: unknown): boolean =>
  error instanceof EtcdLeaseInvalidError ||
  error instanceof GRPCNotFoundError ||
  textOf(error).includes('requested lease not found');

const membershipError = (what: string, error: unknown): MembershipError => {
  if (error instanceof MembershipError) return error;
  const text = `etcd ${what}: ${textOf(error)}`;
  if (isLeaseGone(error)) return new MembershipError({ code: 'LEASE_GONE', text }, { cause: error });
  const code = error instanceof GRPCDeadlineExceededError ? 'DEADLINE_EXCEEDED' : 'UNAVAILABLE';
  return new MembershipError({ code, text }, { cause: error });
};
