import type { Clock } from '../protocol/clock.ts';
import type { LabelSet } from '../protocol/label-set.ts';
import { forEachInSlices } from './cooperative.ts';
import type { LoggedPart, LoggedSegments, LoggedStream } from './logged-segments.ts';
import type { StreamDirectory } from './stream-directory.ts';

/** What a stream has that the store has not. */
export interface UnflushedStream {
  readonly tenant: string;
  readonly labels: LabelSet;
  /** Some of it is in nobody's hands. */
  readonly isMovable: boolean;
  /** Segments on their way to the store. */
  readonly flushing: number;
  /** Segments that were claimed for another node: some of them may have been given up already, and the actor has not heard of it yet. */
  readonly moving: number;
  /** `LogSegment.ordinal` of its oldest one. */
  readonly oldestSegment: number;
}

/** Work in one go on the event loop: chosen, little, for a node that leaves looks again and again. */
const SLICE_MS = 1;

/** Streams that have something unflushed, in memory or in the log, without holding up the event loop. */
export const forEachUnflushed = async (
  {
    directory,
    logged,
    clock,
  }: { readonly directory: StreamDirectory; readonly logged: LoggedSegments | undefined; readonly clock: Clock },
  visit: (stream: UnflushedStream) => void,
): Promise<void> => {
  await directory.forEach((cell) => {
    const { tenant, labels, segments } = cell;
    const flushing = segments.filter(({ isFlushing }) => isFlushing).length + partsIn(cell.logged, 'flushing');
    const moving = segments.filter(({ isMoving }) => isMoving).length + partsIn(cell.logged, 'moving');
    const isMovable =
      segments.some(
        ({ segment, isFlushing, isMoving, log }) => !isFlushing && !isMoving && !segment.isEmpty && !log?.isUnreadable,
      ) || hasMovable(cell.logged);
    if (!isMovable && flushing + moving === 0) return;
    // What the log has beside the actor's memory came first, and is most of it.
    const oldestSegment = (cell.logged?.parts[0]?.segment ?? segments[0]?.log)?.ordinal ?? 0;
    visit({ tenant: tenant.name, labels, isMovable, flushing, moving, oldestSegment });
  });
  await forEachInSlices(clock, SLICE_MS, logged?.all() ?? [], (stream) => {
    const { tenant, labels } = stream;
    if (directory.find(tenant, labels)) return;
    const [flushing, moving] = [partsIn(stream, 'flushing'), partsIn(stream, 'moving')];
    const isMovable = hasMovable(stream);
    if (!isMovable && flushing + moving === 0) return;
    const oldestSegment = stream.parts[0]?.segment.ordinal ?? 0;
    visit({ tenant, labels, isMovable, flushing, moving, oldestSegment });
  });
};

const hasMovable = (logged: LoggedStream | undefined): boolean =>
  logged?.parts.some(({ state, segment }) => state === 'waiting' && !segment.isUnreadable) ?? false;

const partsIn = (logged: LoggedStream | undefined, wanted: LoggedPart['state']): number =>
  logged?.parts.filter(({ state }) => state === wanted).length ?? 0;
