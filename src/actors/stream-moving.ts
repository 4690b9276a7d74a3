/** What a stream's actor does when the stream moves to another node. */
import type { LogSegment } from '../log/segment-table.ts';
import { type HeldSegment, type MovingSegment, NO_SHARERS, type StreamCell } from './stream-cell.ts';
import { closeHeads, flushReady, remove } from './stream-sealing.ts';
import type { StreamEffect, StreamMessage, StreamSurroundings } from './stream-state.ts';

export const moveOut = (
  cell: StreamCell,
  { reply }: Extract<StreamMessage, { type: 'move-out' }>,
): readonly StreamEffect[] => {
  const segments: MovingSegment[] = [];
  const { open } = cell;
  if (open?.log && !open.log.isRefused && !open.segment.isEmpty) open.sealedFor = 'moved';
  const sealed = cell.segments.filter(mayMove);
  for (const { sharers } of sealed) for (const part of sharers) part.release();
  for (const part of cell.logged?.parts ?? []) {
    if (!part.segment.isUnreadable && part.claim('moving')) segments.push({ log: part.segment, from: { part } });
  }
  for (const held of sealed) {
    held.sharers = NO_SHARERS;
    held.isMoving = true;
    if (held.log) segments.push({ log: held.log, from: { held } });
  }
  return [{ type: 'moving', segments, reply }];
};

/** What moves is what the log has: one that lost entries on the way there is flushed. */
const mayMove = ({ sealedFor, isFlushing, isMoving, log }: HeldSegment): boolean =>
  sealedFor !== undefined && !isFlushing && !isMoving && log !== undefined && !log.isRefused && !log.isUnreadable;

export const moved = (
  cell: StreamCell,
  { segments }: Extract<StreamMessage, { type: 'moved' }>,
): readonly StreamEffect[] => {
  const effects: StreamEffect[] = [];
  for (const segment of segments) {
    const { from } = segment;
    if ('held' in from) {
      if (!from.held.isMoving || from.held.isDropped) continue;
      effects.push(...remove(cell, from.held));
      drop(from.held);
    } else if (from.part.state !== 'moving') {
      continue;
    }
    effects.push({ type: 'released', segment });
  }
  return effects;
};

export const moveFailed = (
  cell: StreamCell,
  segments: readonly MovingSegment[],
  surroundings: StreamSurroundings,
): readonly StreamEffect[] => {
  const effects: StreamEffect[] = [];
  for (const { from, log } of segments) {
    if ('part' in from) {
      if (from.part.state === 'moving') from.part.release();
      continue;
    }
    const { held } = from;
    if (!held.isMoving || held.isDropped) continue;
    held.isMoving = false;
    if (isInLog(log)) {
      effects.push({ type: 'left-to-log', log }, ...remove(cell, held));
      drop(held);
    } else {
      closeHeads(cell, held, 'moved', surroundings, effects);
    }
  }
  effects.push(...flushReady(cell));
  return effects;
};

/** What the log cannot read is better taken from memory. */
const isInLog = ({ count, accepted, waiting, isRefused, isUnreadable }: LogSegment): boolean =>
  count === accepted && waiting === 0 && !isRefused && !isUnreadable;

/** Gives its memory back, once no worker reads its heads any more. */
export const drop = (held: HeldSegment): void => {
  held.isDropped = true;
  if (held.segment.cutsInFlight > 0) return;
  held.segment.discard();
  held.segment.dropBlocks();
};
