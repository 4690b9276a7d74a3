import type { HeadMemorySource } from '../chunk/head-memory.ts';
import { type LoggedSegment, type SegmentSnapshot, segmentName } from '../chunk/memory-format.ts';
import { Segment } from '../chunk/segment.ts';
import type { Log } from '../log/log.ts';
import { LogFileError } from '../log/log-files.ts';
import type { Gap } from '../log/log-reader.ts';
import type { LogSegment } from '../log/segment-table.ts';
import type { SegmentHeader } from '../log/state-records.ts';
import type { Clock } from '../protocol/clock.ts';
import { COLLECTED } from '../protocol/collected.ts';
import type { LabelSet } from '../protocol/label-set.ts';
import { labelSetOf } from '../protocol/label-text.ts';
import { RefusedError } from '../protocol/refusal.ts';
import type { TimeRangeNs } from '../protocol/time-range.ts';
import type { MemoryStream } from '../query/query-source.ts';
import { periodAt, type SchemaConfig, type SchemaPeriod } from '../storage/schema-config.ts';
import { forEachInSlices } from './cooperative.ts';
import { type CompiledMatcher, LabelIndex, passesAll } from './label-index.ts';

export interface LoggedSegmentsDeps {
  readonly log: Log;
  readonly clock: Clock;
  readonly schema: SchemaConfig;
  /** For what queries read: it is lent to them, so that it is used again soon. */
  readonly memory: HeadMemorySource;
  readonly report: (problem: string, error: unknown) => void;
}

/**
 * One segment that lies in the log and in no actor's memory. Whoever flushes or moves it claims it first; nobody else can then.
 *
 *   waiting ──claim──▶ flushing ──stored──▶ removed
 *      ▲  └───claim──▶ moving   ──moved───▶ removed
 *      └────release────────┘
 */
export class LoggedPart {
  readonly stream: LoggedStream;
  readonly segment: LogSegment;
  readonly version: 3 | 4;
  /** Of the schema: segments of two make two chunks. */
  readonly period: SchemaPeriod;
  /** Bounds in ns. */
  readonly minTime: bigint;
  readonly maxTime: bigint;
  /** Estimate of what a head would count of it. */
  readonly plainBytes: number;
  /** Wall clock, ms. */
  readonly openedMs: number;
  /** Wall clock, ms: since when nobody has appended to it, for all this process knows. */
  readonly sinceMs: number;
  /** How often it could not be read: it is flushed alone then, to hold up nobody. */
  failures = 0;
  #claimedFor: 'flushing' | 'moving' | undefined;

  constructor(
    stream: LoggedStream,
    segment: LogSegment,
    { version, openedMs }: Pick<SegmentHeader, 'version' | 'openedMs'>,
    schema: SchemaConfig,
    nowMs: number,
  ) {
    this.stream = stream;
    this.segment = segment;
    this.version = version === 3 ? 3 : 4;
    this.openedMs = openedMs;
    this.minTime = segment.minTime ?? 0n;
    this.maxTime = segment.maxTime ?? 0n;
    this.period = periodAt(schema, Number(this.minTime / NS_PER_MS));
    this.plainBytes = segment.runBytes;
    this.sinceMs = nowMs;
  }

  get state(): 'waiting' | 'flushing' | 'moving' {
    return this.#claimedFor ?? 'waiting';
  }

  /** False if somebody has it. */
  claim(purpose: 'flushing' | 'moving'): boolean {
    if (this.#claimedFor !== undefined) return false;
    this.#claimedFor = purpose;
    return true;
  }

  /** Whoever claimed it gives it up. */
  release(): void {
    this.#claimedFor = undefined;
  }
}

/** What the log has of one stream and no actor's memory: of processes that ended, of other nodes. */
export class LoggedStream {
  readonly tenant: string;
  readonly labels: LabelSet;
  /** Oldest first. */
  readonly parts: LoggedPart[] = [];

  constructor(tenant: string, labels: LabelSet) {
    this.tenant = tenant;
    this.labels = labels;
  }
}

interface TenantLog {
  readonly streams: Map<string, LoggedStream>;
  readonly index: LabelIndex<LoggedStream>;
}

/** A slice of work on the event loop. */
const SLICE_MS = 4;
/** For queries: line bytes of a head. */
const LOAD_BLOCK_SIZE = 256 << 10;
const NS_PER_MS = 1_000_000n;

/**
 * Unflushed segments that lie in the log: of earlier processes, of other nodes. They stay there, where queries read them, until they are stored: a
 * restart reads footers, not gigabytes, and no chunk is cut short because of it.
 */
export class LoggedSegments {
  readonly #deps: LoggedSegmentsDeps;
  readonly #tenants = new Map<string, TenantLog>();
  /** Told of each stream that is new here: its actor should know. */
  #onStream: (stream: LoggedStream) => void = () => undefined;
  #size = 0;

  constructor(deps: LoggedSegmentsDeps) {
    this.#deps = deps;
  }

  /** Of what the log has now: before anything is appended. */
  static async of(deps: LoggedSegmentsDeps): Promise<LoggedSegments> {
    const logged = new LoggedSegments(deps);
    await forEachInSlices(deps.clock, SLICE_MS, deps.log.segments(), (segment) => void logged.add(segment));
    return logged;
  }

  set onStream(tell: (stream: LoggedStream) => void) {
    this.#onStream = tell;
  }

  /** Segments left. */
  get size(): number {
    return this.#size;
  }

  /** Streams of a tenant that may pass the matchers. */
  *streams(tenant: string, matchers: readonly CompiledMatcher[]): Iterable<LoggedStream> {
    const known = this.#tenants.get(tenant);
    if (!known) return;
    for (const stream of known.index.candidates(matchers) ?? known.streams.values()) {
      if (passesAll(stream.labels, matchers)) yield stream;
    }
  }

