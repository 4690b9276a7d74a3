import type { HeadMemorySource } from '../chunk/head-memory.ts';
import { type LoggedSegment, type SegmentSnapshot, segmentName } from '../chunk/memory-format.ts';
import { Segment } from '../chunk/segment.ts';
import type { Log } from '../log/log.ts';
import { LogFileError } from '../log/log-files.ts';
import type { Gap } from '../log/log-reader.ts';
import type { LogSegment } from '../log/segment-table.ts';
import type { Clock } from '../protocol/clock.ts';
import type { LabelSet } from '../protocol/label-set.ts';
import { labelSetOf } from '../protocol/label-text.ts';
import { RefusedError } from '../protocol/refusal.ts';
import type { TimeRangeNs } from '../protocol/time-range.ts';
import type { MemoryStream } from '../query/query-source.ts';
import { forEachInSlices } from './cooperative.ts';
import { type CompiledMatcher, LabelIndex, passesAll } from './label-index.ts';

export interface RecoveredSegmentsDeps {
  readonly log: Log;
  readonly clock: Clock;
  /** For what queries read: it is lent to them, so that it is used again soon. */
  readonly memory: HeadMemorySource;
  readonly report: (problem: string, error: unknown) => void;
}

/** What the log has of one stream from processes that ended. */
export class RecoveredStream {
  readonly tenant: string;
  readonly labels: LabelSet;
  readonly segments: LogSegment[] = [];

  constructor(tenant: string, labels: LabelSet) {
    this.tenant = tenant;
    this.labels = labels;
  }
}

interface TenantRecovery {
  readonly streams: Map<string, RecoveredStream>;
  readonly index: LabelIndex<RecoveredStream>;
}

/** A slice of work on the event loop. */
const SLICE_MS = 4;
/** For queries: line bytes of a head. */
const LOAD_BLOCK_SIZE = 256 << 10;

/**
 * Unflushed segments of earlier processes. They stay in the log, where queries read them, until they are stored: a restart reads footers,
 * not gigabytes, and no chunk is cut short because of it.
 */
export class RecoveredSegments {
  readonly #deps: RecoveredSegmentsDeps;
  readonly #tenants = new Map<string, TenantRecovery>();
  readonly #pins = new FinalizationRegistry<() => void>((unpin) => unpin());
  #size = 0;

  private constructor(deps: RecoveredSegmentsDeps) {
    this.#deps = deps;
  }

