import type { SegmentSnapshot, UnflushedSegment } from '../chunk/memory-format.ts';
import { Segment } from '../chunk/segment.ts';
import type { LogSegment } from '../log/segment-table.ts';
import { compileLabelMatcher } from '../logql/matcher.ts';
import type { Clock } from '../protocol/clock.ts';
import type { EntryRange } from '../protocol/entry-columns.ts';
import type { LabelSet } from '../protocol/label-set.ts';
import type { LabelMatcher } from '../protocol/matcher.ts';
import type { TimeRangeNs } from '../protocol/time-range.ts';
import type { MemorySource, MemoryStream } from '../query/query-source.ts';
import type { HeldSegmentVolume, HeldVolume } from '../query/stream-volume.ts';
import type { TailListener } from '../query/tail-listener.ts';
import { forEachInSlices } from './cooperative.ts';
import { type CompiledMatcher, passesAll } from './label-index.ts';
import type { LoggedSegments, LoggedStream } from './logged-segments.ts';
import type { StreamCell } from './stream-cell.ts';
import type { StreamDirectory } from './stream-directory.ts';
import type { TailSubscription } from './tenant-streams.ts';

/** Bound of a slice of work on the event loop; the budget for anything is 10 ms. */
const SLICE_MS = 4;

/** Tails get what was appended as a segment of its own, which is no part of any chunk. */
const TAIL_SEGMENT = { nodeId: 'tail', incarnation: 0, counter: 0 };
const TAIL_LIMITS = { blockSize: Number.POSITIVE_INFINITY, targetSize: Number.POSITIVE_INFINITY };

export const compileMatchers = (matchers: readonly LabelMatcher[]): readonly CompiledMatcher[] =>
  matchers.map((matcher) => ({ matcher, test: compileLabelMatcher(matcher) }));

const overlaps = (segment: Segment, { startNs, endNs }: TimeRangeNs): boolean => {
  const { minTime, maxTime } = segment;
  return minTime !== undefined && maxTime !== undefined && minTime <= endNs && maxTime >= startNs;
};

/**
 * What this node's streams hold and the store does not have yet, read straight from the cells: a snapshot costs no copy and needs no
 * message, since handlers are synchronous and leave a cell consistent. What lies in the log and in no cell is asked for last: segments move from
 * a cell to there, never back, and from both to the store, which is read after this.
 */
export class StreamMemory implements MemorySource {
  readonly #directory: StreamDirectory;
  readonly #clock: Clock;
  readonly #logged: LoggedSegments | undefined;

  constructor(directory: StreamDirectory, clock: Clock, logged: LoggedSegments | undefined) {
    this.#directory = directory;
    this.#clock = clock;
    this.#logged = logged;
  }

