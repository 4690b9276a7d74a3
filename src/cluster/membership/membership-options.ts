import type { Clock } from '../../protocol/clock.ts';
import type { MembershipStore } from './membership-store.ts';

export interface MembershipOptions {
  readonly store: MembershipStore;
  readonly clock: Clock;
  /** Prefix of the cluster's keys; several clusters may share a store. */
  readonly cluster: string;
  /** Of the cluster this disk has joined; undefined on one that has joined none. */
  readonly clusterUid: string | undefined;
  /** Taken by a cluster that has no uid yet: anything that nobody else draws. */
  readonly newClusterUid: string;
  /** Text of what all members must agree in; the first member's is the cluster's. */
  readonly config: string;
  /** A chance from 0 to 1, for waits between tries. */
  readonly random?: () => number;
  /** What went wrong and is tried again: a change of state, not each try. */
  readonly onProblem?: (text: string) => void;
  /** After that time without a keep-alive the node is gone for others (30 s). */
  readonly ttlMs?: number;
  readonly keepAliveMs?: number;
  /** So long before the lease ends the node stops acknowledging: what its clock, its event loop and replies under way may lose (5 s). */
  readonly fenceMarginMs?: number;
  /** Of one call of the store; what is asked of `Membership` with a deadline makes several (2 s). */
  readonly callDeadlineMs?: number;
  /** A watch that stays behind a keep-alive's revision for so long counts as silent (2 s). */
  readonly watchSilentMs?: number;
  /** Of `register`, `become`, `setWeight` and `leave` in all (20 s). */
  readonly changeDeadlineMs?: number;
}

export type MembershipSettings = Required<MembershipOptions> & { readonly clusterUid: string | undefined };

export const membershipSettings = (options: MembershipOptions): MembershipSettings => ({
  random: Math.random,
  onProblem: () => undefined,
  ttlMs: 30_000,
  keepAliveMs: 5_000,
  fenceMarginMs: 5_000,
  callDeadlineMs: 2_000,
  watchSilentMs: 2_000,
  changeDeadlineMs: 20_000,
  ...options,
});
