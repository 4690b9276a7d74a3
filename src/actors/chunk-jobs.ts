import type { ChunkJob, JobSegment, LoadedSegments } from './flusher.ts';
import type { LoggedBlocks } from './logged-blocks.ts';
import type { LoggedPart, LoggedSegments, LoggedStream } from './logged-segments.ts';
import type { HeldSegment, StreamCell } from './stream-cell.ts';

export interface ChunkJobsDeps {
  /** Both undefined on a node without a log. */
  readonly logged: LoggedSegments | undefined;
  readonly blocks: LoggedBlocks | undefined;
  /** It is in the store. */
  readonly stored: (cell: StreamCell, held: HeldSegment) => void;
  readonly report: (problem: string, error: unknown, about?: object) => void;
}

type Blocks = Omit<LoadedSegments, 'segments'>;

const NOTHING: Blocks = { blocks: [], symbols: [], joint: 0 };

/**
 * What the flusher needs to know of a chunk to be.
 *
 *   in the log, oldest first   │ seg 3 │ seg 7 │ ──read, cut──► blocks ┐
 *   in memory, or spilled      │ seg 9 │ ─────────────────────► blocks ┴► one chunk, one symbol table
 *
 * The table is that of the segment in memory, which has its blocks already; those that are cut now go on numbering from it.
 */
export class ChunkJobs {
  readonly #deps: ChunkJobsDeps;
  #isStopped = false;

  constructor(deps: ChunkJobsDeps) {
    this.#deps = deps;
  }

  /** What fails from here on was cancelled. */
  stop(): void {
    this.#isStopped = true;
  }

  /** Of a stream's sealed segment and those that share its chunk. */
  ofHeld(cell: StreamCell, held: HeldSegment): ChunkJob {
    const { version, sealedFor, log, sharers, segment } = held;
    const own: JobSegment = {
      id: segment.id,
      log,
      mayBeCommitted: false,
      stored: () => this.#deps.stored(cell, held),
    };
    const others = sharers.map((part) => [this.#partOf(part), part] as const);
    return {
      stream: cell,
      tenant: cell.tenant.name,
      labels: cell.labels,
      segments: [...others.map(([one]) => one), own],
      load: async (segments) => {
        const left = others.flatMap(([one, part]) => (segments.includes(one) ? [part] : []));
        const isOwnLeft = segments.includes(own);
        try {
          return { ...(await this.#load(left, isOwnLeft ? held : undefined, version)), segments };
        } catch (error) {
          if (left.length === 0 || !isOwnLeft || this.#isStopped) throw error;
          return await this.#loadAlone(cell, held, left, own, error);
        }
      },
      version,
      reason: sealedFor ?? 'asked',
    };
  }

  /** Of segments of a stream that all lie in the log: claimed, one version. @throws RefusedError if they cannot be read */
  async ofParts(stream: LoggedStream, parts: readonly LoggedPart[]): Promise<Omit<ChunkJob, 'reason'>> {
    const version = parts[0]?.version ?? 4;
    const { tenant, labels } = stream;
    const all = parts.map((part) => [this.#partOf(part), part] as const);
    let first: Blocks | undefined = await this.#load(parts, undefined, version);
    const load = async (segments: readonly JobSegment[]): Promise<LoadedSegments> => {
      const left = all.flatMap(([one, part]) => (segments.includes(one) ? [part] : []));
      if (left.length < all.length) first = undefined;
      return { ...(first ?? (await this.#load(left, undefined, version))), segments };
    };
    return { stream, tenant, labels, segments: all.map(([one]) => one), load, version };
  }

  #partOf(part: LoggedPart): JobSegment {
    const { segment } = part;
    return { id: segment.id, log: segment, mayBeCommitted: true, stored: () => this.#deps.logged?.remove(part) };
  }

  async #load(parts: readonly LoggedPart[], held: HeldSegment | undefined, version: 3 | 4): Promise<Blocks> {
    const { blocks } = this.#deps;
    const logs = parts.map(({ segment }) => segment);
    const isSpilled = held?.isSpilled === true && held.log !== undefined;
    if (isSpilled && held.log) logs.push(held.log);
    // Kept here: it may be spilled meanwhile.
    const own = held && !isSpilled ? { blocks: held.segment.blocks, symbols: held.segment.symbols, joint: 0 } : NOTHING;
    if (logs.length === 0 || !blocks) return own;
    const loaded = await blocks.load(logs, version, own.symbols);
    return { blocks: [...loaded.blocks, ...own.blocks], symbols: loaded.symbols, joint: loaded.blocks.length };
  }

  /** What lies in the log cannot be read: the stream's own does not wait for it. */
  async #loadAlone(
    cell: StreamCell,
    held: HeldSegment,
    parts: readonly LoggedPart[],
    own: JobSegment,
    error: unknown,
  ): Promise<LoadedSegments> {
    for (const part of parts) {
      part.failures += 1;
      part.release();
    }
    const about = { tenant: cell.tenant.name, stream: cell.labels.canonical };
    this.#deps.report('a segment that lies in the log could not be stored', error, about);
    return { ...(await this.#load([], held, held.version)), segments: [own] };
  }
}
