import { setMaxListeners } from 'node:events';
import type { StreamMemory } from '../actors/memory-source.ts';
import {
  isLogged,
  type SegmentId,
  type SegmentSnapshot,
  segmentName,
  type UnflushedSegment,
} from '../chunk/memory-format.ts';
import { decodeSnapshots } from '../chunk/snapshot-codec.ts';
import { PeerError, type Peers } from '../cluster/transport/peers.ts';
import type { Member, View } from '../cluster/view.ts';
import type { Clock } from '../protocol/clock.ts';
import type { LabelSet } from '../protocol/label-set.ts';
import { parseLabelText } from '../protocol/label-text.ts';
import type { LabelMatcher } from '../protocol/matcher.ts';
import { RefusedError } from '../protocol/refusal.ts';
import type { TimeRangeNs } from '../protocol/time-range.ts';
import type { MemorySource, MemoryStream } from '../query/query-source.ts';
import { CallKind } from './call-kinds.ts';
import type { RemoteSegment } from './remote-segment.ts';
import {
  decodeLabelSets,
  decodeSelection,
  encodeLoadRequest,
  encodeSelectRequest,
  type SelectedStream,
} from './selection-message.ts';

export interface ClusterMemoryDeps {
  readonly clock: Clock;
  readonly peers: Peers;
  readonly nodeId: string;
  readonly local: StreamMemory;
  /** Read from the membership store after it was asked for. @throws when the store does not answer in time */
  readonly freshView: (deadlineMs: number) => Promise<View>;
}

/** A member that does not answer is asked again for so long, with a view of its own each time: it may just have been replaced. */
const SELECT_MS = 3_000;
const ANSWER_MS = 2_000;
const LOAD_MS = 10_000;
const RETRY_MS = 50;
const ALWAYS: TimeRangeNs = { startNs: -(2n ** 63n), endNs: 2n ** 63n - 1n };

/**
 * What all members hold and the store does not have yet. All or nothing: a member that cannot be asked, or one that left without handing over
 * what is on its disk, may hold entries that are nowhere else, and an answer without them would be silently short.
 */
export class ClusterMemory implements MemorySource {
  readonly #deps: ClusterMemoryDeps;
  #lastSelection = 0;

  constructor(deps: ClusterMemoryDeps) {
    this.#deps = deps;
  }

  /** @throws RefusedError INVALID_QUERY; STORAGE_UNAVAILABLE if a member cannot be asked */
  async select(
    tenant: string,
    matchers: readonly LabelMatcher[],
    range: TimeRangeNs,
    signal: AbortSignal,
    onMissing?: (reason: string) => void,
  ): Promise<readonly MemoryStream[]> {
    const ask = async (member: Member, changedAt: number, round: AbortSignal): Promise<readonly MemoryStream[]> =>
      member.nodeId === this.#deps.nodeId
        ? await this.#deps.local.select(tenant, matchers, range)
        : await this.#selectAt(member, changedAt, tenant, matchers, range, round);
    return unite(await this.#ofAllMembers(signal, ask, onMissing));
  }

  async labelSets(tenant: string, matchers: readonly LabelMatcher[], range: TimeRangeNs): Promise<readonly LabelSet[]> {
    const { signal } = new AbortController();
    const all = await this.#ofAllMembers(signal, async (member, changedAt) =>
      member.nodeId === this.#deps.nodeId
        ? await this.#deps.local.labelSets(tenant, matchers, range)
        : await this.#labelSetsAt(member, changedAt, tenant, matchers, range),
    );
    return [...new Map(all.flat().map((labels) => [labels.canonical, labels])).values()];
  }

