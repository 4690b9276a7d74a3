import type { Clock } from '../../protocol/clock.ts';
import { MembershipError, textOf } from './membership-error.ts';
import type {
  Guard,
  KeyEvent,
  LeaseId,
  MembershipStore,
  Operation,
  RangeReply,
  TransactionReply,
  WatchHandlers,
} from './membership-store.ts';
import { loadSnapshot, saveSnapshot } from './state-file.ts';
import { type StoreSnapshot, StoreState } from './store-state.ts';
import { Shared, withDeadline } from './waiting.ts';

export interface EmbeddedStoreOptions {
  readonly clock: Clock;
  /** Keeps the state over restarts, in a folder that is there and that no other process uses. Without it the state is in memory only. */
  readonly file?: string;
}

interface Watch {
  readonly prefix: string;
  readonly handlers: WatchHandlers;
  nextRevision: number;
}

/** What a look at the time counts at most: an eighth of the shortest lease, and so much. */
const LOOK_MS_MAX = 1_000;
const LOOK_SHARE = 1 / 8;
/** Leases shorter than eight of these may end early by it. */
const LOOK_MS_MIN = 20;

/** Between tries to write the file when nobody asks for anything. */
const SAVE_AGAIN_MS = 1_000;

/**
 * The membership store in this process: for tests, a node alone, or several nodes of one machine that reach it through `serveStore`.
 * Nothing is answered or told before it is durable, so that no revision is given out twice.
 */
export class EmbeddedStore implements MembershipStore {
  readonly #clock: Clock;
  readonly #state: StoreState;
  readonly #saved: Shared<void> | undefined;
  readonly #watches = new Set<Watch>();
  #durable: Pick<StoreSnapshot, 'revision' | 'leaseCount'>;
  /**
   * What leases go by: the clock's time without what is longer than a look. While the process stood still it could not hear who kept its lease alive; who did not, has that much longer.
   */
  #storeMs = 0;
  /** The clock's, of the last look. */
  #lookedMs: number;
  #cancelTimer: (() => void) | undefined;
  #cancelRetry: (() => void) | undefined;
  #isClosed = false;

  private constructor(clock: Clock, file: string | undefined, snapshot: StoreSnapshot | undefined) {
    this.#clock = clock;
    this.#lookedMs = clock.monotonicMs();
    this.#state = new StoreState(snapshot, this.#storeMs);
    this.#durable = this.#state.snapshot();
    this.#saved = file === undefined ? undefined : new Shared(() => this.#save(file));
    this.#armTimer();
  }

  /** @throws MembershipError UNAVAILABLE if the file cannot be read */
  static async open({ clock, file }: EmbeddedStoreOptions): Promise<EmbeddedStore> {
    return new EmbeddedStore(clock, file, file === undefined ? undefined : await loadSnapshot(file));
  }

  range(prefix: string, deadlineMs: number): Promise<RangeReply> {
    return this.#answer('range', deadlineMs, () => this.#state.range(prefix));
  }

  transaction(
    guards: readonly Guard[],
    operations: readonly Operation[],
    deadlineMs: number,
  ): Promise<TransactionReply> {
    return this.#answer('transaction', deadlineMs, () => this.#state.transaction(guards, operations));
  }

  grant(ttlMs: number, deadlineMs: number): Promise<LeaseId> {
    return this.#answer('grant', deadlineMs, () => this.#state.grant(ttlMs, this.#storeMs));
  }

