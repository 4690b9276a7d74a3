/** What all ends of a segment have in common: its heads are closed, it goes to the flusher, it leaves its cell. */
import { fittingSharers } from './chunk-share.ts';
import type { FlushReason, HeldSegment, StreamCell } from './stream-cell.ts';
import type { StreamEffect, StreamSurroundings } from './stream-state.ts';

/** It takes no more, and claims those that will share its chunk. */
export const closeHeads = (
  cell: StreamCell,
  held: HeldSegment,
  reason: FlushReason,
  { segmentLimits }: StreamSurroundings,
  effects: StreamEffect[],
): void => {
  held.sealedFor = reason;
  held.sharers = fittingSharers(cell.logged, held, segmentLimits).filter((part) => part.claim('flushing'));
  for (let cut = held.segment.cutHead(); cut; cut = held.segment.cutHead()) effects.push({ type: 'cut', held, cut });
};

/** Sealed segments whose heads are all cut go to the flusher; one that is not ready holds up those behind it. */
export const flushReady = (cell: StreamCell): StreamEffect[] => {
  const effects: StreamEffect[] = [];
  for (const held of cell.segments) {
    if (held.isFlushing || held.isMoving) continue;
    if (held.sealedFor === undefined || !held.segment.isAllCut) break;
    held.isFlushing = true;
    effects.push({ type: 'flush', held });
  }
  return effects;
};

/** It is stored, or not this actor's any more. */
export const remove = (cell: StreamCell, held: HeldSegment): StreamEffect[] => {
  cell.segments = cell.segments.filter((one) => one !== held);
  const effects = onlyRepeatsStored(cell) ? endEmpty(cell) : [];
  if (cell.segments.length === 0) cell.last ??= held.segment.lastEntry;
  const waiters = cell.flushWaiters;
  if (!waiters) return effects;
  const oldest = cell.segments.find(({ isMoving }) => !isMoving)?.segment.id.counter ?? Number.POSITIVE_INFINITY;
  const waiting = waiters.filter(({ through }) => through >= oldest);
  cell.flushWaiters = waiting.length > 0 ? waiting : undefined;
  for (const { through, reply } of waiters) if (through < oldest) effects.push({ type: 'replied', reply });
  return effects;
};

/** An open segment that has nothing of its own: the log may have the repetitions that were offered to it. */
const endEmpty = (cell: StreamCell): StreamEffect[] => {
  const [empty] = cell.segments;
  cell.segments = [];
  cell.last = empty?.segment.lastEntry;
  return empty?.log ? [{ type: 'ended', held: empty }] : [];
};

/** All that was offered since the last segment was stored repeats an entry of it: that one is in a committed chunk. */
export const onlyRepeatsStored = ({ segments: [first, second] }: StreamCell): boolean =>
  first !== undefined && second === undefined && first.segment.isEmpty;
