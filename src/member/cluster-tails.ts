import type { StreamMemory } from '../actors/memory-source.ts';
import { PeerError, type Peers } from '../cluster/transport/peers.ts';
import type { Member, View } from '../cluster/view.ts';
import type { Clock } from '../protocol/clock.ts';
import type { LabelMatcher } from '../protocol/matcher.ts';
import { paused } from '../protocol/paused.ts';
import { RefusedError } from '../protocol/refusal.ts';
import type { TailListener } from '../query/tail-listener.ts';
import { CallKind } from './call-kinds.ts';
import { encodeSelectRequest } from './selection-message.ts';
import { decodeTailPart } from './tail-message.ts';

export interface ClusterTailsDeps {
  readonly clock: Clock;
  readonly peers: Pick<Peers, 'stream'>;
  readonly nodeId: string;
  readonly local: Pick<StreamMemory, 'subscribe'>;
  readonly view: () => View;
  /** Told of every view; gives what ends that. */
  readonly onView: (listener: (view: View) => void) => () => void;
  readonly report: (problem: string, error: unknown) => void;
}

/** A node tells something every second: one that does not for so long is asked anew. */
const SILENCE_MS = 5_000;
const RETRY_FIRST_MS = 100;
const RETRY_LAST_MS = 5_000;
/** For so long others may have pushed to a new member before this node heard of it: chosen, a keep-alive of the membership store and more. */
const NEWS_MS = 10_000;
const NO_TIME = { startNs: 0n, endNs: 0n };

/**
 * What is appended at any member, as it comes. A stream that moves is told of by whoever appends to it, so every member is listened to for as
 * long as it is one, and whatever it has. What may have been appended while one was not is reported as missed: it can be looked up.
 */
export class ClusterTails {
  readonly #deps: ClusterTailsDeps;

  constructor(deps: ClusterTailsDeps) {
    this.#deps = deps;
  }

  /** @throws RefusedError INVALID_QUERY for a regex that does not parse */
  subscribe(tenant: string, matchers: readonly LabelMatcher[], listener: TailListener): () => void {
    const { local, view, onView, nodeId } = this.#deps;
    const unsubscribe = local.subscribe(tenant, matchers, listener);
    const followed = new Map<string, AbortController>();
    const question = encodeSelectRequest({ changedAt: 0, tenant, matchers, range: NO_TIME, selection: 0 });
    const look = ({ members }: View): void => {
      const there = new Map(members.map((member) => [`${member.nodeId}/${member.incarnation}`, member]));
      for (const [process, stop] of followed) {
        if (there.has(process)) continue;
        stop.abort();
        followed.delete(process);
      }
      for (const [process, member] of there) {
        if (member.nodeId === nodeId || followed.has(process)) continue;
        const stop = new AbortController();
        followed.set(process, stop);
        void this.#follow(member, question, listener, stop.signal);
      }
    };
    const unview = onView(look);
    look(view());
    return () => {
      unview();
      unsubscribe();
      for (const stop of followed.values()) stop.abort();
    };
  }

  /** Asks again for as long as it is a member. */
  async #follow(member: Member, question: Uint8Array, listener: TailListener, signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps;
    const heard: Heard = { lastMs: clock.nowMs() - NEWS_MS };
    let retryMs = RETRY_FIRST_MS;
    while (!signal.aborted) {
      const before = heard.lastMs;
      try {
        await this.#hear(member, question, listener, signal, heard);
      } catch (error) {
        const isExpected = error instanceof PeerError || error instanceof RefusedError;
        if (!isExpected) this.#deps.report('a tail could not read what another node told', error);
      }
      retryMs = heard.lastMs > before ? RETRY_FIRST_MS : Math.min(2 * retryMs, RETRY_LAST_MS);
      await paused(clock, retryMs, signal);
    }
  }

  /** @throws PeerError once it is not heard any more; RefusedError for what cannot be read */
  async #hear(
    member: Member,
    question: Uint8Array,
    listener: TailListener,
    signal: AbortSignal,
    heard: Heard,
  ): Promise<void> {
    const { clock, peers } = this.#deps;
    const options = { deadlineMs: SILENCE_MS, class: 'query' as const, signal };
    let isHeard = false;
    for await (const message of peers.stream(member, CallKind.TAIL, [question], options)) {
      if (signal.aborted) return;
      const { streams, dropped } = decodeTailPart(message);
      if (!isHeard) listener.missed(heard.lastMs);
      isHeard = true;
      for (const stream of streams) listener.appended(stream);
      if (dropped.length > 0) listener.dropped(dropped);
      // What it was about to tell may be as old as the pause between two answers.
      heard.lastMs = clock.nowMs() - SILENCE_MS;
    }
  }
}

/** Until when all that a member appended is known, by this node's clock in ms. */
interface Heard {
  lastMs: number;
}