  /** @throws RefusedError INVALID_QUERY for a regex that does not parse */
  async select(
    tenant: string,
    matchers: readonly LabelMatcher[],
    range: TimeRangeNs,
  ): Promise<readonly MemoryStream[]> {
    const streams: MemoryStream[] = [];
    // One may leave its cell for the log in between.
    const seen = new Set<LogSegment>();
    await this.#visit(tenant, matchers, (cell) => {
      const segments = snapshotsOf(cell, range, this.#logged);
      if (segments.length > 0) streams.push({ labels: cell.labels, segments });
      if (this.#logged) for (const { log } of cell.segments) if (log) seen.add(log);
    });
    await this.#visitLogged(tenant, matchers, (stream, logged) => {
      const found = logged.select(stream, range, seen);
      if (found) streams.push(found);
    });
    return streams;
  }

  /** Labels of the streams that hold entries in the range. */
  async labelSets(tenant: string, matchers: readonly LabelMatcher[], range: TimeRangeNs): Promise<readonly LabelSet[]> {
    const labelSets: LabelSet[] = [];
    await this.#visit(tenant, matchers, (cell) => {
      if (cell.segments.some(({ segment }) => overlaps(segment, range))) labelSets.push(cell.labels);
    });
    await this.#visitLogged(tenant, matchers, (stream, logged) => {
      if (logged.holdsIn(stream, range)) labelSets.push(stream.labels);
    });
    return labelSets;
  }

  /** How much the streams hold in the range, without a look at the entries. */
  async volumes(tenant: string, matchers: readonly LabelMatcher[], range: TimeRangeNs): Promise<readonly HeldVolume[]> {
    const volumes: HeldVolume[] = [];
    const seen = new Set<LogSegment>();
    await this.#visit(tenant, matchers, (cell) => {
      const segments = volumesOf(cell, range);
      if (segments.length > 0) volumes.push({ labels: cell.labels, segments });
      for (const { log } of cell.segments) if (log) seen.add(log);
    });
    await this.#visitLogged(tenant, matchers, ({ labels, parts }) => {
      const segments = parts.flatMap(({ segment }) => (seen.has(segment) ? [] : loggedVolume(segment, range)));
      if (segments.length > 0) volumes.push({ labels, segments });
    });
    return volumes;
  }

  /** @throws RefusedError INVALID_QUERY for a regex that does not parse */
  subscribe(tenant: string, matchers: readonly LabelMatcher[], listener: TailListener): () => void {
    const subscription: TailSubscription = { matchers: compileMatchers(matchers), listener };
    const streams = this.#directory.tenant(tenant);
    streams.subscriptions.add(subscription);
    for (const cell of streams.index.candidates(subscription.matchers) ?? streams.cells.values()) {
      if (passesAll(cell.labels, subscription.matchers)) cell.tails = [...(cell.tails ?? []), subscription];
    }
    return () => {
      if (!streams.subscriptions.delete(subscription)) return;
      for (const cell of streams.cells.values()) {
        if (!cell.tails?.includes(subscription)) continue;
        const others = cell.tails.filter((one) => one !== subscription);
        cell.tails = others.length > 0 ? others : undefined;
      }
    };
  }

  async #visitLogged(
    tenant: string,
    matchers: readonly LabelMatcher[],
    visit: (stream: LoggedStream, logged: LoggedSegments) => void,
  ): Promise<void> {
    const logged = this.#logged;
    if (!logged || logged.size === 0) return;
    const streams = logged.streams(tenant, compileMatchers(matchers));
    await forEachInSlices(this.#clock, SLICE_MS, streams, (stream) => visit(stream, logged));
  }

  async #visit(tenant: string, matchers: readonly LabelMatcher[], visit: (cell: StreamCell) => void): Promise<void> {
    const tests = compileMatchers(matchers);
    const streams = this.#directory.findTenant(tenant);
    if (!streams) return;
    const cells = streams.index.candidates(tests) ?? streams.cells.values();
    await forEachInSlices(this.#clock, SLICE_MS, cells, (cell) => {
      if (passesAll(cell.labels, tests)) visit(cell);
    });
  }
}

const snapshotsOf = (cell: StreamCell, range: TimeRangeNs, logged: LoggedSegments | undefined): UnflushedSegment[] => {
  const segments: UnflushedSegment[] = [];
  for (const { segment, isSpilled, log } of cell.segments) {
    if (!overlaps(segment, range)) continue;
    segments.push(isSpilled && log && logged ? logged.logged(log) : segment.snapshot());
  }
  return segments;
};

const volumesOf = (cell: StreamCell, range: TimeRangeNs): readonly HeldSegmentVolume[] =>
  cell.segments.flatMap(({ segment, isSpilled, log }) => {
    if (isSpilled && log) return loggedVolume(log, range);
    const { id, minTime, maxTime, count } = segment;
    if (minTime === undefined || maxTime === undefined || !overlaps(segment, range)) return [];
    return [{ id, startNs: minTime, endNs: maxTime, entries: count, bytes: plainBytes(segment.snapshot()) }];
  });

/** As blocks count them: lines, and 8 for each pair of metadata. */
const plainBytes = ({ blocks, heads }: SegmentSnapshot): number =>
  blocks.reduce((sum, { uncompressedSize }) => sum + uncompressedSize, 0) +
  heads.reduce((sum, { lineBytes, count, metadataEnds }) => sum + lineBytes + 4 * (metadataEnds?.[count - 1] ?? 0), 0);

/** The log knows the bytes of lines together with what was sent between them, about 20 a line. */
const loggedVolume = (
  { id, minTime, maxTime, count, runBytes }: LogSegment,
  { startNs, endNs }: TimeRangeNs,
): readonly HeldSegmentVolume[] => {
  if (minTime === undefined || maxTime === undefined || minTime > endNs || maxTime < startNs) return [];
  return [{ id, startNs: minTime, endNs: maxTime, entries: count, bytes: runBytes }];
};

/** Shows the tails of a stream what was just accepted. */
export const showToTails = (cell: StreamCell, ranges: readonly EntryRange[]): void => {
  const segment = new Segment(TAIL_SEGMENT, TAIL_LIMITS);
  for (const range of ranges) segment.append(range);
  const stream = { labels: cell.labels, segments: [segment.snapshot()] };
  for (const { listener } of cell.tails ?? []) listener.appended(stream);
};
