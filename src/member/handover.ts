import { processOf, type Target } from '../cluster/handover/by-process.ts';
import {
  type GiverEffect,
  type GiverEvent,
  type GiverFigures,
  type GiverOptions,
  GiverState,
  type MoveOrder,
  type OfferAnswer,
  RELEASES_A_TICK,
} from '../cluster/handover/giver-state.ts';
import type { Ring } from '../cluster/ring.ts';
import { PeerError, type Peers } from '../cluster/transport/peers.ts';
import type { Member, View } from '../cluster/view.ts';
import type { AppendRun } from '../log/append-record.ts';
import type { Log } from '../log/log.ts';
import type { Clock } from '../protocol/clock.ts';
import { decodeAdoptReply, encodeAdoptRequest, type PartAnswer } from './adopt-message.ts';
import { Adoptions } from './adoptions.ts';
import { CallKind } from './call-kinds.ts';
import type { Holding, Holdings } from './holdings.ts';
import { inSlices } from './in-slices.ts';
import { isBehind } from './leave-progress.ts';
import { MESSAGE_SIZES, type MessageSizes, type NamedPart, partsOf, releaseRuns } from './offered-parts.ts';
import { Pace } from './pace.ts';
import { Paces } from './paces.ts';

export interface HandoverDeps {
  readonly clock: Clock;
  readonly peers: Peers;
  readonly log: Log;
  readonly holdings: Holdings;
  readonly nodeId: string;
  readonly giver: GiverOptions;
  /** Unless it is to be otherwise, MESSAGE_SIZES. */
  readonly messageSizes?: MessageSizes | undefined;
  /** See Pace. */
  readonly cpuWaitShare?: (() => number) | undefined;
  readonly view: () => View;
  readonly ring: () => Ring;
  /** Why nothing is taken from others now. */
  readonly refusal: () => string | undefined;
  readonly report: (problem: string, error: unknown, about?: object) => void;
}

export interface HandoverFigures extends GiverFigures {
  /** Segments since the start. */
  readonly taken: number;
  readonly releasedSegments: number;
  readonly givenSegments: number;
  readonly givenBytes: number;
}

/** Lingering, retries and streams that were missed are looked at so often. */
const TICK_MS = 500;
/** Between releases of which there are more than one tick has, some milliseconds of work: for pushes to come between. */
const NEXT_RELEASES_MS = 15;
/** Of a node that leaves, which must have let go of all. */
const LEAVING_RELEASES_MS = 5;
const ADOPT_MS = 20_000;
/**
 * A process that has just started has its first pushes to learn: a walk that is due for it waits for so long. With two that start beside pushes, on the same cores, the worst push
 * took 0.3 s instead of 1.6. A walk that is under way goes on, with what it finds for that process too.
 */
const NEW_NODE_MS = 3_000;

/**
 * Gives streams to their owners and takes what is this node's. What to do stands in GiverState; this sends, waits, and tells the actors.
 */
export class Handover {
  readonly #deps: HandoverDeps;
  readonly #giver: GiverState;
  readonly #moving = new Map<string, Holding>();
  readonly #paces: Paces;
  readonly #adoptions: Adoptions;
  readonly #totals = { givenSegments: 0, givenBytes: 0, releasedSegments: 0 };
  readonly #walkPace: Pace;
  #leaving: Leaving | undefined;
  #cancelTick: () => void;
  #walking: Promise<void> | undefined;
  #isWalkDue = true;
  /** Not before. Monotonic. */
  #walkMs = 0;
  /** Processes of the last view. */
  #alive: ReadonlySet<string> | undefined;
  /** Everything that is not another node's yet stays: it is being stored. */
  #isGivingUp = false;
  #flushing = 0;
  #isStopped = false;

