/**
 * What a stream does with a message: (cell, message) → changed cell and effects. No clock, no I/O, no chance. The cell is changed in
 * place: it is this stream's alone (see stream-cell.ts).
 *
 *   segment:  open ──full, idle, old, asked, memory──▶ sealed ──all heads cut──▶ flushing ──stored──▶ dropped
 *               └────────move-out────────────────────────┴──▶ moving ──moved──▶ dropped
 *                                                               └──move-failed──▶ in the log only: part of the next chunk
 *
 * A segment takes those of its stream that lie in the log and wait into its chunk (see chunk-share.ts), and is full the earlier for it.
 * Segments reach the store in order. Memory answers queries for a segment until it is stored, index rows and all.
 */
import type { BlockData, SegmentId } from '../chunk/memory-format.ts';
import { type HeadCut, Segment } from '../chunk/segment.ts';
import type { SegmentLimits } from '../chunk/segment-limits.ts';
import type { LogSegment } from '../log/segment-table.ts';
import type { EntryRange } from '../protocol/entry-columns.ts';
import { chunkFormatOf, type SchemaPeriod } from '../storage/schema-config.ts';
import { plainBytesOf, plainTarget, sharersOf } from './chunk-share.ts';
import type { LoggedStream } from './logged-segments.ts';
import {
  type Admission,
  admit,
  type RefusedEntries,
  refusedEntriesText,
  type StreamLimits,
} from './stream-admission.ts';
import {
  type FlushReason,
  type HeldSegment,
  type MovedSegment,
  type MovingSegment,
  NO_SHARERS,
  type StreamCell,
} from './stream-cell.ts';
import { drop, moved, moveFailed, moveOut } from './stream-moving.ts';
import { closeHeads, flushReady, onlyRepeatsStored, remove } from './stream-sealing.ts';

/** What one push got from one stream. */
export interface AppendOutcome {
  /** Duplicates included: they are stored already. */
  readonly acceptedLines: number;
  readonly acceptedBytes: number;
  readonly refusal: AppendRefusal | undefined;
}

export interface AppendRefusal {
  readonly code: 'INVALID_ENTRIES' | 'RATE_LIMITED' | 'STREAM_LIMIT' | 'NOT_LOGGED' | 'INTERNAL';
  readonly text: string;
  readonly lines: number;
  readonly bytes: number;
}

/** One of several messages of a push for a stream. */
export interface AppendPart {
  /** Shared by all of them; the last one's answer tells of it. */
  readonly refused: RefusedEntries;
  readonly isLast: boolean;
}

export type StreamMessage =
  /** From the distributor, one per stream and push; several if it has very many entries. Each is answered once. */
  | {
      readonly type: 'append';
      readonly ranges: readonly EntryRange[];
      readonly limits: StreamLimits;
      readonly nowMs: number;
      readonly reply: (outcome: AppendOutcome) => void;
      /** Where there are several. */
      readonly part?: AppendPart | undefined;
    }
  /** From the cutter: a head became a block, or could not. */
  | { readonly type: 'cut-done'; readonly held: HeldSegment; readonly cut: HeadCut; readonly block: BlockData }
  | { readonly type: 'cut-failed'; readonly held: HeldSegment; readonly cut: HeadCut }
  /** From the memory budget: give up the head now, into a smaller block. */
  | { readonly type: 'cut-early' }
  /** From the sweep: look whether the open segment is idle or old. */
  | { readonly type: 'check'; readonly rules: FlushRules; readonly nowMs: number }
  /** Store what is unflushed. `reply`, if given, is called when all of it is stored. */
  | { readonly type: 'flush'; readonly reason: FlushReason; readonly reply?: (answer: undefined) => void }
  /** From the memory guard: give up what waits for the store and is in the log. */
  | { readonly type: 'spill' }
  /** From the shell: the log refused entries of this segment, so it takes no more. */
  | { readonly type: 'unlogged'; readonly held: HeldSegment }
  /** From the flusher: object and index rows last. */
  | { readonly type: 'stored'; readonly held: HeldSegment }
  /**
   * From the hand-over: another node owns the stream. What the flusher does not have yet becomes `moving`, sealed and not cut. `reply` gets it,
   * oldest first.
   */
  | { readonly type: 'move-out'; readonly reply: (segments: readonly MovingSegment[]) => void }
  /** From the hand-over, once nobody asks here any more: another node has them. May come twice. */
  | { readonly type: 'moved'; readonly segments: readonly MovedSegment[] }
  /** From the hand-over: they stay here. May come twice. */
  | { readonly type: 'move-failed'; readonly segments: readonly MovingSegment[] }
  /** From the directory: stop if nothing is held and nothing is coming. */
  | { readonly type: 'passivate'; readonly rules: FlushRules; readonly nowMs: number };