  /** What each member holds of the streams, whenever it is from. */
  async holders(
    tenant: string,
    matchers: readonly LabelMatcher[],
  ): Promise<readonly { readonly nodeId: string; readonly held: readonly MemoryStream[] }[]> {
    const call = new AbortController();
    try {
      return await this.#ofAllMembers(call.signal, async (member, changedAt, round) => ({
        nodeId: member.nodeId,
        held:
          member.nodeId === this.#deps.nodeId
            ? await this.#deps.local.select(tenant, matchers, ALWAYS)
            : await this.#selectAt(member, changedAt, tenant, matchers, ALWAYS, round),
      }));
    } finally {
      call.abort();
    }
  }

  /** Of this node's streams only. */
  subscribe(tenant: string, matchers: readonly LabelMatcher[], onAppend: (stream: MemoryStream) => void): () => void {
    return this.#deps.local.subscribe(tenant, matchers, onAppend);
  }

  /**
   * Answers of all members of one view; with `onMissing` of those that can be asked. What members keep for a question goes when the asker is done
   * with it, or asks all of them anew: the end of its round.
   */
  async #ofAllMembers<Answer>(
    signal: AbortSignal,
    ask: Ask<Answer>,
    onMissing?: (reason: string) => void,
  ): Promise<readonly Answer[]> {
    const { clock } = this.#deps;
    const deadlineMs = clock.monotonicMs() + SELECT_MS;
    for (;;) {
      const round = roundOf(signal);
      const { answers, missing, mayChange } = await this.#askOnce(ask, round.signal);
      const [first] = missing;
      if (!first) return answers;
      if (signal.aborted || clock.monotonicMs() >= deadlineMs || (onMissing && !mayChange)) {
        if (!onMissing) throw first;
        for (const { message } of missing) onMissing(message);
        return answers;
      }
      round.end();
      await new Promise<void>((resolve) => clock.after(RETRY_MS, resolve));
    }
  }

  async #askOnce<Answer>(ask: Ask<Answer>, round: AbortSignal): Promise<AnswersOfView<Answer>> {
    const view = await this.#deps.freshView(ANSWER_MS).catch((error: unknown) => {
      throw unavailable('the members of the cluster cannot be read', error);
    });
    const outcomes = await Promise.allSettled(view.members.map((member) => ask(member, view.changedAt, round)));
    const answers: Answer[] = [];
    const missing = missingDisks(view);
    const goneDisks = missing.length;
    for (const outcome of outcomes) {
      if (outcome.status === 'fulfilled') answers.push(outcome.value);
      else if (outcome.reason instanceof PeerError) missing.push(unavailableMember(outcome.reason));
      else throw outcome.reason;
    }
    return { answers, missing, mayChange: missing.length > goneDisks };
  }

  async #selectAt(
    member: Member,
    changedAt: number,
    tenant: string,
    matchers: readonly LabelMatcher[],
    range: TimeRangeNs,
    signal: AbortSignal,
  ): Promise<readonly MemoryStream[]> {
    const { peers } = this.#deps;
    this.#lastSelection += 1;
    const selection = this.#lastSelection;
    const request = encodeSelectRequest({ changedAt, tenant, matchers, range, selection });
    const call = new AbortController();
    const end = (): void => call.abort();
    signal.addEventListener('abort', end, { once: true });
    const options = { deadlineMs: ANSWER_MS, class: 'query' as const, signal: call.signal };
    const answers = peers.stream(member, CallKind.SELECT, [request], options)[Symbol.asyncIterator]();
    const streams: MemoryStream[] = [];
    let isNeeded = false;
    try {
      for (let isLast = false; !isLast; ) {
        const { done, value } = await answers.next();
        if (done) throw new PeerError('UNKNOWN', `${member.nodeId} ended its answer too soon`);
        const answer = decodeSelection(value);
        isLast = answer.isLast;
        for (const stream of answer.streams) streams.push(this.#streamOf(stream, member, selection));
      }
      // The other side keeps what is deferred for as long as the call goes on.
      isNeeded = streams.some(({ segments }) => segments.some(isLogged));
      return streams;
    } finally {
      if (!isNeeded) {
        signal.removeEventListener('abort', end);
        end();
      }
    }
  }

  #streamOf({ labelText, snapshots, deferred }: SelectedStream, member: Member, selection: number): MemoryStream {
    const { nodeId } = member;
    const segments = deferred.map(({ place, ...segment }): RemoteSegment => {
      const at = { nodeId, selection, place };
      return { ...segment, at, load: () => this.#load(member, at, segment.id) };
    });
    return { labels: parseLabelText(labelText), segments: [...segments, ...snapshots] };
  }

  async #load(member: Member, { selection, place }: RemoteSegment['at'], id: SegmentId): Promise<SegmentSnapshot> {
    const { peers } = this.#deps;
    try {
      const options = { deadlineMs: LOAD_MS, class: 'query' as const };
      const [snapshot] = decodeSnapshots(
        await peers.request(member, CallKind.LOAD, [encodeLoadRequest(selection, place)], options),
      );
      if (!snapshot) throw new PeerError('UNKNOWN', `${member.nodeId} sent nothing for segment ${segmentName(id)}`);
      return snapshot;
    } catch (error) {
      throw error instanceof PeerError ? unavailableMember(error) : error;
    }
  }

  async #labelSetsAt(
    member: Member,
    changedAt: number,
    tenant: string,
    matchers: readonly LabelMatcher[],
    range: TimeRangeNs,
  ): Promise<readonly LabelSet[]> {
    const request = encodeSelectRequest({ changedAt, tenant, matchers, range, selection: 0 });
    const options = { deadlineMs: ANSWER_MS, class: 'query' as const };
    const labelSets: LabelSet[] = [];
    for await (const message of this.#deps.peers.stream(member, CallKind.LABEL_SETS, [request], options)) {
      const { labelTexts, isLast } = decodeLabelSets(message);
      for (const text of labelTexts) labelSets.push(parseLabelText(text));
      if (isLast) return labelSets;
    }
    throw new PeerError('UNKNOWN', `${member.nodeId} ended its answer too soon`);
  }
}