  keepAlive(lease: LeaseId, deadlineMs: number): Promise<{ readonly revision: number }> {
    return this.#answer('keep-alive', deadlineMs, () => {
      this.#state.keepAlive(lease, this.#storeMs);
      return { revision: this.#state.revision };
    });
  }

  revoke(lease: LeaseId, deadlineMs: number): Promise<void> {
    return this.#answer('revoke', deadlineMs, () => this.#state.revoke(lease));
  }

  watch(prefix: string, from: number, handlers: WatchHandlers): () => void {
    const watch = { prefix, handlers, nextRevision: from };
    this.#watches.add(watch);
    // Not while the caller still waits for its cancel.
    this.#clock.after(0, () => this.#tell(watch));
    return () => this.#watches.delete(watch);
  }

  /** Forgets changes before this revision, as etcd does when asked to: watches behind it start over. */
  compact(revision: number): void {
    this.#state.compact(revision);
  }

  /** Resolves once what was changed is durable, or cannot be made so. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#cancelTimer?.();
    this.#cancelRetry?.();
    this.#watches.clear();
    await this.#saved?.run().catch(() => undefined);
  }

  #answer<T>(what: string, deadlineMs: number, act: () => T): Promise<T> {
    const answered = (async () => {
      if (this.#isClosed) throw new MembershipError({ code: 'UNAVAILABLE', text: 'the membership store is closed' });
      this.#expire();
      const answer = act();
      this.#armTimer();
      await this.#publish();
      return answer;
    })();
    return withDeadline(this.#clock, deadlineMs, what, answered);
  }

  /** Makes what changed durable, then tells the watches. */
  async #publish(): Promise<void> {
    const { revision, leaseCount } = this.#state;
    if (revision > this.#durable.revision || leaseCount > this.#durable.leaseCount) {
      if (this.#saved) await this.#saved.run();
      else this.#durable = { revision, leaseCount };
    }
    for (const watch of this.#watches) this.#tell(watch);
  }

  async #save(file: string): Promise<void> {
    const snapshot = this.#state.snapshot();
    try {
      await saveSnapshot(file, snapshot);
    } catch (error) {
      throw new MembershipError(
        { code: 'UNAVAILABLE', text: `cannot write ${file}: ${textOf(error)}` },
        { cause: error },
      );
    }
    this.#durable = snapshot;
  }

  #tell(watch: Watch): void {
    if (!this.#watches.has(watch) || watch.nextRevision === this.#durable.revision + 1) return;
    const changes = this.#state.changesFrom(watch.nextRevision);
    if (!changes) {
      this.#watches.delete(watch);
      watch.handlers.onReset();
      return;
    }
    for (const { revision, events } of changes) {
      if (revision > this.#durable.revision || !this.#watches.has(watch)) return;
      watch.nextRevision = revision + 1;
      const seen = events.filter((event) => keyOf(event).startsWith(watch.prefix));
      if (seen.length > 0) watch.handlers.onEvents(revision, seen);
      else watch.handlers.onProgress(revision);
    }
  }

  #armTimer(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    const dueMs = this.#state.nextEndMs();
    if (dueMs === Number.POSITIVE_INFINITY || this.#isClosed) return;
    // Half: a timer that is a little late has counted all the time there was.
    const waitMs = Math.min(this.#lookMs / 2, dueMs - this.#storeMs);
    this.#cancelTimer = this.#clock.after(Math.max(0, waitMs), () => {
      this.#expire();
      this.#armTimer();
      this.#publishLater();
    });
  }

  get #lookMs(): number {
    return Math.max(LOOK_MS_MIN, Math.min(LOOK_MS_MAX, this.#state.shortestTtlMs() * LOOK_SHARE));
  }

  #expire(): void {
    const nowMs = this.#clock.monotonicMs();
    this.#storeMs += Math.min(nowMs - this.#lookedMs, this.#lookMs);
    this.#lookedMs = nowMs;
    this.#state.expire(this.#storeMs);
  }

  /** What leases took with them, which nobody waits for. */
  #publishLater(): void {
    this.#publish().catch(() => {
      this.#cancelRetry?.();
      if (!this.#isClosed) this.#cancelRetry = this.#clock.after(SAVE_AGAIN_MS, () => this.#publishLater());
    });
  }
}

const keyOf = (event: KeyEvent): string => (event.type === 'put' ? event.entry.key : event.key);
