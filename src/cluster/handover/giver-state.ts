/**
 * What a node does with segments that another node should have. Pure: (state, event) → effects; the shell sends, waits and tells the actors.
 *
 *   waiting ──send──▶ sending ──adopted──▶ given ──linger is over──▶ released
 *      ▲                 │ refused, failed    │ the new custodian left the view
 *      └─────────────────┴────────────────────┘
 *   any of them ──the ring came back, the segment came back──▶ kept
 *
 * Custody is ordered by its epoch: an answer moves it only to a higher one. A late answer to an offer that was made before the segment came
 * back is lower, so that never both sides let go (docs/decisions/0004-the-cluster.md).
 */
import { addTo, processOf, removeFrom, type Target } from './by-process.ts';

export interface MoveOrder {
  /** Of the segment. */
  readonly name: string;
  /** About what will be sent. */
  readonly bytes: number;
  readonly target: Target;
  /** Custody epoch of this node's copy. */
  readonly epoch: number;
}

export interface OfferAnswer {
  readonly name: string;
  /** Of the adopted copy. */
  readonly epoch: number;
}

interface Answered {
  readonly type: 'answered';
  readonly session: number;
  readonly answers: readonly OfferAnswer[];
  /** Others of the session are still to be answered. Once it ends those that were not are refused. */
  readonly goesOn?: boolean;
}

export type GiverEvent =
  /** The ring says that they should be elsewhere. Of those known already only the target is news. */
  | { readonly type: 'move'; readonly orders: readonly MoveOrder[] }
  /** The ring says that they should be here. */
  | { readonly type: 'stay'; readonly names: readonly string[] }
  /** They stay here whatever the ring says, unless another node has them. */
  | { readonly type: 'give-up'; readonly names: readonly string[] }
  /** Nothing more is sent, for good. */
  | { readonly type: 'send-no-more' }
  /** Another node gave it back: this one is custodian at a new epoch. */
  | { readonly type: 'returned'; readonly name: string; readonly epoch: number }
  | Answered
  /** Nobody knows what arrived: it is offered again. */
  | { readonly type: 'failed'; readonly session: number }
  /** Processes in the view. What one that is gone was given counts again as soon as it is said where it should be: all at once it would take long. */
  | { readonly type: 'members'; readonly members: readonly Target[] }
  | { readonly type: 'tick' };

export type GiverEffect =
  | { readonly type: 'send'; readonly session: number; readonly target: Target; readonly names: readonly string[] }
  /** Another node is custodian: this one only answers queries until `release`. */
  | { readonly type: 'given'; readonly name: string }
  /** Nobody asks for it here any more: drop it. The other node's custody has this epoch. */
  | { readonly type: 'release'; readonly name: string; readonly epoch: number }
  /** This node is custodian, and may flush it. */
  | { readonly type: 'keep'; readonly name: string };

export interface GiverOptions {
  /** A session is about this large, or one segment. */
  readonly sessionBytes: number;
  readonly sessionSegmentsMax: number;
  /** Bytes on the way to one node. */
  readonly targetBytesMax: number;
  /** Nodes that are sent to at a time. */
  readonly targetsMax: number;
  /** How long queries that began before the hand-over may still ask here. */
  readonly lingerMs: number;
  /** After a refusal. After failures of a whole session its node rests for so long, twice that after the next one, and so on. */
  readonly retryMs: number;
}

/** More are left to the next tick, which should come soon then. What lingers goes by sessions, so hundreds are due at once; each costs a record of the log. */
export const RELEASES_A_TICK = 128;

interface Segment {
  readonly name: string;
  readonly bytes: number;
  target: Target;
  epoch: number;
  phase: 'waiting' | 'sending' | 'given';
  /** It should be here: when what is under way has failed it is kept. */
  isStaying: boolean;
  /** waiting: it was refused, and is not due yet. */
  isResting: boolean;
  /** waiting: not before; given: released then. Monotonic. */
  dueMs: number;
}

interface Session {
  readonly target: Target;
  readonly names: readonly string[];
  readonly bytes: number;
}

export interface GiverFigures {
  readonly waiting: number;
  readonly sending: number;
  readonly given: number;
  readonly bytesInFlight: number;
}

export class GiverState {
  readonly #options: GiverOptions;
  readonly #segments = new Map<string, Segment>();
  readonly #sessions = new Map<number, Session>();
  /** Names by process, in order of arrival: what may be sent next. A process that failed goes behind the others. */
  readonly #ready = new Map<string, Set<string>>();
  /** Names that wait until they are due, in that order. */
  readonly #resting = new Set<string>();
  /** Names by process that has them, in the order in which they are released. */
  readonly #given = new Map<string, Set<string>>();
  /** Of processes whose last session failed. */
  readonly #failures = new Map<string, { readonly count: number; readonly dueMs: number }>();
  #lastSession = 0;
  /** Undefined until the first view. */
  #alive: ReadonlySet<string> | undefined;
  #sendsNoMore = false;
  #counts = { waiting: 0, sending: 0, given: 0 };

