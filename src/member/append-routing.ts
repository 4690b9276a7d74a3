/**
 * Where the entries of this node's pushes go: to the owner of each stream, in one message per node; to the next of the preference list where
 * that does not take them. Any member that takes them will do: who has a stream's entries gives them to its owner (handover).
 */
import type { AppendRouter, StreamAppend } from '../actors/append-router.ts';
import { settled } from '../actors/ask.ts';
import type { AppendOutcome } from '../actors/stream-state.ts';
import type { Ring } from '../cluster/ring.ts';
import { streamKey } from '../cluster/stream-key.ts';
import { PeerError, type Peers } from '../cluster/transport/peers.ts';
import type { Member } from '../cluster/view.ts';
import { type AppendPlan, planAppend } from '../log/append-record.ts';
import type { Clock } from '../protocol/clock.ts';
import { lineBytesOf } from '../protocol/push-validation.ts';
import { type Refusal, RefusedError } from '../protocol/refusal.ts';
import { releaseMemory } from '../protocol/release-memory.ts';
import { decodeAppendReply, encodeAppendRequest } from './append-message.ts';
import { CallKind } from './call-kinds.ts';

export interface AppendRoutingDeps {
  readonly clock: Clock;
  readonly peers: Peers;
  readonly ring: () => Ring;
  readonly ringDigest: () => number;
  /** The view's revision: goes with each message. */
  readonly changedAt: () => number;
  readonly nodeId: string;
  /** Why this node may not acknowledge anything now: its lease is nearly over. */
  readonly fence: () => Refusal | undefined;
  /**
   * To actors of this node, whatever the ring says. An outcome for each, in order.
   * @throws RefusedError STORAGE_UNAVAILABLE if this node takes nothing
   */
  readonly appendHere: (tenant: string, appends: readonly StreamAppend[]) => Promise<readonly AppendOutcome[]>;
  /** Something was taken that may belong to another node. */
  readonly look: () => void;
  /** Another node knows of a later view. */
  readonly sawView: (changedAt: number) => void;
}

export interface RoutingFigures {
  /** Streams of pushes, by where they went. */
  readonly forwarded: number;
  /** Not to the first choice. */
  readonly fallbacks: number;
  readonly failed: number;
}

/** One node has so long; then the next is asked. */
const ATTEMPT_MS = 2_000;
/** All attempts. */
const DEADLINE_MS = 8_000;
/** Line and column bytes in one message: a transfer of more would hold up those behind it. */
const MESSAGE_BYTES_MAX = 2 << 20;
/** Nodes asked before any other ACTIVE one. */
const PREFERRED = 3;

export class AppendRouting implements AppendRouter {
  readonly #deps: AppendRoutingDeps;
  #figures = { forwarded: 0, fallbacks: 0, failed: 0 };

  constructor(deps: AppendRoutingDeps) {
    this.#deps = deps;
  }

