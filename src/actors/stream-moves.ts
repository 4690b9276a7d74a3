import type { Log } from '../log/log.ts';
import type { LogSegment } from '../log/segment-table.ts';
import type { Clock } from '../protocol/clock.ts';
import type { LabelSet } from '../protocol/label-set.ts';
import { ask } from './ask.ts';
import type { LoggedSegments } from './logged-segments.ts';
import type { MovedSegment, MovingSegment, StreamCell } from './stream-cell.ts';
import type { StreamDirectory } from './stream-directory.ts';
import type { StreamMessage } from './stream-state.ts';

export interface StreamMovesDeps {
  readonly directory: StreamDirectory;
  readonly logged: LoggedSegments;
  readonly log: Log;
  readonly clock: Clock;
  readonly tell: (cell: StreamCell, message: StreamMessage) => void;
  /** The log is to be told, until it is. */
  readonly released: (segment: MovedSegment) => void;
}

/** What another node may adopt: sealed, durable, and in nobody's flush. */
export interface OfferedSegment extends MovingSegment {
  readonly finalCount: number;
}

/** An actor is asked for its segments; the log syncs in milliseconds. */
const ASK_MS = 5_000;

/**
 * The giving side of a stream's move, on its node. Whoever moves it sends what `Log.records` has of each segment.
 *
 *   moveOut ──► sealed, claimed, durable, SEAL(offered) ──► … the other node has CUSTODY, the linger is over ──► moved: RELEASED
 *                                                       └─► … it has not, and will not ─────────────────────► failed: part of the next chunk
 *
 * Until then memory and log answer for them. What the flusher has already is left to it: its outcome is a commit.
 */
export class StreamMoves {
  readonly #deps: StreamMovesDeps;

  constructor(deps: StreamMovesDeps) {
    this.#deps = deps;
  }

  /**
   * Everything of the stream that the flusher does not have; oldest first.
   * @throws RefusedError what the log refuses: then nothing moves
   */
  async moveOut(tenant: string, labels: LabelSet): Promise<readonly OfferedSegment[]> {
    const { log } = this.#deps;
    const segments = await this.#claim(tenant, labels);
    try {
      const offered: OfferedSegment[] = [];
      for (const segment of segments) {
        const finalCount = await log.settled(segment.log);
        if (finalCount === 0) {
          // The log refused all of it: nobody was told that it is stored.
          this.failed(tenant, labels, [segment]);
          continue;
        }
        await log.offer(segment.log, finalCount);
        offered.push({ ...segment, finalCount });
      }
      return offered;
    } catch (error) {
      this.failed(tenant, labels, segments);
      throw error;
    }
  }

  /** Another node has them, and nobody asks here any more. */
  moved(tenant: string, labels: LabelSet, segments: readonly MovedSegment[]): void {
    const { directory, log, tell, released } = this.#deps;
    // At once: until the actor has heard of it and the log has it, nobody may take it for this node's.
    for (const segment of segments) log.releasing(segment.log, segment.epoch);
    const cell = directory.find(tenant, labels);
    if (cell) tell(cell, { type: 'moved', segments });
    // All of them lie in the log: an actor that has some in its memory does not stop.
    else for (const segment of segments) if (isMoving(segment)) released(segment);
  }

  /** They stay here. */
  failed(tenant: string, labels: LabelSet, segments: readonly MovingSegment[]): void {
    const { directory, tell } = this.#deps;
    const cell = directory.find(tenant, labels);
    if (cell) tell(cell, { type: 'move-failed', segments });
    else for (const { from } of segments) if ('part' in from && from.part.state === 'moving') from.part.release();
  }

  /**
   * Ends the claims of nobody: an actor that failed at a message of its moves has them still, and nothing would store or move what they hold.
   * Hearing of an end twice does no harm.
   */
  reclaim(tenant: string, labels: LabelSet, isClaimed: (segment: LogSegment) => boolean): void {
    const { directory, logged } = this.#deps;
    const cell = directory.find(tenant, labels);
    const parts = cell?.logged?.parts ?? logged.find(tenant, labels)?.parts ?? [];
    const lost: MovingSegment[] = [];
    for (const held of cell?.segments ?? []) {
      if (held.isMoving && held.log && !isClaimed(held.log)) lost.push({ log: held.log, from: { held } });
    }
    for (const part of parts) {
      if (part.state === 'moving' && !isClaimed(part.segment)) lost.push({ log: part.segment, from: { part } });
    }
    const moved = lost.filter(({ log }) => log.isReleasing);
    if (moved.length > 0) {
      const released = moved.map((segment) => ({ ...segment, epoch: segment.log.releasingEpoch }));
      this.moved(tenant, labels, released);
    }
    const failed = lost.filter(({ log }) => !log.isReleasing);
    if (failed.length > 0) this.failed(tenant, labels, failed);
  }

  async #claim(tenant: string, labels: LabelSet): Promise<readonly MovingSegment[]> {
    const { directory, logged, clock, tell } = this.#deps;
    const cell = directory.find(tenant, labels);
    if (cell) {
      let isLate = false;
      const answer = ask<readonly MovingSegment[]>(clock, ASK_MS, (reply) =>
        tell(cell, {
          type: 'move-out',
          reply: (segments) => (isLate ? this.failed(tenant, labels, segments) : reply(segments)),
        }),
      );
      return await answer.finally(() => {
        isLate = true;
      });
    }
    const parts = logged.find(tenant, labels)?.parts ?? [];
    return parts.flatMap((part) =>
      !part.segment.isUnreadable && part.claim('moving') ? [{ log: part.segment, from: { part } }] : [],
    );
  }
}

const isMoving = ({ from }: MovingSegment): boolean => 'part' in from && from.part.state === 'moving';