  /** Of what the log has now: before anything is appended. */
  static async of(deps: RecoveredSegmentsDeps): Promise<RecoveredSegments> {
    const recovered = new RecoveredSegments(deps);
    await forEachInSlices(deps.clock, SLICE_MS, deps.log.segments(), (segment) => recovered.#add(segment));
    return recovered;
  }

  /** Segments left. */
  get size(): number {
    return this.#size;
  }

  /** Streams of a tenant that may pass the matchers. */
  *streams(tenant: string, matchers: readonly CompiledMatcher[]): Iterable<RecoveredStream> {
    const known = this.#tenants.get(tenant);
    if (!known) return;
    for (const stream of known.index.candidates(matchers) ?? known.streams.values()) {
      if (passesAll(stream.labels, matchers)) yield stream;
    }
  }

  *all(): Iterable<{ readonly stream: RecoveredStream; readonly segment: LogSegment }> {
    for (const { streams } of this.#tenants.values()) {
      for (const stream of streams.values()) for (const segment of stream.segments) yield { stream, segment };
    }
  }

  holdsIn({ segments }: RecoveredStream, range: TimeRangeNs): boolean {
    return segments.some((segment) => overlaps(segment, range));
  }

  /** undefined if the stream has nothing in the range. */
  select({ labels, segments }: RecoveredStream, range: TimeRangeNs): MemoryStream | undefined {
    const found = segments.filter((segment) => overlaps(segment, range)).map((segment) => this.logged(segment));
    return found.length > 0 ? { labels, segments: found } : undefined;
  }

  /** A segment of the log as queries read it. Its files stay while anybody keeps the object. */
  logged(segment: LogSegment): LoggedSegment {
    const logged: LoggedSegment = {
      id: segment.id,
      minTime: segment.minTime ?? 0n,
      maxTime: segment.maxTime ?? 0n,
      bytes: segment.bytes,
      load: async (): Promise<SegmentSnapshot> => {
        const loaded = await this.load(segment, LOAD_BLOCK_SIZE);
        const snapshot = loaded.snapshot();
        loaded.discard();
        return snapshot;
      },
    };
    this.#pins.register(logged, this.#deps.log.pin(segment));
    return logged;
  }

  /** It is stored. */
  remove(stream: RecoveredStream, segment: LogSegment): void {
    const at = stream.segments.indexOf(segment);
    if (at < 0) return;
    stream.segments.splice(at, 1);
    this.#size -= 1;
    const tenant = this.#tenants.get(stream.tenant);
    if (stream.segments.length > 0 || !tenant) return;
    tenant.streams.delete(stream.labels.canonical);
    tenant.index.remove(stream);
    if (tenant.streams.size === 0) this.#tenants.delete(stream.tenant);
  }

  /**
   * The segment's entries in memory.
   * @throws RefusedError STORAGE_UNAVAILABLE if the disk fails; INTERNAL if entries are damaged, unless `onGap` takes that
   */
  async load(segment: LogSegment, blockSize: number, onGap?: (gap: Gap) => void): Promise<Segment> {
    const limits = { blockSize, targetSize: Number.POSITIVE_INFINITY, memory: this.#deps.memory };
    const loaded = new Segment(segment.id, limits);
    try {
      await this.#fill(loaded, segment, onGap);
      return loaded;
    } catch (error) {
      loaded.discard();
      if (!(error instanceof LogFileError)) throw error;
      const text = `segment ${segmentName(segment.id)} cannot be read from the log: ${error.message}`;
      throw new RefusedError({ code: 'STORAGE_UNAVAILABLE', text }, { cause: error });
    }
  }

  async #fill(loaded: Segment, segment: LogSegment, onGap?: (gap: Gap) => void): Promise<void> {
    const gaps: Gap[] = [];
    for await (const { columns, count } of this.#deps.log.read(segment, (gap) => gaps.push(gap))) {
      const { next } = loaded.append({ columns, first: 0, end: count });
      if (next < count) throw new Error(`segment ${segmentName(segment.id)} is larger than a chunk may be`);
      if (gaps.length > 0 && !onGap) throw unreadable(segment, gaps);
    }
    if (gaps.length > 0 && !onGap) throw unreadable(segment, gaps);
    for (const gap of gaps) onGap?.(gap);
  }

  #add(segment: LogSegment): void {
    const { header } = segment;
    if (!header) {
      this.#deps.report(
        `segment ${segmentName(segment.id)} of the log has lost its labels: it cannot be read`,
        undefined,
      );
      return;
    }
    const { tenant, labels } = header;
    const known = this.#tenants.get(tenant) ?? { streams: new Map(), index: new LabelIndex() };
    this.#tenants.set(tenant, known);
    const labelSet = labelSetOf(labels);
    let stream = known.streams.get(labelSet.canonical);
    if (!stream) {
      stream = new RecoveredStream(tenant, labelSet);
      known.streams.set(labelSet.canonical, stream);
      known.index.add(stream);
    }
    stream.segments.push(segment);
    this.#size += 1;
  }
}

const overlaps = ({ minTime, maxTime }: LogSegment, { startNs, endNs }: TimeRangeNs): boolean =>
  minTime !== undefined && maxTime !== undefined && minTime <= endNs && maxTime >= startNs;

/** The range is what the log knows to be damaged, told at the start; what can be read is not held back for ever: it is flushed. */
const unreadable = (segment: LogSegment, [gap]: readonly Gap[]): RefusedError =>
  new RefusedError({
    code: 'INTERNAL',
    text:
      `entries ${gap?.first} to ${(gap?.end ?? 0) - 1} of segment ${segmentName(segment.id)} cannot be read from the log` +
      `${gap?.file ? ` (${gap.file})` : ''}`,
  });