  *all(): Iterable<LoggedStream> {
    for (const { streams } of this.#tenants.values()) yield* streams.values();
  }

  find(tenant: string, labels: LabelSet): LoggedStream | undefined {
    return this.#tenants.get(tenant)?.streams.get(labels.canonical);
  }

  holdsIn({ parts }: LoggedStream, range: TimeRangeNs): boolean {
    return parts.some((part) => overlaps(part, range));
  }

  /** undefined if the stream has nothing in the range but what the asker has `seen`. */
  select({ labels, parts }: LoggedStream, range: TimeRangeNs, seen: ReadonlySet<LogSegment>): MemoryStream | undefined {
    const found = parts
      .filter((part) => overlaps(part, range) && !seen.has(part.segment))
      .map(({ segment }) => this.logged(segment));
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
        const loaded = await this.load([segment], { blockSize: LOAD_BLOCK_SIZE });
        const snapshot = loaded.snapshot();
        loaded.discard();
        return snapshot;
      },
    };
    COLLECTED.register(logged, this.#deps.log.pin(segment));
    return logged;
  }

  /** All of it is durable in the log, and in no actor's memory. undefined if its labels are lost. */
  add(segment: LogSegment): LoggedPart | undefined {
    const { schema, clock, report } = this.#deps;
    const { header } = segment;
    if (!header) {
      report(`segment ${segmentName(segment.id)} of the log has lost its labels: it cannot be read`, undefined);
      return undefined;
    }
    const stream = this.#stream(header.tenant, labelSetOf(header.labels));
    const part = new LoggedPart(stream, segment, header, schema, clock.nowMs());
    stream.parts.push(part);
    this.#size += 1;
    return part;
  }

  /** It is stored, or somebody else's. */
  remove(part: LoggedPart): void {
    const { stream } = part;
    const at = stream.parts.indexOf(part);
    if (at < 0) return;
    stream.parts.splice(at, 1);
    this.#size -= 1;
    const tenant = this.#tenants.get(stream.tenant);
    if (stream.parts.length > 0 || !tenant) return;
    tenant.streams.delete(stream.labels.canonical);
    tenant.index.remove(stream);
    if (tenant.streams.size === 0) this.#tenants.delete(stream.tenant);
  }

  /**
   * Entries of segments in memory, one behind the other; what repeats the end of the one before is dropped.
   * @param symbols metadata texts that get the first numbers
   * @throws RefusedError STORAGE_UNAVAILABLE if the disk fails; INTERNAL if entries are damaged, unless `onGap` takes that
   */
  async load(segments: readonly LogSegment[], options: LoadOptions): Promise<Segment> {
    const [first] = segments;
    if (!first) throw new Error('no segment to load');
    const { blockSize, symbols = [] } = options;
    const limits = { blockSize, targetSize: Number.POSITIVE_INFINITY, memory: this.#deps.memory };
    const loaded = new Segment(first.id, limits);
    if (symbols.length > 0) loaded.useSymbols(symbols);
    let loading = first;
    try {
      for (loading of segments) await this.#fill(loaded, loading, options);
      return loaded;
    } catch (error) {
      loaded.discard();
      if (!(error instanceof LogFileError)) throw error;
      const text = `segment ${segmentName(loading.id)} cannot be read from the log: ${error.message}`;
      throw new RefusedError({ code: 'STORAGE_UNAVAILABLE', text }, { cause: error });
    }
  }

  async #fill(loaded: Segment, segment: LogSegment, { onGap, bytesMax }: LoadOptions): Promise<void> {
    const gaps: Gap[] = [];
    for await (const { columns, count } of this.#deps.log.read(segment, (gap) => gaps.push(gap))) {
      const { next } = loaded.append({ columns, first: 0, end: count });
      if (next < count) throw new Error(`segment ${segmentName(segment.id)} is larger than a chunk may be`);
      if (gaps.length > 0 && !onGap) throw unreadable(segment, gaps);
      if (bytesMax !== undefined && loaded.lineBytes >= bytesMax) return;
    }
    if (gaps.length > 0 && !onGap) throw unreadable(segment, gaps);
    for (const gap of gaps) onGap?.(segment, gap);
  }

  #stream(tenant: string, labels: LabelSet): LoggedStream {
    const known = this.#tenants.get(tenant) ?? { streams: new Map(), index: new LabelIndex() };
    this.#tenants.set(tenant, known);
    let stream = known.streams.get(labels.canonical);
    if (!stream) {
      stream = new LoggedStream(tenant, labels);
      known.streams.set(labels.canonical, stream);
      known.index.add(stream);
      this.#onStream(stream);
    }
    return stream;
  }
}

export interface LoadOptions {
  /** Line bytes of a head. */
  readonly blockSize: number;
  readonly symbols?: readonly string[];
  /** Not much more line bytes than this, if given. */
  readonly bytesMax?: number;
  readonly onGap?: (segment: LogSegment, gap: Gap) => void;
}

const overlaps = (
  { minTime, maxTime }: Pick<LoggedPart, 'minTime' | 'maxTime'>,
  { startNs, endNs }: TimeRangeNs,
): boolean => minTime <= endNs && maxTime >= startNs;

/** The range is what the log knows to be damaged, told at the start; what can be read is not held back for ever: it is flushed. */
const unreadable = (segment: LogSegment, [gap]: readonly Gap[]): RefusedError =>
  new RefusedError({
    code: 'INTERNAL',
    text:
      `entries ${gap?.first} to ${(gap?.end ?? 0) - 1} of segment ${segmentName(segment.id)} cannot be read from the log` +
      `${gap?.file ? ` (${gap.file})` : ''}`,
  });
