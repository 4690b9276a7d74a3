import { setMaxListeners } from 'node:events';
import type { StreamMemory } from '../actors/memory-source.ts';
import { isLogged, type SegmentId, type SegmentSnapshot, segmentName } from '../chunk/memory-format.ts';
import { decodeSnapshots } from '../chunk/snapshot-codec.ts';
import { PeerError, type Peers } from '../cluster/transport/peers.ts';
import { type Member, missingDisks, type RosterEntry, type View } from '../cluster/view.ts';
import { ABORTED } from '../protocol/aborted.ts';
import type { Clock } from '../protocol/clock.ts';
import type { LabelSet } from '../protocol/label-set.ts';
import { parseLabelText } from '../protocol/label-text.ts';
import type { LabelMatcher } from '../protocol/matcher.ts';
import { RefusedError } from '../protocol/refusal.ts';
import type { TimeRangeNs } from '../protocol/time-range.ts';
import type { MemorySource, MemoryStream } from '../query/query-source.ts';
import type { HeldVolume } from '../query/stream-volume.ts';
import type { TailListener } from '../query/tail-listener.ts';
import { CallKind } from './call-kinds.ts';
import type { ClusterTails } from './cluster-tails.ts';
import type { RemoteSegment } from './remote-segment.ts';
import {
  decodeLabelSets,
  decodeSelection,
  encodeLoadRequest,
  encodeSelectRequest,
  type SelectedStream,
} from './selection-message.ts';
import { uniteLabelSets, uniteStreams, uniteVolumes } from './unite-answers.ts';
import { decodeVolumes } from './volumes-message.ts';

export interface ClusterMemoryDeps {
  readonly clock: Clock;
  readonly peers: Peers;
  readonly nodeId: string;
  readonly local: StreamMemory;
  readonly tails: Pick<ClusterTails, 'subscribe'>;
  /** Read from the membership store after it was asked for. @throws when the store does not answer in time */
  readonly freshView: (deadlineMs: number) => Promise<View>;
}

/**
 * A member that does not answer is asked again for so long, with a view of its own each time: it may just have been replaced. A disk that is
 * missing is waited for as long: its node may just start again.
 */
const SELECT_MS = 3_000;
const ANSWER_MS = 2_000;
const LOAD_MS = 10_000;
const RETRY_FIRST_MS = 50;
const RETRY_LAST_MS = 500;
const ALWAYS: TimeRangeNs = { startNs: -(2n ** 63n), endNs: 2n ** 63n - 1n };

/**
 * What all members hold and the store does not have yet. All or nothing: a member that cannot be asked, or one that left without handing over
 * what is on its disk, may hold entries that are nowhere else, and an answer without them would be silently short.
 */
export class ClusterMemory implements MemorySource {
  readonly #deps: ClusterMemoryDeps;
  #lastSelection = 0;
  /** Of answers by later views than the one they were asked by: a view that is read from now on has all up to this revision. */
  #knownThrough = 0;

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
    const ask = async (member: Member, asker: Asker): Promise<readonly MemoryStream[]> =>
      member.nodeId === this.#deps.nodeId
        ? await this.#deps.local.select(tenant, matchers, range)
        : await this.#selectAt(member, asker, tenant, matchers, range);
    return await uniteStreams(this.#deps.clock, await this.#ofAllMembers(signal, ask, onMissing));
  }

  async labelSets(tenant: string, matchers: readonly LabelMatcher[], range: TimeRangeNs): Promise<readonly LabelSet[]> {
    const call = new AbortController();
    try {
      const all = await this.#ofAllMembers(call.signal, async (member, asker) =>
        member.nodeId === this.#deps.nodeId
          ? await this.#deps.local.labelSets(tenant, matchers, range)
          : await this.#labelSetsAt(member, asker, tenant, matchers, range),
      );
      return await uniteLabelSets(this.#deps.clock, all);
    } finally {
      call.abort(ABORTED);
    }
  }

  /** @throws RefusedError as `select` */
  async volumes(tenant: string, matchers: readonly LabelMatcher[], range: TimeRangeNs): Promise<readonly HeldVolume[]> {
    const call = new AbortController();
    try {
      const all = await this.#ofAllMembers(call.signal, async (member, asker) =>
        member.nodeId === this.#deps.nodeId
          ? await this.#deps.local.volumes(tenant, matchers, range)
          : await this.#volumesAt(member, asker, tenant, matchers, range),
      );
      return await uniteVolumes(this.#deps.clock, all);
    } finally {
      call.abort(ABORTED);
    }
  }

