import type { Member, MemberState, View } from '../view.ts';
import { encodeMember, type MemberDescription } from './member-keys.ts';
import { MembershipError, textOf } from './membership-error.ts';
import { type MembershipOptions, type MembershipSettings, membershipSettings } from './membership-options.ts';
import { type Registered, type Registration, registerMember, retrying } from './registration.ts';
import { ViewReader } from './view-reader.ts';
import { Backoff } from './waiting.ts';

interface Lease extends Registered {
  readonly nodeId: string;
  readonly diskId: string;
}

const KEEP_ALIVE_AGAIN_FIRST_MS = 250;
const KEEP_ALIVE_AGAIN_LAST_MS = 1_000;

/**
 * A node among the members of its cluster: registers, keeps its lease alive, knows the view.
 *
 *   new ── register ──► member ── leave ──► gone
 *                         └── lease ended, or another process took the nodeId ──► lost: exit, register anew
 */
export class Membership {
  readonly #settings: MembershipSettings;
  readonly #reader: ViewReader;
  readonly #lostListeners = new Set<(reason: string) => void>();
  #lease: Lease | undefined;
  /** Monotonic. Of the last keep-alive that was answered, when it was sent: the lease lasts at least a TTL from then. */
  #keptAliveMs = Number.NEGATIVE_INFINITY;
  #isUnreachable = false;
  #lostReason: string | undefined;
  #isStopped = false;
  #cancelKeepAlive: (() => void) | undefined;
  /** Changes of the own member, one after another. */
  #changes: Promise<unknown> = Promise.resolve();

  constructor(options: MembershipOptions) {
    this.#settings = membershipSettings(options);
    this.#reader = new ViewReader(this.#settings);
    this.#reader.onChange((view) => this.#lookForMyself(view));
  }

  /** Of the last thing heard from the store. */
  get view(): View {
    return this.#reader.view;
  }

  /** Store revision up to which the view lacks nothing. */
  get knownThrough(): number {
    return this.#reader.knownThrough;
  }

  /**
   * At 0 or below nothing may be acknowledged, nor a chunk committed: others may soon think, or know, that this node is gone. Ask again just
   * before a reply leaves.
   */
  get fenceRemainingMs(): number {
    const { clock, ttlMs, fenceMarginMs } = this.#settings;
    const remainingMs = this.#keptAliveMs + ttlMs - fenceMarginMs - clock.monotonicMs();
    return this.#lostReason === undefined && this.#lease ? remainingMs : Math.min(remainingMs, 0);
  }

  /**
   * Joins the cluster, and knows the view when it resolves. Once only.
   * @throws MembershipError OTHER_CLUSTER, OTHER_CONFIG, NODE_ID_IN_USE, DEADLINE_EXCEEDED, UNAVAILABLE. What an attempt whose
   * outcome was lost leaves behind: a lease that ends by itself, a roster entry that the next one of this disk takes over
   */
  async register(member: MemberDescription): Promise<Registration> {
    const { store, clock, ttlMs, callDeadlineMs, changeDeadlineMs } = this.#settings;
    const endMs = clock.monotonicMs() + changeDeadlineMs;
    const { sentMs, id } = await retrying(this.#settings, endMs, async () => {
      const sentMs = clock.monotonicMs();
      return { sentMs, id: await store.grant(ttlMs, callDeadlineMs) };
    });
    try {
      const registered = await registerMember(this.#settings, this.#reader.keys, member, id, endMs);
      // Before the view is told of: it is looked through for this.
      this.#lease = { ...registered, nodeId: member.nodeId, diskId: member.diskId };
      this.#keptAliveMs = sentMs;
      await this.#reader.start(Math.max(0, endMs - clock.monotonicMs()));
    } catch (error) {
      this.stop();
      await store.revoke(id, callDeadlineMs).catch(() => undefined);
      throw error;
    }
    this.#keepAliveAfter(this.#settings.keepAliveMs, keepAliveBackoff(this.#settings));
    const { incarnation, clusterUid } = this.#lease;
    return { incarnation, clusterUid };
  }

  /** Called at once with each new view. */
  onChange(listener: (view: View) => void): () => void {
    return this.#reader.onChange(listener);
  }

  /** Called once, when others no longer count this process in. */
  onLost(listener: (reason: string) => void): () => void {
    this.#lostListeners.add(listener);
    return () => this.#lostListeners.delete(listener);
  }