export type StreamEffect =
  /** Entries that were just appended to `held`, in order: the reply of this step waits until they are durable. */
  | { readonly type: 'log'; readonly held: HeldSegment; readonly range: EntryRange }
  | { readonly type: 'reply'; readonly reply: (outcome: AppendOutcome) => void; readonly outcome: AppendOutcome }
  | { readonly type: 'replied'; readonly reply: (answer: undefined) => void }
  /** For tails: what was just accepted. */
  | { readonly type: 'appended'; readonly ranges: readonly EntryRange[] }
  | { readonly type: 'cut'; readonly held: HeldSegment; readonly cut: HeadCut }
  /** It failed before: wait a little. */
  | { readonly type: 'cut-again'; readonly held: HeldSegment; readonly cut: HeadCut }
  | { readonly type: 'flush'; readonly held: HeldSegment }
  /** What the log has of the stream makes a chunk of its own. */
  | { readonly type: 'flush-logged' }
  /** What the log has of it is in a committed chunk. */
  | { readonly type: 'ended'; readonly held: HeldSegment }
  | {
      readonly type: 'moving';
      readonly segments: readonly MovingSegment[];
      readonly reply: (segments: readonly MovingSegment[]) => void;
    }
  /** It is another node's: the log may forget it. */
  | { readonly type: 'released'; readonly segment: MovedSegment }
  /** It left the actor's memory: the log has all of it. */
  | { readonly type: 'left-to-log'; readonly log: LogSegment }
  | { readonly type: 'passivated' }
  /** A defect: the batch is refused, the actor starts anew from its cell. Comes last, so that what was decided before is done. */
  | { readonly type: 'crash'; readonly error: unknown };

export interface FlushRules {
  /** `chunk_idle_period` */
  readonly idleMs: number;
  /** `max_chunk_age` */
  readonly ageNs: bigint;
  /** How long an empty stream keeps its actor. */
  readonly passivateMs: number;
}

/** What steps need to know of their node. */
export interface StreamSurroundings {
  readonly segmentLimits: SegmentLimits;
  readonly nextSegmentId: () => SegmentId;
  /** Of the schema: the format of a chunk that begins at this time. */
  readonly periodAt: (timeNs: bigint) => SchemaPeriod;
  /** Compressed bytes of a plain one, as the node's blocks turned out lately. */
  readonly compressionGuess: () => number;
}

export const stepStream = (
  cell: StreamCell,
  message: StreamMessage,
  surroundings: StreamSurroundings,
): readonly StreamEffect[] => {
  switch (message.type) {
    case 'append':
      return append(cell, message, surroundings);
    case 'cut-done':
      message.held.segment.headCut(message.cut.number, message.block);
      if (message.held.isDropped) drop(message.held);
      return flushReady(cell);
    case 'cut-failed':
      return message.held.isDropped ? [] : cutAgain(message.held, message.cut);
    case 'cut-early':
      return cutEarly(cell);
    case 'check': {
      const reason = flushDue(cell, message.rules, message.nowMs);
      return reason ? seal(cell, reason, surroundings) : [];
    }
    case 'flush':
      cell.isReliefAsked = false;
      return flush(cell, message, surroundings);
    case 'spill':
      cell.isReliefAsked = false;
      for (const held of cell.segments) if (isSpillable(held)) spill(held);
      return [];
    case 'unlogged':
      return cell.open === message.held ? seal(cell, 'unlogged', surroundings) : [];
    case 'stored':
      return remove(cell, message.held);
    case 'move-out':
      return moveOut(cell, message);
    case 'moved':
      return moved(cell, message);
    case 'move-failed':
      return moveFailed(cell, message.segments, surroundings);
    case 'passivate':
      return isPassive(cell, message.rules, message.nowMs) ? [{ type: 'passivated' }] : [];
  }
};