  /** What each member holds of the streams, whenever it is from. */
  async holders(
    tenant: string,
    matchers: readonly LabelMatcher[],
  ): Promise<readonly { readonly nodeId: string; readonly held: readonly MemoryStream[] }[]> {
    const call = new AbortController();
    try {
      return await this.#ofAllMembers(call.signal, async (member, asker) => ({
        nodeId: member.nodeId,
        held:
          member.nodeId === this.#deps.nodeId
            ? await this.#deps.local.select(tenant, matchers, ALWAYS)
            : await this.#selectAt(member, asker, tenant, matchers, ALWAYS),
      }));
    } finally {
      call.abort(ABORTED);
    }
  }

  /** What is appended at any member. */
  subscribe(tenant: string, matchers: readonly LabelMatcher[], listener: TailListener): () => void {
    return this.#deps.tails.subscribe(tenant, matchers, listener);
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
    for (let retryMs = RETRY_FIRST_MS; ; retryMs = Math.min(2 * retryMs, RETRY_LAST_MS)) {
      const { answers, gone, failed, end } = await this.#round(signal, ask, onMissing !== undefined);
      const missing = [...gone, ...failed];
      const isOver = clock.monotonicMs() >= deadlineMs;
      const [first] = missing;
      if (!first || (onMissing && (isOver || failed.length === 0))) {
        for (const { message } of missing) onMissing?.(message);
        return answers;
      }
      end();
      if (isOver) throw first;
      await new Promise<void>((resolve) => clock.after(retryMs, resolve));
    }
  }

  /** @throws RefusedError CANCELLED, with nothing left open, if nobody waits for it any more */
  async #round<Answer>(signal: AbortSignal, ask: Ask<Answer>, isPartial: boolean): Promise<Round<Answer>> {
    const knownThrough = this.#knownThrough;
    const view = await this.#freshView();
    if (signal.aborted) throw cancelled();
    const gone = missingDisks(view).map(unavailableDisk);
    // There is no whole answer then, whatever the members say: nobody is asked.
    if (gone.length > 0 && !isPartial) return { answers: [], gone, failed: [], end: () => undefined };
    const round = roundOf(signal);
    try {
      const asked = await this.#askAll(view, knownThrough, ask, round.signal);
      if (signal.aborted) throw cancelled();
      return { ...asked, gone, end: round.end };
    } catch (error) {
      round.end();
      throw error;
    }
  }

  async #freshView(): Promise<View> {
    return await this.#deps.freshView(ANSWER_MS).catch((error: unknown) => {
      throw unavailable('the members of the cluster cannot be read', error);
    });
  }

  /** `knownThrough`: the view is at least as new as this one, whatever it says of itself. */
  async #askAll<Answer>(
    view: View,
    knownThrough: number,
    ask: Ask<Answer>,
    round: AbortSignal,
  ): Promise<Pick<Round<Answer>, 'answers' | 'failed'>> {
    let latest = 0;
    const saw = (changedAt: number): void => {
      latest = Math.max(latest, changedAt);
    };
    const asker = { changedAt: view.changedAt, saw, signal: round };
    const outcomes = await Promise.allSettled(view.members.map((member) => ask(member, asker)));
    const answers: Answer[] = [];
    const failed: RefusedError[] = [];
    for (const outcome of outcomes) {
      if (outcome.status === 'fulfilled') answers.push(outcome.value);
      else if (outcome.reason instanceof PeerError) failed.push(unavailableMember(outcome.reason));
      else throw outcome.reason;
    }
    if (latest > Math.max(view.changedAt, knownThrough)) {
      // One who answers by a later view may have given away what it had to a node that was not asked.
      if (!haveSameMembers(view, await this.#freshView())) failed.push(membersChanged());
      else this.#knownThrough = Math.max(this.#knownThrough, latest);
    }
    return { answers, failed };
  }

  async #selectAt(
    member: Member,
    { changedAt, saw, signal }: Asker,
    tenant: string,
    matchers: readonly LabelMatcher[],
    range: TimeRangeNs,
  ): Promise<readonly MemoryStream[]> {
    // A listener would not hear of what was before.
    if (signal.aborted) throw cancelled();
    const { peers } = this.#deps;
    this.#lastSelection += 1;
    const selection = this.#lastSelection;
    const request = encodeSelectRequest({ changedAt, tenant, matchers, range, selection });
    const call = new AbortController();
    const end = (): void => call.abort(ABORTED);
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
        saw(answer.changedAt);
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
    { changedAt, saw, signal }: Asker,
    tenant: string,
    matchers: readonly LabelMatcher[],
    range: TimeRangeNs,
  ): Promise<readonly LabelSet[]> {
    const request = encodeSelectRequest({ changedAt, tenant, matchers, range, selection: 0 });
    const options = { deadlineMs: ANSWER_MS, class: 'query' as const, signal };
    const labelSets: LabelSet[] = [];
    for await (const message of this.#deps.peers.stream(member, CallKind.LABEL_SETS, [request], options)) {
      const { changedAt: theirs, labelTexts, isLast } = decodeLabelSets(message);
      saw(theirs);
      for (const text of labelTexts) labelSets.push(parseLabelText(text));
      if (isLast) return labelSets;
    }
    throw new PeerError('UNKNOWN', `${member.nodeId} ended its answer too soon`);
  }

  async #volumesAt(
    member: Member,
    { changedAt, saw, signal }: Asker,
    tenant: string,
    matchers: readonly LabelMatcher[],
    range: TimeRangeNs,
  ): Promise<readonly HeldVolume[]> {
    const request = encodeSelectRequest({ changedAt, tenant, matchers, range, selection: 0 });
    const options = { deadlineMs: ANSWER_MS, class: 'query' as const, signal };
    const volumes: HeldVolume[] = [];
    for await (const message of this.#deps.peers.stream(member, CallKind.VOLUMES, [request], options)) {
      const { changedAt: theirs, volumes: part, isLast } = decodeVolumes(message);
      saw(theirs);
      for (const volume of part) volumes.push(volume);
      if (isLast) return volumes;
    }
    throw new PeerError('UNKNOWN', `${member.nodeId} ended its answer too soon`);
  }
}