  constructor(options: GiverOptions) {
    this.#options = options;
  }

  get figures(): GiverFigures {
    let bytesInFlight = 0;
    for (const { bytes } of this.#sessions.values()) bytesInFlight += bytes;
    return { ...this.#counts, bytesInFlight };
  }

  /** It is under way, or lingers. */
  has(name: string): boolean {
    return this.#segments.has(name);
  }

  /** The highest custody epoch heard of: an offer below it would get an answer that is no news, for ever. */
  epochOf(name: string): number {
    return this.#segments.get(name)?.epoch ?? 0;
  }

  step(event: GiverEvent, nowMs: number): readonly GiverEffect[] {
    const effects: GiverEffect[] = [];
    this.#apply(event, nowMs, effects);
    this.#wake(nowMs);
    this.#send(nowMs, effects);
    return effects;
  }

  #apply(event: GiverEvent, nowMs: number, effects: GiverEffect[]): void {
    switch (event.type) {
      case 'move':
        for (const order of event.orders) this.#order(order, nowMs);
        return;
      case 'stay':
        for (const name of event.names) this.#stay(name, nowMs, effects);
        return;
      case 'give-up':
        for (const name of event.names) {
          const segment = this.#known(name, nowMs);
          if (segment && segment.phase !== 'given') this.#keep(name, effects);
        }
        return;
      case 'send-no-more':
        this.#sendsNoMore = true;
        return;
      case 'returned':
        if (this.#segments.has(event.name)) this.#keep(event.name, effects);
        return;
      case 'answered':
        this.#answered(event, nowMs, effects);
        return;
      case 'failed':
        this.#failed(event.session, nowMs, effects);
        return;
      case 'members':
        this.#members(event.members, nowMs, effects);
        return;
      case 'tick':
        this.#tick(nowMs, effects);
        return;
    }
  }

  #order({ name, bytes, target, epoch }: MoveOrder, nowMs: number): void {
    const known = this.#known(name, nowMs);
    if (!known) {
      const segment: Segment = {
        name,
        bytes,
        target,
        epoch,
        phase: 'waiting',
        isStaying: false,
        isResting: false,
        dueMs: nowMs,
      };
      this.#segments.set(name, segment);
      this.#enter(segment, 'waiting');
      return;
    }
    known.isStaying = false;
    if (known.phase !== 'waiting' || processOf(known.target) === processOf(target)) return;
    this.#leave(known);
    known.target = target;
    this.#enter(known, 'waiting');
  }

  /** A custodian that left before anybody else had a copy: this copy counts again. */
  #known(name: string, nowMs: number): Segment | undefined {
    const segment = this.#segments.get(name);
    if (segment?.phase !== 'given' || !this.#isGone(processOf(segment.target))) return segment;
    this.#leave(segment);
    segment.dueMs = nowMs;
    this.#enter(segment, 'waiting');
    return segment;
  }

  #isGone(process: string): boolean {
    return this.#alive?.has(process) === false;
  }

