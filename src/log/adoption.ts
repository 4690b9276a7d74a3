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
  append(segment: LogSegment, runs: readonly AppendRun[]): Promise<void>;
  adopt(segment: LogSegment, epoch: number): Promise<void>;
  /** The last entries, and CUSTODY behind them. */
  take(segment: LogSegment, runs: readonly AppendRun[], epoch: number, finalCount: number): Promise<void>;
}

/**
 * Takes segments of other disks into a log, under their own ids.
 *
 *   part ──► begins at what is there? ──no──► says what is there
 *               └──yes──► without what is there already, appended ──► durable ──► says what is there now
 *                                          └── the last one: CUSTODY in the same batch ──► durable ──► it is this node's
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
    return await this.#inTurn(part, async (segment) => {
      await this.#write.append(segment, await this.#missing(segment, part));
      return countOf(segment);
    });
  }

  /**
   * The last part of one that has `finalCount` entries.
   * @param above the epoch will be higher than this and than any that is known here
   * @returns the epoch under which it is this node's; undefined if entries are missing
   * @throws RefusedError what appending refuses
   */
  async takeLast(part: SegmentPart, finalCount: number, above: number): Promise<number | undefined> {
    return await this.#inTurn(part, async (segment) => {
      const runs = await this.#missing(segment, part);
      const last = runs.at(-1);
      if ((last ? last.first + last.count : countOf(segment)) < finalCount) {
        await this.#write.append(segment, runs);
        return undefined;
      }
      const epoch = Math.max(above, segment.highestEpoch) + 1;
      await this.#write.take(segment, runs, epoch, finalCount);
      return epoch;
    });
  }

  /** What of it is there is freed, unless there is CUSTODY or may be: then the next offer takes it up, or the next start. */
  giveUp(segment: LogSegment): void {
    if (segment.isTaking) return;
    this.#table.setAdopting(segment, false);
    this.#table.forgetUnwritten(segment);
  }

  async #inTurn<Result>({ id }: SegmentPart, take: (segment: LogSegment) => Promise<Result>): Promise<Result> {
    const segment = this.#table.segment(this.#table.writer(id.nodeId, id.incarnation), id.counter);
    const before = this.#busy.get(segment);
    const taken = (before ?? Promise.resolve()).catch(() => undefined).then(() => take(segment));
    this.#busy.set(segment, taken);
    try {
      return await taken;
    } finally {
      if (this.#busy.get(segment) === taken) this.#busy.delete(segment);
    }
  }

  /** What is to be written of a part: none of it if something is missing in front of it, or if all is here. */
  async #missing(segment: LogSegment, part: SegmentPart): Promise<readonly AppendRun[]> {
    if (isOfferedAgain(segment)) return [];
    if (!segment.isAdopting) await this.#begin(segment, part.epoch);
    segment.isRefused = false;
    segment.accepted = prefixOf(segment);
    if (segment.accepted === 0) {
      if (!part.open) return [];
      segment.open = part.open;
    }
    const missing: AppendRun[] = [];
    let has = segment.accepted;
    for (const run of part.runs) {
      if (run.first > has) break;
      if (run.first + run.count <= has) continue;
      missing.push(run.first === has ? run : withoutFirst(run, has - run.first));
      has = run.first + run.count;
    }
    return missing;
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

/** Its entries are all here. */
const isOfferedAgain = (segment: LogSegment): boolean => segment.isHeld && segment.places.length > 0;

const countOf = (segment: LogSegment): number => (isOfferedAgain(segment) ? segment.count : prefixOf(segment));
