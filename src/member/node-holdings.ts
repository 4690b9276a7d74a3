import { forEachInSlices } from '../actors/cooperative.ts';
import type { LocalNode } from '../actors/local-node.ts';
import type { OfferedSegment } from '../actors/stream-moves.ts';
import { segmentName } from '../chunk/memory-format.ts';
import { streamKey } from '../cluster/stream-key.ts';
import type { LogSegment } from '../log/segment-table.ts';
import type { Clock } from '../protocol/clock.ts';
import type { LabelSet } from '../protocol/label-set.ts';
import type { Holding, Holdings, Walk } from './holdings.ts';
import type { Pace } from './pace.ts';

interface Moving {
  readonly tenant: string;
  readonly labels: LabelSet;
  readonly segment: OfferedSegment;
  readonly holding: Holding;
}

interface Place {
  readonly tenant: string;
  readonly labels: LabelSet;
  readonly key: number;
  readonly oldestSegment: number;
}

/** A slice of work on the event loop. */
const SLICE_MS = 4;
/** Streams whose segments are sealed at a time: their seals share syncs of the log. */
const MOVES_AT_A_TIME = 64;
/** Segments told of at a time: those of a few streams would each be read from all over the log. */
const TOLD_AT_A_TIME = 512;
/** Streams that are put in the order of the log at a time: about a millisecond. */
const ORDERED_AT_A_TIME = 1 << 14;
/** When there is no time to rest: fewer syncs. */
const URGENT_MOVES_AT_A_TIME = 512;

/** The unflushed segments of a node's actors and log, as the hand-over sees them. */
export class NodeHoldings implements Holdings {
  readonly #node: LocalNode;
  readonly #moves: NonNullable<LocalNode['moves']>;
  readonly #adopt: (segment: LogSegment) => void;
  readonly #clock: Clock;
  readonly #report: (problem: string, error: unknown) => void;
  readonly #moving = new Map<string, Moving>();

  constructor(
    node: LocalNode,
    moves: NonNullable<LocalNode['moves']>,
    adopt: (segment: LogSegment) => void,
    clock: Clock,
    report: (problem: string, error: unknown) => void,
  ) {
    this.#node = node;
    this.#moves = moves;
    this.#adopt = adopt;
    this.#clock = clock;
    this.#report = report;
  }

  async walk(isHere: (key: number) => boolean, pace: Pace, sealed: (moves: readonly Holding[]) => void): Promise<Walk> {
    const elsewhere: Place[] = [];
    let flushing = 0;
    const known = await this.#movingByStream();
    await this.#node.forEachUnflushed(({ tenant, labels, flushing: own, moving, ...stream }) => {
      const hasLost = moving > (known.get(nameOf(tenant, labels)) ?? 0);
      if (hasLost) this.#moves.reclaim(tenant, labels, ({ id }) => this.#moving.has(segmentName(id)));
      // What was given up is movable, though the stream's actor may only hear of it before `move-out`.
      const isMovable = stream.isMovable || hasLost;
      if (!isMovable && own === 0) return;
      const key = streamKey(tenant, labels.canonical);
      if (isHere(key)) return;
      flushing += own;
      if (isMovable) elsewhere.push({ tenant, labels, key, oldestSegment: stream.oldestSegment });
    });
    let ready: Holding[] = [];
    let [count, orderedTo] = [0, 0];
    for (let at = 0; at < elsewhere.length; at += count) {
      if (at >= orderedTo) {
        orderedTo = at + ORDERED_AT_A_TIME;
        putInOrder(elsewhere, at, orderedTo);
      }
      count = Math.min(orderedTo - at, pace.isUrgent ? URGENT_MOVES_AT_A_TIME : MOVES_AT_A_TIME);
      const places = elsewhere.slice(at, at + count).filter(({ key }) => !isHere(key));
      const outs = await pace.run(() => Promise.all(places.map((place) => this.#moveOut(place))));
      flushing += outs.filter((out) => out === undefined).length;
      ready.push(...outs.flatMap((out) => out ?? []));
      if (ready.length < TOLD_AT_A_TIME) continue;
      sealed(ready);
      ready = [];
    }
    if (ready.length > 0) sealed(ready);
    // As it is now: what was on its way when the walk began may have come back or been let go meanwhile.
    const moves: Holding[] = [];
    const stays: Holding[] = [];
    await forEachInSlices(this.#clock, SLICE_MS, this.#moving.values(), ({ holding }) => {
      (isHere(holding.key) ? stays : moves).push(holding);
    });
    return { moves, stays, flushing };
  }

  /** It may be in an actor's memory, in the log only, or lingering. */
  find(segment: LogSegment): Holding | undefined {
    const moving = this.#moving.get(segmentName(segment.id));
    if (moving) return moving.holding;
    if (!segment.isHeld || !segment.isLive || segment.isAdopting || segment.isReleasing || !segment.open) {
      return undefined;
    }
    const { id, count, bytes, highestEpoch } = segment;
    return { name: segmentName(id), segment, key: 0, finalCount: count, bytes, epoch: highestEpoch };
  }

  adopted(segment: LogSegment): void {
    this.#adopt(segment);
  }

  keep({ name }: Holding): void {
    const moving = this.#moving.get(name);
    if (!moving) return;
    this.#moving.delete(name);
    this.#moves.failed(moving.tenant, moving.labels, [moving.segment]);
  }

  release({ name }: Holding, epoch: number): void {
    const moving = this.#moving.get(name);
    if (!moving) return;
    this.#moving.delete(name);
    this.#moves.moved(moving.tenant, moving.labels, [{ ...moving.segment, epoch }]);
  }

  /** undefined if it could not be claimed. */
  async #moveOut({ tenant, labels, key }: Place): Promise<readonly Holding[] | undefined> {
    try {
      const segments = await this.#moves.moveOut(tenant, labels);
      return segments.map((segment) => {
        const { log, finalCount } = segment;
        const name = segmentName(log.id);
        const holding: Holding = {
          name,
          segment: log,
          key,
          finalCount,
          bytes: log.bytes,
          get epoch() {
            return log.highestEpoch;
          },
        };
        this.#moving.set(name, { tenant, labels, segment, holding });
        return holding;
      });
    } catch (error) {
      this.#report('a stream could not be moved; trying again', error);
      return undefined;
    }
  }

  async #movingByStream(): Promise<ReadonlyMap<string, number>> {
    const counts = new Map<string, number>();
    await forEachInSlices(this.#clock, SLICE_MS, this.#moving.values(), ({ tenant, labels }) => {
      const name = nameOf(tenant, labels);
      counts.set(name, (counts.get(name) ?? 0) + 1);
    });
    return counts;
  }
}

const nameOf = (tenant: string, labels: LabelSet): string => `${tenant}\0${labels.canonical}`;

/**
 * By their oldest segments: what is sent together should lie together in the log. In the order in which streams were first heard of, the records of some
 * hundred of them lie all over it, and were a read each.
 */
const putInOrder = (places: Place[], first: number, end: number): void => {
  const some = places.slice(first, end);
  const order = Float64Array.from(some, ({ oldestSegment }, index) => oldestSegment * ORDERED_AT_A_TIME + index).sort();
  for (const [index, value] of order.entries()) places[first + index] = some[value % ORDERED_AT_A_TIME] as Place;
};