/** All of it waits for the store, and all of it is durable in the log. */
export const isSpillable = ({ isFlushing, isSpilled, log }: HeldSegment): boolean =>
  isFlushing && !isSpilled && log !== undefined && log.count === log.accepted && !log.isRefused;

const spill = (held: HeldSegment): void => {
  held.isSpilled = true;
  held.segment.dropBlocks();
};

/** Memory of a head that is being cut: what it had while open. */
export const cutBytes = ({ head }: HeadCut): number =>
  head.region.size + (head.metadataRefs?.byteLength ?? 0) + (head.metadataEnds?.byteLength ?? 0);

/** Whether the sweep should send `check`, and why the segment would be flushed. What would share its chunk counts. */
export const flushDue = (cell: StreamCell, rules: FlushRules, nowMs: number): FlushReason | undefined => {
  const held = cell.open;
  if (!held || held.segment.isEmpty) return undefined;
  if (nowMs - cell.lastAppendMs > rules.idleMs) return 'idle';
  let { minTime, maxTime } = held.segment;
  if (minTime === undefined || maxTime === undefined) return undefined;
  for (const sharer of sharersOf(cell.logged, held)) {
    if (sharer.minTime < minTime) minTime = sharer.minTime;
    if (sharer.maxTime > maxTime) maxTime = sharer.maxTime;
  }
  return maxTime - minTime > rules.ageNs ? 'old' : undefined;
};

/** Nothing held, nothing appended for long, no message on its way but the one that asks. */
export const isPassive = (cell: StreamCell, rules: FlushRules, nowMs: number): boolean =>
  cell.messagesInFlight === 0 &&
  nowMs - cell.lastAppendMs > rules.passivateMs &&
  cell.segments.every(({ segment }) => segment.isEmpty);

const append = (
  cell: StreamCell,
  { ranges, limits, nowMs, reply, part }: Extract<StreamMessage, { type: 'append' }>,
  surroundings: StreamSurroundings,
): readonly StreamEffect[] => {
  const admission = admit(cell, cell.newest, ranges, limits, nowMs, part?.refused);
  const effects: StreamEffect[] = [];
  let acceptedLines = 0;
  let acceptedBytes = 0;
  try {
    for (const range of admission.accepted) {
      acceptedBytes += appendRange(cell, range, surroundings, effects);
      acceptedLines += range.end - range.first;
    }
  } catch (error) {
    return [...effects, { type: 'crash', error }];
  }
  cell.newest = admission.newest;
  cell.lastAppendMs = nowMs;
  effects.push(...flushReady(cell));
  if (cell.tails && admission.accepted.length > 0) effects.push({ type: 'appended', ranges: admission.accepted });
  const refusal = part?.isLast === false ? undefined : refusalOf(cell, admission, limits);
  effects.push({ type: 'reply', reply, outcome: { acceptedLines, acceptedBytes, refusal } });
  return effects;
};

/** Gives the line bytes newly stored. */
const appendRange = (
  cell: StreamCell,
  range: EntryRange,
  surroundings: StreamSurroundings,
  effects: StreamEffect[],
): number => {
  let acceptedBytes = 0;
  let rest = range;
  while (rest.first < rest.end) {
    const held = cell.open ?? openSegment(cell, rest, surroundings);
    if (cell.logged) reserve(held, cell.logged, surroundings, effects);
    const appended = held.segment.append(rest);
    acceptedBytes += appended.acceptedBytes;
    if (appended.next > rest.first && !onlyRepeatsStored(cell))
      effects.push({ type: 'log', held, range: partOf(rest, appended.next) });
    takeCuts(held, effects);
    if (appended.isFull) closeHeads(cell, held, 'full', surroundings, effects);
    rest = { columns: range.columns, first: appended.next, end: range.end };
  }
  return acceptedBytes;
};