/** One round of questions. */
interface Asker {
  /** The view that it goes by. */
  readonly changedAt: number;
  /** The view of an answer. */
  readonly saw: (changedAt: number) => void;
  readonly signal: AbortSignal;
}

type Ask<Answer> = (member: Member, asker: Asker) => Promise<Answer>;

const roundOf = (signal: AbortSignal): { readonly signal: AbortSignal; end(): void } => {
  const round = new AbortController();
  // One for each member.
  setMaxListeners(0, round.signal);
  const end = (): void => {
    signal.removeEventListener('abort', end);
    round.abort(ABORTED);
  };
  if (signal.aborted) round.abort(ABORTED);
  else signal.addEventListener('abort', end, { once: true });
  return { signal: round.signal, end };
};

interface Round<Answer> {
  readonly answers: readonly Answer[];
  /** Disks that left with what is on them. */
  readonly gone: readonly RefusedError[];
  /** Who did not answer: may do so the next time. */
  readonly failed: readonly RefusedError[];
  /** Lets go of what the answers refer to. */
  readonly end: () => void;
}

const haveSameMembers = (one: View, other: View): boolean => processesOf(one) === processesOf(other);

const processesOf = ({ members }: View): string =>
  members.map(({ nodeId, incarnation }) => `${nodeId}/${incarnation}`).join(' ');

const unavailableDisk = ({ nodeId }: RosterEntry): RefusedError =>
  unavailable(
    `node ${nodeId} is gone, and what it had not stored yet is on its disk: start it again, or tell the cluster that its disk is lost`,
    undefined,
  );

const unavailableMember = (error: unknown): RefusedError =>
  unavailable(`not all members could be asked for what is not stored yet: ${(error as Error).message}`, error);

const membersChanged = (): RefusedError =>
  unavailable('the members of the cluster change while they are asked, try again', undefined);

const cancelled = (): RefusedError =>
  new RefusedError({ code: 'CANCELLED', text: 'the request was cancelled by the client' });

const unavailable = (text: string, cause: unknown): RefusedError =>
  new RefusedError({ code: 'STORAGE_UNAVAILABLE', text }, { cause });
