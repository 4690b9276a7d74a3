import type { LogSegment } from '../log/segment-table.ts';
import type { Pace } from './pace.ts';

/** A sealed, unflushed segment of this node that another should have. */
export interface Holding {
  /** Of the segment. */
  readonly name: string;
  readonly segment: LogSegment;
  /** Place of its stream on the ring. */
  readonly key: number;
  /** Entries it has, and will ever have. */
  readonly finalCount: number;
  /** About what will be sent. */
  readonly bytes: number;
  /** The highest custody epoch that this node's copy had: an offer below it could be adopted at the same one. */
  readonly epoch: number;
}

/** What a node holds unflushed, as a hand-over sees it: memory of actors and what lies in the log. */
export interface Holdings {
  /**
   * Looks at every stream, in slices of the event loop; `isHere` may change its mind meanwhile. What is not `isHere` is sealed and not flushed from now on, unless it is on its way to the
   * store already: that ends by itself. The looking is not paced, the sealing is.
   * @param sealed told of some hundreds as they are sealed: the first are with their owners while the last still take pushes
   */
  walk(isHere: (key: number) => boolean, pace: Pace, sealed: (moves: readonly Holding[]) => void): Promise<Walk>;
  /** The copy here, as long as there is one: adopted or own. */
  find(segment: LogSegment): Holding | undefined;
  /** An adopted segment is this node's: it answers queries for it and flushes it. */
  adopted(segment: LogSegment): void;
  /** It may be flushed here again. */
  keep(holding: Holding): void;
  /** Nobody asks for it here any more: another node has it, with custody of this epoch. */
  release(holding: Holding, epoch: number): void;
}

export interface Walk {
  /** What should be elsewhere, whether told of before or not. */
  readonly moves: readonly Holding[];
  /** What moves or moved, and should be here. */
  readonly stays: readonly Holding[];
  /** Segments on their way to the store, of streams that should be elsewhere, and streams that could not be claimed: look again soon. */
  readonly flushing: number;
}