  get figures(): RoutingFigures {
    return { ...this.#figures };
  }

  keyOf(tenant: string, canonical: string): number {
    return streamKey(tenant, canonical);
  }

  isHere(key: number): boolean {
    return this.#deps.ring().owner(key)?.nodeId === this.#deps.nodeId;
  }

  get memberCount(): number {
    return Math.max(1, this.#deps.ring().members.length);
  }

  get places(): object {
    return this.#deps.ring();
  }

  taken(places: object): void {
    if (places !== this.#deps.ring()) this.#deps.look();
  }

  refusal(): Refusal | undefined {
    const { fence, ring } = this.#deps;
    if (ring().members.length === 0) return noMember();
    return fence();
  }

  async append(tenant: string, appends: readonly StreamAppend[]): Promise<readonly AppendOutcome[]> {
    const deadlineMs = this.#deps.clock.monotonicMs() + DEADLINE_MS;
    return await this.#appendTo(tenant, appends.map(trailOf), deadlineMs);
  }

  /** Each to the first node that it was not offered to yet. */
  async #appendTo(tenant: string, trails: readonly Trail[], deadlineMs: number): Promise<readonly AppendOutcome[]> {
    const groups = new Map<Member | undefined, Trail[]>();
    for (const trail of trails) {
      const next = this.#nextOf(trail);
      const group = groups.get(next) ?? [];
      group.push(trail);
      groups.set(next, group);
    }
    const work = [...groups].flatMap(([member, group]) =>
      member && this.#deps.clock.monotonicMs() < deadlineMs
        ? messagesOf(group).map((message) => this.#offer(tenant, member, message, deadlineMs))
        : [Promise.resolve(this.#nobody(group))],
    );
    return (await settled(work)).flat();
  }

  #nextOf({ append, offered }: Trail): Member | undefined {
    const ring = this.#deps.ring();
    if (offered.length === 0) return ring.owner(append.key);
    const isNew = ({ nodeId }: Member): boolean => !offered.includes(nodeId);
    return ring.preference(append.key, PREFERRED).find(isNew) ?? ring.members.find(isNew);
  }

  async #offer(
    tenant: string,
    member: Member,
    trails: readonly Trail[],
    deadlineMs: number,
  ): Promise<readonly AppendOutcome[]> {
    const isFirst = trails[0]?.offered.length === 0;
    if (!isFirst) this.#figures.fallbacks += trails.length;
    const { nodeId, clock, appendHere } = this.#deps;
    for (const { offered } of trails) offered.push(member.nodeId);
    let outcomes: readonly AppendOutcome[];
    try {
      const leftMs = Math.min(ATTEMPT_MS, deadlineMs - clock.monotonicMs());
      outcomes =
        member.nodeId === nodeId
          ? await appendHere(
              tenant,
              trails.map(({ append }) => append),
            )
          : await this.#forward(tenant, member, trails, !isFirst, leftMs);
    } catch (error) {
      const overload = overloadOf(error);
      // Whoever has too much to do is not helped by others who get it as well, and who give it to him later.
      if (overload) return trails.map(({ append }) => refused(append, 'NOT_LOGGED', overload));
      if (!isElsewhere(error)) throw error;
      for (const trail of trails) trail.reason = error.message;
      return await this.#appendTo(tenant, trails, deadlineMs);
    }
    return await this.#offerRest(tenant, trails, outcomes, deadlineMs);
  }

  /** What a node took and could not log is offered to the next. */
  async #offerRest(
    tenant: string,
    trails: readonly Trail[],
    outcomes: readonly AppendOutcome[],
    deadlineMs: number,
  ): Promise<readonly AppendOutcome[]> {
    const taken: AppendOutcome[] = [];
    const rest: Trail[] = [];
    for (const [index, outcome] of outcomes.entries()) {
      const trail = trails[index] as Trail;
      if (outcome.refusal?.code !== 'NOT_LOGGED') {
        taken.push(outcome);
        continue;
      }
      trail.reason = outcome.refusal.text;
      rest.push(trail);
    }
    return rest.length === 0 ? taken : [...taken, ...(await this.#appendTo(tenant, rest, deadlineMs))];
  }

  async #forward(
    tenant: string,
    member: Member,
    trails: readonly Trail[],
    isFallback: boolean,
    deadlineMs: number,
  ): Promise<readonly AppendOutcome[]> {
    const { peers, changedAt, ringDigest, sawView } = this.#deps;
    const header = { changedAt: changedAt(), tenant, isFallback, ringDigest: ringDigest() };
    const streams = trails.map(({ append: { canonical }, plans }) => ({ canonical, plans }));
    const body = encodeAppendRequest(header, streams);
    const reply = decodeAppendReply(
      await peers.request(member, CallKind.APPEND, [body], { deadlineMs, class: 'append' }),
    );
    if (reply.outcomes.length !== trails.length) {
      throw new PeerError(
        'UNKNOWN',
        `${member.nodeId} answered for ${reply.outcomes.length} of ${trails.length} streams`,
      );
    }
    // It was sent, whole: nobody reads it again.
    releaseMemory(body);
    sawView(reply.changedAt);
    this.#figures.forwarded += trails.length;
    return reply.outcomes;
  }

  #nobody(trails: readonly Trail[]): readonly AppendOutcome[] {
    this.#figures.failed += trails.length;
    return trails.map(({ append, reason }) => {
      const text = `no node of the cluster took the entries, try again later${reason ? `: ${reason}` : ''}`;
      return refused(append, 'NOT_LOGGED', text);
    });
  }
}

/** A stream's entries and the nodes that they were offered to. */
interface Trail {
  readonly append: StreamAppend;
  readonly offered: string[];
  /** How the ranges lie in a message. */
  readonly plans: readonly AppendPlan[];
  readonly bytes: number;
  /** Why the last of them did not take them. */
  reason: string | undefined;
}

const trailOf = (append: StreamAppend): Trail => {
  const plans = append.ranges.map(planAppend);
  return { append, offered: [], plans, bytes: plans.reduce((sum, { length }) => sum + length, 0), reason: undefined };
};

/** In messages of a bounded size; what a single stream has more is sent all the same: a push has a limit of its own. */
const messagesOf = (trails: readonly Trail[]): readonly (readonly Trail[])[] => {
  const messages: Trail[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const trail of trails) {
    if (bytes + trail.bytes > MESSAGE_BYTES_MAX) {
      messages.push([]);
      bytes = 0;
    }
    bytes += trail.bytes;
    messages.at(-1)?.push(trail);
  }
  return messages;
};

/** Of a node: the next may do better. */
const isElsewhere = (error: unknown): error is Error =>
  error instanceof PeerError || (error instanceof RefusedError && error.refusal.code === 'STORAGE_UNAVAILABLE');

const overloadOf = (error: unknown): string | undefined => {
  if (!(error instanceof PeerError)) return undefined;
  if (error.code === 'OVERLOADED') return 'the node that writes the stream has too much to do, try again later';
  return error.refusal?.code === 'OVERLOADED' ? error.refusal.text : undefined;
};

const refused = ({ ranges }: StreamAppend, code: 'NOT_LOGGED', text: string): AppendOutcome => ({
  acceptedLines: 0,
  acceptedBytes: 0,
  refusal: {
    code,
    text,
    lines: ranges.reduce((lines, { first, end }) => lines + end - first, 0),
    bytes: ranges.reduce((bytes, range) => bytes + (range.lineBytes ?? lineBytesOf(range)), 0),
  },
});

const noMember = (): Refusal => ({
  code: 'OVERLOADED',
  text: 'no node of the cluster takes entries now, try again later',
  retryAfterMs: 1000,
});