  constructor(deps: HandoverDeps) {
    this.#deps = deps;
    this.#giver = new GiverState(deps.giver);
    this.#adoptions = new Adoptions({
      ...deps,
      epochOf: (name) => this.#giver.epochOf(name),
      returned: (name, epoch) => this.#step({ type: 'returned', name, epoch }),
      look: () => this.look(),
    });
    const newPace = (): Pace =>
      new Pace(deps.clock, this.#isUrgent, deps.cpuWaitShare, () => this.#leaving !== undefined);
    this.#paces = new Paces(newPace);
    this.#walkPace = newPace();
    this.#cancelTick = this.#tickLater();
  }

  get figures(): HandoverFigures {
    return { ...this.#giver.figures, ...this.#totals, taken: this.#adoptions.taken };
  }

  /** Nothing is left that another node should have, nor lingers here, as of the last walk. */
  get isSettled(): boolean {
    const { waiting, sending, given } = this.#giver.figures;
    return !this.#isWalkDue && this.#walking === undefined && waiting + sending + given + this.#flushing === 0;
  }

  get isAdopting(): boolean {
    return this.#adoptions.isBusy;
  }

  /** Something came that may belong elsewhere. */
  look(): void {
    this.#isWalkDue = true;
  }

  /** A new view: places may have changed. */
  changed(view: View): void {
    const alive = new Set(view.members.map(processOf));
    const isAnyNew = this.#alive && [...alive].some((process) => !this.#alive?.has(process));
    this.#alive = alive;
    // Not what is due already: nodes that come and go all the time would put it off for ever.
    if (isAnyNew && !this.#leaving && !this.#isWalkDue) this.#walkMs = this.#deps.clock.monotonicMs() + NEW_NODE_MS;
    this.#isWalkDue = true;
    this.#step({ type: 'members', members: view.members });
    this.#paces.keepOnly(alive);
    this.#adoptions.giveUpLost();
    void this.walk();
  }

  /** One walk at a time; resolves when one that began after the call is over, or is left to a tick: see NEW_NODE_MS. */
  async walk(): Promise<void> {
    this.#isWalkDue = true;
    if (this.#deps.clock.monotonicMs() < this.#walkMs) return;
    while (this.#walking !== undefined) await this.#walking;
    if (!this.#isWalkDue || this.#isStopped) return;
    this.#isWalkDue = false;
    this.#walking = this.#walkOnce()
      .catch((error: unknown) => {
        this.#isWalkDue = true;
        this.#deps.report('a walk over the streams failed', error);
      })
      .finally(() => {
        this.#walking = undefined;
        // Evenly from now on: while streams were sealed little was given.
        if (this.#leaving) this.leaveWithin(this.#leaving.endMs - this.#deps.clock.monotonicMs());
      });
    await this.#walking;
  }

  /** This node leaves: by then everything should be with others. It rests only while it is ahead of that. */
  leaveWithin(withinMs: number): void {
    this.#walkMs = 0;
    const startMs = this.#deps.clock.monotonicMs();
    this.#leaving = { startMs, endMs: startMs + withinMs, givenSegments: this.#totals.givenSegments };
  }

  readonly #isUrgent = (): boolean => {
    if (!this.#leaving) return false;
    const { startMs, endMs, givenSegments } = this.#leaving;
    const { waiting, sending } = this.#giver.figures;
    return isBehind({
      elapsedMs: this.#deps.clock.monotonicMs() - startMs,
      withinMs: Math.max(1, endMs - startMs),
      given: this.#totals.givenSegments - givenSegments,
      left: waiting + sending,
      isSealing: this.#walking !== undefined || this.#isWalkDue,
    });
  };

  /** Nothing more is given away, for good. Resolves once what no other node has yet may be stored here. What lingers goes on to. */
  async giveUp(): Promise<void> {
    if (this.#isGivingUp) return;
    this.#isGivingUp = true;
    this.#isWalkDue = true;
    this.#step({ type: 'send-no-more' });
    await inSlices([...this.#moving.keys()], (names) => this.#step({ type: 'give-up', names }));
  }

  /** A walk could find something, and none is under way. */
  get isWalkDue(): boolean {
    return this.#isWalkDue && this.#walking === undefined;
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancelTick();
  }

  /** ADOPT. */
  adopt(body: Uint8Array, from: Target, bodyRead?: () => void): Promise<readonly Uint8Array[]> {
    return this.#adoptions.adopt(body, from, bodyRead);
  }

  async #walkOnce(): Promise<void> {
    const { holdings, ring, nodeId } = this.#deps;
    const current = ring();
    const isHere = (key: number): boolean => {
      // By the newest ring: sealing takes its time, and what it finds is not to be given to an owner of before.
      const owner = ring().owner(key);
      // Nobody else to give it to: it stays.
      return this.#isStopped || this.#isGivingUp || owner === undefined || owner.nodeId === nodeId;
    };
    const orderOf = (holding: Holding): MoveOrder | undefined => {
      const owner = ring().owner(holding.key);
      // Between two slices the ring may have turned to this node: the next walk keeps it.
      if (!owner || isHere(holding.key)) return undefined;
      this.#moving.set(holding.name, holding);
      const { name, bytes, epoch } = holding;
      return { name, bytes, epoch, target: targetOf(owner) };
    };
    const order = (slice: readonly Holding[]): void =>
      this.#step({ type: 'move', orders: slice.flatMap((holding) => orderOf(holding) ?? []) });
    const { moves, stays, flushing } = await holdings.walk(isHere, this.#walkPace, order);
    if (this.#isStopped) return;
    this.#flushing = flushing;
    await this.#inSlices(stays, (slice) => {
      // Claimed by this walk, and to stay by now.
      for (const holding of slice) if (!this.#giver.has(holding.name)) holdings.keep(holding);
      this.#step({ type: 'stay', names: slice.map(({ name }) => name) });
    });
    await this.#inSlices(moves, order);
    if (current !== ring() || (this.#isGivingUp && moves.length > 0)) this.#isWalkDue = true;
  }

  /** Not all at once, and only what is still as the walk found it: it may have been let go or come back between two slices. */
  async #inSlices(holdings: readonly Holding[], take: (slice: readonly Holding[]) => void): Promise<void> {
    const { holdings: held } = this.#deps;
    await inSlices(holdings, (slice) => take(slice.filter((holding) => held.find(holding.segment) === holding)));
  }

  #step(event: GiverEvent): void {
    for (const effect of this.#giver.step(event, this.#deps.clock.monotonicMs())) this.#perform(effect);
  }

  #perform(effect: GiverEffect): void {
    const { holdings, report } = this.#deps;
    if (effect.type === 'send') {
      void this.#send(effect.session, effect.target, effect.names);
      return;
    }
    const holding = this.#moving.get(effect.name);
    if (!holding) return;
    switch (effect.type) {
      case 'given':
        this.#totals.givenSegments += 1;
        this.#totals.givenBytes += holding.bytes;
        return;
      case 'release':
        this.#moving.delete(effect.name);
        this.#totals.releasedSegments += 1;
        holdings.release(holding, effect.epoch);
        return;
      case 'keep':
        this.#moving.delete(effect.name);
        holdings.keep(holding);
        return;
      default:
        report('a hand-over did something unknown', effect);
    }
  }

  async #send(session: number, target: Target, names: readonly string[]): Promise<void> {
    const pace = this.#paces.of(target);
    try {
      const messages = this.#messagesOf(names);
      let given = 0;
      for (;;) {
        const answers = await pace.run(() => this.#sendNext(target, messages));
        if (!answers) break;
        // At once: what another node has is not sent again when a later message fails, nor stored here.
        this.#step({ type: 'answered', session, answers, goesOn: true });
        given += answers.length;
      }
      this.#step({ type: 'answered', session, answers: [] });
      // The ring may have turned while they were on their way: who refused them need not be who should have them now.
      if (given < names.length) this.look();
    } catch (error) {
      if (!(error instanceof PeerError)) this.#deps.report('segments could not be handed over', error);
      this.#paces.fail(target, pace, new PeerError('UNREACHABLE', `${target.nodeId} did not answer`));
      this.#step({ type: 'failed', session });
      this.look();
    }
  }

  /** @returns what was adopted; undefined if there was no message any more */
  async #sendNext(
    target: Target,
    messages: AsyncGenerator<readonly NamedPart[]>,
  ): Promise<readonly OfferAnswer[] | undefined> {
    const process = processOf(target);
    const member = this.#deps.view().members.find((one) => processOf(one) === process);
    const isOver = this.#isStopped || this.#isGivingUp;
    if (!member || isOver) throw new PeerError('UNREACHABLE', `${target.nodeId} or this node has left`);
    const { done, value: message } = await messages.next();
    if (done) return undefined;
    const answers = await this.#offer(member, message);
    return message.flatMap(({ name }, index) => {
      const answer = answers[index];
      return answer?.type === 'adopted' ? [{ name, epoch: answer.epoch }] : [];
    });
  }

  async #offer(member: Member, message: readonly NamedPart[]): Promise<readonly PartAnswer[]> {
    const { peers, view } = this.#deps;
    const body = encodeAdoptRequest({ changedAt: view().changedAt, parts: message });
    const options = { deadlineMs: ADOPT_MS, class: 'transfer' as const };
    return decodeAdoptReply(await peers.request(member, CallKind.ADOPT, body, options)).answers;
  }

  /** The segments in messages of a bounded size, their parts in order. */
  async *#messagesOf(names: readonly string[]): AsyncGenerator<readonly NamedPart[]> {
    const holdings = names.flatMap((name) => this.#moving.get(name) ?? []);
    const { messageBytesMax, messagePartsMax, partBytesMax } = this.#deps.messageSizes ?? MESSAGE_SIZES;
    let message: NamedPart[] = [];
    let bytes = 0;
    const records = await this.#recordsOf(holdings);
    for (const [index, holding] of holdings.entries()) {
      const runs = records[index];
      // What came back while those before it were sent is this node's again.
      if (!runs || this.#moving.get(holding.name) !== holding) continue;
      for (const part of partsOf(holding, this.#epochOf(holding), runs, partBytesMax)) {
        const isFull = bytes + part.size > messageBytesMax || message.length >= messagePartsMax;
        if (message.length > 0 && isFull) {
          yield message;
          message = [];
          bytes = 0;
        }
        message.push(part);
        bytes += part.size;
      }
    }
    if (message.length > 0) yield message;
    // All was answered.
    releaseRuns(records);
  }

  /** Of this node's copy, as far as it has been offered. */
  #epochOf({ name, epoch }: Holding): number {
    return Math.max(epoch, this.#giver.epochOf(name));
  }

  /** undefined for one that cannot be read: it stays here, and the others go. */
  async #recordsOf(holdings: readonly Holding[]): Promise<readonly (readonly AppendRun[] | undefined)[]> {
    try {
      return await this.#deps.log.recordsOf(holdings.map(({ segment }) => segment));
    } catch {
      // Which of them it is shows when each is read alone.
      const records: (readonly AppendRun[] | undefined)[] = [];
      for (const holding of holdings) records.push(await this.#recordsAlone(holding));
      return records;
    }
  }

  async #recordsAlone({ name, segment }: Holding): Promise<readonly AppendRun[] | undefined> {
    try {
      return (await this.#deps.log.recordsOf([segment]))[0];
    } catch (error) {
      this.#deps.report('a segment cannot be read, so it is not handed over but stored here', error);
      segment.isUnreadable = true;
      this.#step({ type: 'give-up', names: [name] });
      return undefined;
    }
  }

  /** `fullMs`: when all of it is due again. Between two of these there are only releases, if one tick has not enough room for them. */
  #tickLater(inMs = TICK_MS, fullMs = this.#deps.clock.monotonicMs() + TICK_MS): () => void {
    const { clock } = this.#deps;
    return clock.after(inMs, () => {
      if (this.#isStopped) return;
      const before = this.#totals.releasedSegments;
      this.#step({ type: 'tick' });
      const isMore = this.#totals.releasedSegments - before === RELEASES_A_TICK;
      const nextMs = this.#leaving ? LEAVING_RELEASES_MS : NEXT_RELEASES_MS;
      const leftMs = fullMs - clock.monotonicMs();
      if (leftMs > 0) {
        this.#cancelTick = this.#tickLater(isMore ? nextMs : leftMs, fullMs);
        return;
      }
      this.#adoptions.giveUpLost();
      // What the flusher had may have come back.
      if (this.#isWalkDue || this.#flushing > 0) void this.walk();
      this.#cancelTick = this.#tickLater(isMore ? nextMs : TICK_MS);
    });
  }
}

interface Leaving {
  /** Monotonic. */
  readonly startMs: number;
  readonly endMs: number;
  /** At the start. */
  readonly givenSegments: number;
}

const targetOf = ({ nodeId, incarnation }: Member): Target => ({ nodeId, incarnation });
