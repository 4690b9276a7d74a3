import type { SegmentId } from '../chunk/memory-format.ts';
import type { AppendRun } from './append-record.ts';
import { prefixOf, withoutFirst } from './log-reader.ts';
import type { LogSegment, SegmentTable } from './segment-table.ts';

/** What one message brings of a segment of another node. */
export interface SegmentPart {
  readonly id: SegmentId;
  /** Under which the giver has it: 0 on its own disk. */
  readonly epoch: number;
  /** Payload of its OPEN record; needed until the first entries are there. */
  readonly open: Uint8Array | undefined;
  /** In order, without gaps between them. */
  readonly runs: readonly AppendRun[];
}

/** What it writes; all resolve when it is durable. */
export interface AdoptionWriter {
  append(segment: LogSegment, run: AppendRun): Promise<void>;
  adopt(segment: LogSegment, epoch: number): Promise<void>;
}

/**
 * Takes segments of other disks into a log, under their own ids.
 *
 *   part ──► begins at what is there? ──no──► says what is there
 *               └──yes──► without what is there already, appended ──► durable ──► says what is there now
 *
 * A copy is nobody's before CUSTODY: who gave it has it still. One that comes back to its own disk is marked by ADOPT: nothing else would tell
 * a restart that it is not all there. Parts of a segment are taken one after the other.
 */
export class Adoption {
  readonly #table: SegmentTable;
  readonly #write: AdoptionWriter;
  /** Segments that get parts now: what the next one waits for. */
  readonly #busy = new Map<LogSegment, Promise<unknown>>();

  constructor(table: SegmentTable, write: AdoptionWriter) {
    this.#table = table;
    this.#write = write;
  }

  /** @returns how many of its first entries are durable here @throws RefusedError what appending refuses */
  async take(part: SegmentPart): Promise<number> {
    const { id } = part;
    const segment = this.#table.segment(this.#table.writer(id.nodeId, id.incarnation), id.counter);
    const before = this.#busy.get(segment);
    const taken = this.#takeAfter(before, segment, part);
    this.#busy.set(segment, taken);
    try {
      return await taken;
    } finally {
      if (this.#busy.get(segment) === taken) this.#busy.delete(segment);
    }
  }

  /** What of it is there is freed, unless there is CUSTODY. */
  giveUp(segment: LogSegment): void {
    this.#table.setAdopting(segment, false);
    this.#table.forgetUnwritten(segment);
  }

  async #takeAfter(before: Promise<unknown> | undefined, segment: LogSegment, part: SegmentPart): Promise<number> {
    await before?.catch(() => undefined);
    // Its entries are all here: offered again.
    if (segment.isHeld && segment.places.length > 0) return segment.count;
    if (!segment.isAdopting) await this.#begin(segment, part.epoch);
    segment.isRefused = false;
    segment.accepted = prefixOf(segment);
    if (segment.accepted === 0) {
      if (!part.open) return 0;
      segment.open = part.open;
    }
    for (const run of part.runs) {
      const has = segment.accepted;
      if (run.first > has) return has;
      if (run.first + run.count <= has) continue;
      await this.#write.append(segment, run.first === has ? run : withoutFirst(run, has - run.first));
    }
    return prefixOf(segment);
  }

  /** What is left of an earlier copy counts as far as it has no gap: it is the same list. */
  async #begin(segment: LogSegment, epoch: number): Promise<void> {
    this.#table.setAdopting(segment, true, prefixOf(segment));
    if (segment.isForeign) return;
    try {
      await this.#write.adopt(segment, Math.max(1, epoch));
    } catch (error) {
      this.giveUp(segment);
      throw error;
    }
  }
}
