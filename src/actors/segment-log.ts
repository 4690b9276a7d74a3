import { type SegmentId, segmentName } from '../chunk/memory-format.ts';
import type { Log } from '../log/log.ts';
import type { LogSegment } from '../log/segment-table.ts';
import type { Clock } from '../protocol/clock.ts';
import type { EntryRange } from '../protocol/entry-columns.ts';
import { fingerprintOf } from '../protocol/fingerprint.ts';
import { streamName } from '../storage/chunk-key.ts';
import type { IndexStore } from '../storage/index-store.ts';
import type { HeldSegment, StreamCell } from './stream-cell.ts';
import type { StreamMessage } from './stream-state.ts';

export interface SegmentLogDeps {
  readonly log: Log;
  readonly clock: Clock;
  readonly index: IndexStore;
  readonly tell: (cell: StreamCell, message: StreamMessage) => void;
  readonly report: (problem: string, error: unknown) => void;
}

/** Chosen: the log tells by itself why it does not take a record; until it does, the segment only keeps its space. */
const RETRY_MS = 5_000;

/**
 * What streams and the flusher have to do with the log:
 *
 *   append ──► durable ──► acknowledged          committed ──► FLUSHED durable ──► commit forgotten
 *
 * A commit is remembered for as long as a restart could find the segment unflushed; that of a segment that was on another disk too, until
 * CommitTidier takes it for too old.
 */
export class SegmentLog {
  readonly #deps: SegmentLogDeps;
  #isStopped = false;

  constructor(deps: SegmentLogDeps) {
    this.#deps = deps;
  }

  /** Resolves when the entries are durable. Whoever has none of it sends them again, to another segment. @throws RefusedError */
  append(cell: StreamCell, held: HeldSegment, range: EntryRange): Promise<void> {
    const { log, clock, tell } = this.#deps;
    const { name: tenant } = cell.tenant;
    held.log ??= log.open(held.segment.id, {
      tenant,
      labels: cell.labels.pairs,
      version: held.version,
      openedMs: clock.nowMs(),
    });
    const segment = held.log;
    const durable = log.append(segment, range);
    durable.catch(() => {
      if (segment.isRefused) tell(cell, { type: 'unlogged', held });
    });
    return durable;
  }

  /** The segment is in a committed chunk. */
  ended(segment: LogSegment, id: SegmentId): void {
    const { log, index, clock, report } = this.#deps;
    const end = async (): Promise<void> => {
      await log.flushed(segment, Math.max(segment.accepted, segment.count), true);
      // Without a header nobody knows the stream: CommitTidier forgets it.
      const { header } = segment;
      if (segment.wasShared || !header) return;
      const { tenant, labels } = header;
      await index.forget([{ stream: streamName(tenant, fingerprintOf(labels)), segment: segmentName(id) }]);
    };
    end().catch((error: unknown) => {
      if (this.#isStopped) return;
      report('the log could not be told of a stored segment; trying again', error);
      clock.after(RETRY_MS, () => this.ended(segment, id));
    });
  }

  /** Another node has the segment, with CUSTODY of this epoch. */
  released(segment: LogSegment, epoch: number): void {
    const { log, clock, report } = this.#deps;
    log.released(segment, epoch).catch((error: unknown) => {
      if (this.#isStopped) return;
      report('the log could not be told of a segment that moved; trying again', error);
      clock.after(RETRY_MS, () => this.released(segment, epoch));
    });
  }

  /** No more retries: a restart finds the commits. */
  stop(): void {
    this.#isStopped = true;
  }
}