type Ask<Answer> = (member: Member, changedAt: number, round: AbortSignal) => Promise<Answer>;

const roundOf = (signal: AbortSignal): { readonly signal: AbortSignal; end(): void } => {
  const round = new AbortController();
  // One for each member.
  setMaxListeners(0, round.signal);
  const end = (): void => {
    signal.removeEventListener('abort', end);
    round.abort();
  };
  if (signal.aborted) round.abort();
  else signal.addEventListener('abort', end, { once: true });
  return { signal: round.signal, end };
};

/** Streams by their labels, segments by their names: one that moves is held twice for a while. What is at hand goes before what must be loaded. */
const unite = (answers: readonly (readonly MemoryStream[])[]): readonly MemoryStream[] => {
  const streams = new Map<string, { readonly labels: LabelSet; readonly segments: Map<string, UnflushedSegment> }>();
  for (const { labels, segments } of answers.flat()) {
    const known = streams.get(labels.canonical) ?? { labels, segments: new Map<string, UnflushedSegment>() };
    streams.set(labels.canonical, known);
    for (const segment of segments) {
      const name = segmentName(segment.id);
      const other = known.segments.get(name);
      if (!other || (isLogged(other) && !isLogged(segment))) known.segments.set(name, segment);
    }
  }
  return [...streams.values()].map(({ labels, segments }) => ({ labels, segments: [...segments.values()] }));
};

interface AnswersOfView<Answer> {
  readonly answers: readonly Answer[];
  /** What was not asked, and why. */
  readonly missing: readonly RefusedError[];
  /** A member did not answer: it may the next time. */
  readonly mayChange: boolean;
}

/** Disks that left with what is on them. */
const missingDisks = ({ members, roster }: View): RefusedError[] =>
  roster
    .filter(({ nodeId, diskId }) => !members.some((one) => one.nodeId === nodeId && one.diskId === diskId))
    .map(({ nodeId }) =>
      unavailable(
        `node ${nodeId} is gone, and what it had not stored yet is on its disk: start it again, or tell the cluster that its disk is lost`,
        undefined,
      ),
    );

const unavailableMember = (error: unknown): RefusedError =>
  unavailable(`not all members could be asked for what is not stored yet: ${(error as Error).message}`, error);

const unavailable = (text: string, cause: unknown): RefusedError =>
  new RefusedError({ code: 'STORAGE_UNAVAILABLE', text }, { cause });