  /**
   * The view with everything that was acknowledged before the call. Callers share a reading, one that began after they called.
   * @throws MembershipError DEADLINE_EXCEEDED
   */
  freshView(deadlineMs: number): Promise<View> {
    return this.#reader.fresh(deadlineMs);
  }

  /** The view with everything up to `revision`, which another node has seen. @throws MembershipError DEADLINE_EXCEEDED, UNAVAILABLE */
  catchUp(revision: number, deadlineMs: number): Promise<View> {
    return this.#reader.catchUp(revision, deadlineMs);
  }

  /** The own view shows it when it resolves. @throws MembershipError NOT_REGISTERED, LEASE_GONE, DEADLINE_EXCEEDED, UNAVAILABLE */
  become(
    state: Extract<MemberState, 'ACTIVE' | 'LEAVING'>,
    deadlineMs = this.#settings.changeDeadlineMs,
  ): Promise<void> {
    return this.#change((member) => ({ ...member, state }), deadlineMs);
  }

  /** As `become`. */
  setWeight(weight: number): Promise<void> {
    return this.#change((member) => ({ ...member, weight }), this.#settings.changeDeadlineMs);
  }

  /**
   * A clean exit: the member, its roster entry (the disk holds nothing that is needed) and its lease go; then `stop`. From the call on the node
   * is fenced: what `isEmpty` says then is how it stays.
   * @returns false if it is not empty: then the others wait for this disk, and the lease ends by itself
   * @throws MembershipError NOT_REGISTERED, DEADLINE_EXCEEDED, UNAVAILABLE
   */
  async leave(isEmpty: () => boolean = () => true, deadlineMs = this.#settings.changeDeadlineMs): Promise<boolean> {
    const { store, clock, callDeadlineMs } = this.#settings;
    const { nodeId, diskId, incarnation, lease } = this.#registered();
    // Fenced from here on, and what the view now says of this node is no news.
    this.#lostReason ??= 'left';
    this.#cancelKeepAlive?.();
    await this.#changes;
    if (!isEmpty()) {
      this.stop();
      return false;
    }
    const { keys } = this.#reader;
    const roster = keys.roster(nodeId, diskId);
    await retrying(this.#settings, clock.monotonicMs() + deadlineMs, async () => {
      // Both at once: a member gone whose disk is still in the roster would be a departure to look after. The guard fails where an earlier try
      // has done it, or where a newer process of this disk is a member.
      await store.transaction(
        [{ type: 'unchanged', key: roster, modRevision: incarnation }],
        [
          { type: 'delete', key: keys.member(nodeId) },
          { type: 'delete', key: roster },
        ],
        callDeadlineMs,
      );
      await store.revoke(lease, callDeadlineMs);
      return true;
    }).finally(() => this.stop());
    return true;
  }

  /**
   * The end of a process that could not become a member, or is none any more: its disk need not be waited for if `isDiskEmpty`, asked once nothing
   * is acknowledged any more. Then `stop`. A newer process of this disk is left alone.
   * @returns whether the cluster has forgotten the disk
   */
  async abandon(isDiskEmpty: () => boolean, deadlineMs: number): Promise<boolean> {
    this.#lostReason ??= 'abandoned';
    const lease = this.#lease;
    const { store, callDeadlineMs } = this.#settings;
    const endMs = this.#settings.clock.monotonicMs() + deadlineMs;
    if (!lease || !isDiskEmpty()) {
      this.stop();
      return false;
    }
    const { keys } = this.#reader;
    const roster = keys.roster(lease.nodeId, lease.diskId);
    try {
      await retrying(this.#settings, endMs, async () => {
        const guard = { type: 'unchanged', key: roster, modRevision: lease.incarnation } as const;
        await store.transaction([guard], [{ type: 'delete', key: roster }], callDeadlineMs);
        return true;
      });
      // The member, if it is still this one, goes with its lease.
      await store.revoke(lease.lease, callDeadlineMs).catch(() => undefined);
      return true;
    } finally {
      this.stop();
    }
  }

  /** Stops watching and keeping alive. The lease ends by itself: until then the node counts as a member. */
  stop(): void {
    this.#isStopped = true;
    this.#cancelKeepAlive?.();
    this.#reader.stop();
    this.#lostReason ??= 'stopped';
    this.#lostListeners.clear();
  }

  #registered(): Lease {
    if (!this.#lease || this.#isStopped) {
      throw new MembershipError({ code: 'NOT_REGISTERED', text: 'this node is not a member' });
    }
    return this.#lease;
  }

  #change(edit: (member: Member) => Member, deadlineMs: number): Promise<void> {
    const endMs = this.#settings.clock.monotonicMs() + deadlineMs;
    const changed = this.#changes.then(() => this.#changeNow(edit, endMs));
    this.#changes = changed.catch(() => undefined);
    return changed;
  }

  async #changeNow(edit: (member: Member) => Member, endMs: number): Promise<void> {
    const { store, clock, callDeadlineMs } = this.#settings;
    const { nodeId, incarnation, lease } = this.#registered();
    const { keys } = this.#reader;
    const key = keys.member(nodeId);
    const revision = await retrying(this.#settings, endMs, async () => {
      const { entries } = await store.range(key, callDeadlineMs);
      const entry = entries.find((found) => found.key === key);
      const member = entry && keys.memberOf(entry);
      if (!entry || member?.incarnation !== incarnation) {
        const reason = `node ${nodeId} is no longer registered with incarnation ${incarnation}`;
        this.#lose(reason);
        throw new MembershipError({ code: 'LEASE_GONE', text: reason });
      }
      const value = encodeMember(edit(member), incarnation);
      // So it is after a try whose outcome was lost, too.
      if (value === encodeMember(member, incarnation)) return entry.modRevision;
      const guard = { type: 'unchanged', key, modRevision: entry.modRevision } as const;
      const reply = await store.transaction([guard], [{ type: 'put', key, value, lease }], callDeadlineMs);
      return reply.ok ? reply.revision : undefined;
    });
    await this.#reader.catchUp(revision, Math.max(callDeadlineMs, endMs - clock.monotonicMs()));
  }

  #keepAliveAfter(delayMs: number, backoff: Backoff): void {
    if (this.#isStopped || this.#lostReason !== undefined) return;
    this.#cancelKeepAlive = this.#settings.clock.after(delayMs, () => void this.#keepAlive(backoff));
  }

  async #keepAlive(backoff: Backoff): Promise<void> {
    const { store, clock, keepAliveMs, callDeadlineMs, onProblem } = this.#settings;
    const lease = this.#lease?.lease;
    if (lease === undefined) return;
    const sentMs = clock.monotonicMs();
    try {
      const { revision } = await store.keepAlive(lease, callDeadlineMs);
      this.#keptAliveMs = sentMs;
      this.#reader.expect(revision);
      if (this.#isUnreachable) onProblem('the membership store is reached again');
      this.#isUnreachable = false;
      this.#keepAliveAfter(Math.max(0, sentMs + keepAliveMs - clock.monotonicMs()), keepAliveBackoff(this.#settings));
    } catch (error) {
      if (error instanceof MembershipError && error.refusal.code === 'LEASE_GONE') {
        this.#lose(error.refusal.text);
        return;
      }
      if (!this.#isUnreachable) onProblem(`the membership store is not reached: ${textOf(error)}`);
      this.#isUnreachable = true;
      this.#keepAliveAfter(backoff.nextMs(), backoff);
    }
  }

  #lookForMyself({ members, changedAt }: View): void {
    if (!this.#lease || changedAt < this.#lease.incarnation) return;
    const { nodeId, incarnation } = this.#lease;
    const self = members.find((member) => member.nodeId === nodeId);
    if (self?.incarnation === incarnation) return;
    this.#lose(self ? `node ${nodeId} was registered anew by another process` : `node ${nodeId} is no longer a member`);
  }

  #lose(reason: string): void {
    if (this.#lostReason !== undefined) return;
    this.#lostReason = reason;
    this.#cancelKeepAlive?.();
    for (const listener of [...this.#lostListeners]) {
      try {
        listener(reason);
      } catch (error) {
        this.#settings.onProblem(`a listener of the lost lease failed: ${textOf(error)}`);
      }
    }
  }
}

const keepAliveBackoff = ({ random }: MembershipSettings): Backoff =>
  new Backoff(KEEP_ALIVE_AGAIN_FIRST_MS, KEEP_ALIVE_AGAIN_LAST_MS, random);
