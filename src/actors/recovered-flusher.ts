import type { BlockEncoding } from '../chunk/block-encoding.ts';
import { type BlockData, segmentName } from '../chunk/memory-format.ts';
import type { Segment, SegmentLimits } from '../chunk/segment.ts';
import type { Gap } from '../log/log-reader.ts';
import type { LogSegment } from '../log/segment-table.ts';
import type { Clock } from '../protocol/clock.ts';
import { forEachConcurrent } from '../query/for-each-concurrent.ts';
import type { IndexStore } from '../storage/index-store.ts';
import type { CutTask } from '../workers/cut-worker.ts';
import type { Flusher } from './flusher.ts';
import type { RecoveredSegments, RecoveredStream } from './recovered-segments.ts';
import type { SegmentLog } from './segment-log.ts';
import type { FlushRules } from './stream-state.ts';

export interface RecoveredFlusherDeps {
  readonly recovered: RecoveredSegments;
  readonly log: SegmentLog;
  readonly index: IndexStore;
  readonly flusher: Flusher;
  readonly clock: Clock;
  readonly rules: FlushRules;
  /** In a worker thread. */
  readonly cut: (task: CutTask) => Promise<BlockData>;
  readonly limits: SegmentLimits;
  readonly encoding: BlockEncoding;
  readonly level: number;
  readonly report: (problem: string, error: unknown) => void;
}

/** Segments in memory at a time: pushes have the memory otherwise. */
const CONCURRENCY = 4;

interface Recovered {
  readonly stream: RecoveredStream;
  readonly segment: LogSegment;
}

/**
 * Brings what earlier processes left into the store, by the rules that hold for what is in memory: once it is idle or old, or when somebody
 * asks.
 *
 *   in the log ──due──► committed already? ──no──► read, cut, chunk object, commit ──► FLUSHED
 *                              └──yes────────────────────────────────────────────────────▲
 */
export class RecoveredFlusher {
  readonly #deps: RecoveredFlusherDeps;
  readonly #startedMs: number;
  #running: Promise<void> | undefined;

  constructor(deps: RecoveredFlusherDeps) {
    this.#deps = deps;
    this.#startedMs = deps.clock.nowMs();
  }

  /** Stores what is idle or old by now. */
  async sweep(): Promise<void> {
    const { clock, rules } = this.#deps;
    const nowMs = clock.nowMs();
    const isIdle = nowMs - this.#startedMs > rules.idleMs;
    const ageMs = Number(rules.ageNs / 1_000_000n);
    await this.#flush(({ header }) => isIdle || nowMs - (header?.openedMs ?? 0) > ageMs);
  }

  /** Stores all of it; what fails is reported and stays. */
  async flushAll(): Promise<void> {
    await this.#running;
    await this.#flush(() => true);
  }

  /** One run at a time: a sweep that finds one under way leaves the rest to it or to the next. */
  async #flush(isDue: (segment: LogSegment) => boolean): Promise<void> {
    if (this.#running === undefined) {
      const due = [...this.#deps.recovered.all()].filter(({ segment }) => isDue(segment));
      this.#running = forEachConcurrent(due, CONCURRENCY, (one) => this.#tryOne(one)).finally(() => {
        this.#running = undefined;
      });
    }
    await this.#running;
  }

  async #tryOne(one: Recovered): Promise<void> {
    try {
      await this.#flushOne(one);
    } catch (error) {
      this.#deps.report(`a segment of ${one.stream.labels.canonical} that lies in the log could not be stored`, error);
    }
  }

  async #flushOne({ stream, segment }: Recovered): Promise<void> {
    const { recovered, log, index, flusher, limits } = this.#deps;
    const version = segment.header?.version === 3 ? 3 : 4;
    if ((await index.committed(segmentName(segment.id))) === undefined) {
      const loaded = await recovered.load(segment, limits, (gap) => this.#reportGap(segment, gap));
      if (loaded.isEmpty) {
        // All of it is lost, and reported: there is no chunk of nothing.
        log.ended(segment, segment.id);
      } else {
        await this.#cutAll(loaded, version);
        const { tenant, labels } = stream;
        await new Promise<void>((stored) => {
          flusher.flush({
            stream,
            tenant,
            labels,
            segment: loaded,
            version,
            reason: 'recovered',
            log: segment,
            stored,
          });
        });
      }
    } else {
      log.ended(segment, segment.id);
    }
    recovered.remove(stream, segment);
  }

  async #cutAll(segment: Segment, version: 3 | 4): Promise<void> {
    const { encoding, level, cut: run } = this.#deps;
    for (let cut = segment.cutHead(); cut; cut = segment.cutHead()) {
      const withMetadataSections = version === 4;
      segment.headCut(cut.number, await run({ kind: 'cut', head: cut.head, encoding, level, withMetadataSections }));
    }
  }

  #reportGap({ id }: LogSegment, { first, end, file }: Gap): void {
    const where = file ? ` in ${file}` : '';
    this.#deps.report(
      `${end - first} entries of segment ${segmentName(id)} are lost to damage of the log${where}`,
      undefined,
    );
  }
}