  #stay(name: string, nowMs: number, effects: GiverEffect[]): void {
    const segment = this.#known(name, nowMs);
    if (!segment) return;
    if (segment.phase === 'waiting') this.#keep(name, effects);
    else segment.isStaying = true;
  }

  #answered({ session: number, answers, goesOn }: Answered, nowMs: number, effects: GiverEffect[]): void {
    const session = this.#sessions.get(number);
    if (!session) return;
    for (const { name, epoch } of answers) {
      if (epoch <= this.epochOf(name)) continue;
      const segment = this.#sent(name, session);
      if (!segment) continue;
      segment.epoch = epoch;
      segment.dueMs = nowMs + this.#options.lingerMs;
      this.#enter(segment, 'given');
      effects.push({ type: 'given', name });
    }
    if (goesOn) return;
    this.#sessions.delete(number);
    this.#failures.delete(processOf(session.target));
    for (const name of session.names) {
      const segment = this.#sent(name, session);
      if (segment) this.#again(segment, nowMs + this.#options.retryMs, nowMs, effects);
    }
  }

  #failed(number: number, nowMs: number, effects: GiverEffect[]): void {
    const session = this.#sessions.get(number);
    if (!session) return;
    this.#sessions.delete(number);
    this.#backOff(processOf(session.target), nowMs);
    for (const name of session.names) {
      const segment = this.#sent(name, session);
      if (segment) this.#again(segment, nowMs, nowMs, effects);
    }
  }

  /** The segment if it is still under way with the session. It is in no phase afterwards. */
  #sent(name: string, { target }: Session): Segment | undefined {
    const segment = this.#segments.get(name);
    if (segment?.phase !== 'sending' || segment.target !== target) return undefined;
    this.#leave(segment);
    return segment;
  }

  /** The others first, and not at once. Sessions that fail together count once. */
  #backOff(process: string, nowMs: number): void {
    const { count, dueMs } = this.#failures.get(process) ?? { count: 0, dueMs: 0 };
    if (nowMs >= dueMs) {
      const restMs = Math.min(REST_MS_MAX, this.#options.retryMs * 2 ** count);
      this.#failures.set(process, { count: count + 1, dueMs: nowMs + restMs });
    }
    const ready = this.#ready.get(process);
    if (!ready) return;
    this.#ready.delete(process);
    this.#ready.set(process, ready);
  }

  #again(segment: Segment, dueMs: number, nowMs: number, effects: GiverEffect[]): void {
    segment.dueMs = dueMs;
    segment.isResting = dueMs > nowMs;
    this.#enter(segment, 'waiting');
    if (segment.isStaying) this.#keep(segment.name, effects);
  }

  #members(members: readonly Target[], nowMs: number, effects: GiverEffect[]): void {
    const alive = new Set(members.map(processOf));
    this.#alive = alive;
    for (const [number, { target }] of this.#sessions) {
      if (alive.has(processOf(target))) continue;
      this.#failed(number, nowMs, effects);
    }
    for (const process of this.#failures.keys()) if (!alive.has(process)) this.#failures.delete(process);
  }

  #tick(nowMs: number, effects: GiverEffect[]): void {
    let left = RELEASES_A_TICK;
    for (const [process, names] of this.#given) {
      if (this.#isGone(process)) continue;
      for (const name of names) {
        const { dueMs, epoch } = this.#segments.get(name) as Segment;
        if (nowMs < dueMs || left === 0) break;
        left -= 1;
        this.#forget(name);
        effects.push({ type: 'release', name, epoch });
      }
    }
  }

  #wake(nowMs: number): void {
    for (const name of this.#resting) {
      const segment = this.#segments.get(name) as Segment;
      if (segment.dueMs > nowMs) return;
      this.#resting.delete(name);
      segment.isResting = false;
      addTo(this.#ready, segment);
    }
  }

  /** As many sessions as there is room for. */
  #send(nowMs: number, effects: GiverEffect[]): void {
    if (this.#sendsNoMore) return;
    const { targetBytesMax, targetsMax } = this.#options;
    const inFlight = new Map<string, number>();
    for (const { target, bytes } of this.#sessions.values()) {
      inFlight.set(target.nodeId, (inFlight.get(target.nodeId) ?? 0) + bytes);
    }
    for (const [process, names] of this.#ready) {
      const nodeId = this.#targetOf(names)?.nodeId;
      const isResting = (this.#failures.get(process)?.dueMs ?? 0) > nowMs;
      if (nodeId === undefined || isResting || this.#isGone(process)) continue;
      if (!inFlight.has(nodeId) && inFlight.size >= targetsMax) continue;
      for (;;) {
        const bytes = inFlight.get(nodeId) ?? 0;
        if (bytes >= targetBytesMax) break;
        const session = this.#nextSession(names);
        if (!session) break;
        inFlight.set(nodeId, bytes + session.bytes);
        this.#lastSession += 1;
        this.#sessions.set(this.#lastSession, session);
        effects.push({ type: 'send', session: this.#lastSession, target: session.target, names: session.names });
      }
    }
  }

  /** Of all that wait for one process it is the same. */
  #targetOf(names: ReadonlySet<string>): Target | undefined {
    for (const name of names) return this.#segments.get(name)?.target;
    return undefined;
  }

  #nextSession(ready: ReadonlySet<string>): Session | undefined {
    const { sessionBytes, sessionSegmentsMax } = this.#options;
    const first = this.#targetOf(ready);
    if (!first) return undefined;
    // One object for all of the session: it tells whose answer is awaited.
    const target = { ...first };
    const names: string[] = [];
    let bytes = 0;
    for (const name of ready) {
      const segment = this.#segments.get(name) as Segment;
      if (names.length > 0 && (bytes + segment.bytes > sessionBytes || names.length >= sessionSegmentsMax)) break;
      names.push(name);
      bytes += segment.bytes;
      this.#leave(segment);
      segment.target = target;
      this.#enter(segment, 'sending');
    }
    return { target, names, bytes };
  }

  #keep(name: string, effects: GiverEffect[]): void {
    this.#forget(name);
    effects.push({ type: 'keep', name });
  }

  #forget(name: string): void {
    const segment = this.#segments.get(name);
    if (!segment) return;
    this.#leave(segment);
    this.#segments.delete(name);
  }

  #enter(segment: Segment, phase: Segment['phase']): void {
    segment.phase = phase;
    this.#counts[phase] += 1;
    if (phase === 'given') addTo(this.#given, segment);
    else if (phase === 'waiting' && segment.isResting) this.#resting.add(segment.name);
    else if (phase === 'waiting') addTo(this.#ready, segment);
  }

  #leave(segment: Segment): void {
    this.#counts[segment.phase] -= 1;
    if (segment.phase === 'given') removeFrom(this.#given, segment);
    else if (segment.phase === 'waiting' && !this.#resting.delete(segment.name)) removeFrom(this.#ready, segment);
    segment.isResting = false;
  }
}

/** Chosen: how long a process that fails again and again is left alone. */
const REST_MS_MAX = 10_000;
