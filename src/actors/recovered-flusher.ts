import { segmentName } from '../chunk/memory-format.ts';
import type { Segment } from '../chunk/segment.ts';
import type { LogSegment } from '../log/segment-table.ts';
import type { Clock } from '../protocol/clock.ts';
import { forEachConcurrent } from '../query/for-each-concurrent.ts';
import type { IndexStore } from '../storage/index-store.ts';
import type { Flusher, JobSegment } from './flusher.ts';
import type { LoggedBlocks } from './logged-blocks.ts';
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
  readonly blocks: LoggedBlocks;
  readonly report: (problem: string, error: unknown, about?: object) => void;
}

/** On their way to the store at a time. */
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
  #isStopped = false;

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

  /** Begins no more. What is under way may end or not: it is in the log all the same. */
  stop(): void {
    this.#isStopped = true;
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
    if (this.#isStopped) return;
    try {
      await this.#flushOne(one);
    } catch (error) {
      if (this.#isStopped) return;
      const { tenant, labels } = one.stream;
      const about = { tenant, stream: labels.canonical };
      this.#deps.report('a segment that lies in the log could not be stored', error, about);
    }
  }

  async #flushOne({ stream, segment }: Recovered): Promise<void> {
    const { recovered, log, index, blocks } = this.#deps;
    const version = segment.header?.version === 3 ? 3 : 4;
    if ((await index.committed(segmentName(segment.id))) === undefined) {
      const loaded = await blocks.load(segment, version);
      // All of it is lost, and reported: there is no chunk of nothing.
      if (loaded.blocks.length === 0) log.ended(segment, segment.id);
      else await this.#store({ stream, segment }, loaded, version);
    } else {
      log.ended(segment, segment.id);
    }
    recovered.remove(stream, segment);
  }

  async #store({ stream, segment }: Recovered, loaded: Segment, version: 3 | 4): Promise<void> {
    const { flusher } = this.#deps;
    const { tenant, labels } = stream;
    const { id } = segment;
    const { blocks, symbols } = loaded;
    const load = async (left: readonly JobSegment[]) => ({ blocks, symbols, segments: left });
    await new Promise<void>((stored) => {
      const segments = [{ id, log: segment, mayBeCommitted: false, stored }];
      flusher.flush({ stream, tenant, labels, segments, load, version, reason: 'recovered' });
    });
  }
}