/** Keeps what is known of a range that is taken whole. */
const partOf = (range: EntryRange, end: number): EntryRange =>
  end === range.end ? range : { columns: range.columns, first: range.first, end };

const openSegment = (
  cell: StreamCell,
  { columns, first }: EntryRange,
  { segmentLimits, nextSegmentId, periodAt }: StreamSurroundings,
): HeldSegment => {
  const previous = cell.segments.at(-1)?.segment;
  const last = previous?.lastEntry ?? cell.last;
  cell.last = undefined;
  const segment = new Segment(nextSegmentId(), segmentLimits, last, previous?.headRoom);
  const period = periodAt(columns.times[first] as bigint);
  const held: HeldSegment = {
    segment,
    version: chunkFormatOf(period),
    period,
    sealedFor: undefined,
    isFlushing: false,
    isMoving: false,
    isDropped: false,
    isSpilled: false,
    log: undefined,
    sharers: NO_SHARERS,
  };
  cell.segments.push(held);
  return held;
};

/** Leaves room for those that will share its chunk; those that make one of their own are stored alone. */
const reserve = (
  held: HeldSegment,
  logged: LoggedStream,
  { segmentLimits, compressionGuess }: StreamSurroundings,
  effects: StreamEffect[],
): void => {
  const { segment } = held;
  const ratio = compressionGuess();
  segment.reserve(0, ratio);
  const bytes = plainBytesOf(sharersOf(logged, held));
  if (bytes === 0) return;
  if (bytes < plainTarget(segmentLimits, segment.compressionRatio)) segment.reserve(bytes, ratio);
  else if (segment.isEmpty) effects.push({ type: 'flush-logged' });
};

const takeCuts = (held: HeldSegment, effects: StreamEffect[]): void => {
  for (let cut = held.segment.nextCut(); cut; cut = held.segment.nextCut()) effects.push({ type: 'cut', held, cut });
};

const cutEarly = (cell: StreamCell): readonly StreamEffect[] => {
  cell.isCutAsked = false;
  const held = cell.open;
  const cut = held?.segment.cutHeadEarly();
  if (!held || !cut) return [];
  return [{ type: 'cut', held, cut }];
};

const cutAgain = (held: HeldSegment, failed: HeadCut): readonly StreamEffect[] => {
  held.segment.cutFailed(failed.number);
  const cut = held.segment.nextCut();
  return cut ? [{ type: 'cut-again', held, cut }] : [];
};

const seal = (cell: StreamCell, reason: FlushReason, surroundings: StreamSurroundings): readonly StreamEffect[] => {
  const effects: StreamEffect[] = [];
  const held = cell.open;
  if (held && !held.segment.isEmpty) closeHeads(cell, held, reason, surroundings, effects);
  effects.push(...flushReady(cell));
  return effects;
};

const flush = (
  cell: StreamCell,
  { reason, reply }: Extract<StreamMessage, { type: 'flush' }>,
  surroundings: StreamSurroundings,
): readonly StreamEffect[] => {
  const effects = seal(cell, reason, surroundings);
  if (!reply) return effects;
  // What moves is stored by another node.
  const through = cell.segments.findLast(({ sealedFor, isMoving }) => sealedFor !== undefined && !isMoving)?.segment.id
    .counter;
  if (through === undefined) return [...effects, { type: 'replied', reply }];
  cell.flushWaiters ??= [];
  cell.flushWaiters.push({ through, reply });
  return effects;
};

const refusalOf = (cell: StreamCell, { refused }: Admission, limits: StreamLimits): AppendRefusal | undefined => {
  if (refused.count === 0) return undefined;
  return {
    code: refused.isRate ? 'RATE_LIMITED' : 'INVALID_ENTRIES',
    text: refusedEntriesText(cell.tenant.name, cell.labels.canonical, refused, limits),
    lines: refused.count,
    bytes: refused.lineBytes,
  };
};
