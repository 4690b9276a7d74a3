import { dispatch, type Ref, spawn, stop } from 'nact';
import type { HeadCut } from '../chunk/segment.ts';
import type { LogSegment } from '../log/segment-table.ts';
import type { EntryRange } from '../protocol/entry-columns.ts';
import type { HeldSegment, MovedSegment, StreamCell } from './stream-cell.ts';
import {
  type AppendOutcome,
  type StreamEffect,
  type StreamMessage,
  type StreamSurroundings,
  stepStream,
} from './stream-state.ts';

/** Where a stream's effects go. One object for all streams of a node. */
export interface StreamDeps extends StreamSurroundings {
  readonly cut: (cell: StreamCell, held: HeldSegment, cut: HeadCut) => void;
  readonly cutAgain: (cell: StreamCell, held: HeldSegment, cut: HeadCut) => void;
  readonly flush: (cell: StreamCell, held: HeldSegment) => void;
  /** Hands entries to the log. Resolves when they are durable; undefined where there is no log. @throws RefusedError */
  readonly log: (cell: StreamCell, held: HeldSegment, range: EntryRange) => Promise<void> | undefined;
  /** What the log has of the stream makes a chunk without the actor's. */
  readonly flushLogged: (cell: StreamCell) => void;
  /** What the log has of it is free. */
  readonly ended: (held: HeldSegment) => void;
  /** Another node has it. */
  readonly released: (segment: MovedSegment) => void;
  /** The log has all of it, and no actor any more. */
  readonly leftToLog: (log: LogSegment) => void;
  readonly appended: (cell: StreamCell, ranges: readonly EntryRange[]) => void;
  /** After each message: its memory may have changed. */
  readonly changed: (cell: StreamCell) => void;
  /** The actor stops: forget the stream. */
  readonly passivated: (cell: StreamCell) => void;
  /** A handler threw: count and report it. */
  readonly crashed: (cell: StreamCell, error: unknown) => void;
}

/** Sends a stream a message. Dispatching to a stopped actor is silent, so whoever waits for an answer has a deadline. */
export const tell = (cell: StreamCell, message: StreamMessage): void => {
  if (!cell.ref) return;
  cell.messagesInFlight += 1;
  dispatch(cell.ref, message);
};

const nothing = (): void => undefined;

/**
 * How stream actors are spawned. Handlers are synchronous, and the same functions for every stream: nothing is allocated per stream
 * but nact's own actor. When one throws, the batch at hand is refused and the actor is reset to its cell, which holds everything
 * that was accepted.
 */
export const streamSpawner = (deps: StreamDeps): ((parent: Ref<never>, name: string, cell: StreamCell) => void) => {
  const handle = (cell: StreamCell, message: StreamMessage): StreamCell => {
    cell.messagesInFlight -= 1;
    try {
      const logged: Promise<void>[] = [];
      for (const effect of stepStream(cell, message, deps)) perform(cell, effect, deps, logged);
    } catch (error) {
      deps.crashed(cell, error);
      if (message.type === 'append') refuse(message);
      throw error;
    } finally {
      deps.changed(cell);
    }
    return cell;
  };
  return (parent, name, cell) => {
    cell.ref = spawn(parent, handle, name, { initialState: cell, afterStop: nothing, onCrash: resetToCell });
  };
};

/** Without an `onCrash` nact stops the actor and prints; messages to it would then vanish. */
const resetToCell = <Reset>(_message: unknown, _error: unknown, context: { readonly reset: Reset }): Reset =>
  context.reset;

const refuse = ({ ranges, reply }: Extract<StreamMessage, { type: 'append' }>): void => {
  const lines = ranges.reduce((count, { first, end }) => count + end - first, 0);
  reply(refusedOutcome('INTERNAL', 'the stream failed to store the entries', lines));
};

const refusedOutcome = (code: 'INTERNAL' | 'NOT_LOGGED', text: string, lines: number): AppendOutcome => ({
  acceptedLines: 0,
  acceptedBytes: 0,
  refusal: { code, text, lines, bytes: 0 },
});

/** What was accepted is acknowledged once it is durable; where that fails the client is told to send it again. */
const replyOnceLogged = (
  { reply, outcome }: Extract<StreamEffect, { type: 'reply' }>,
  logged: readonly Promise<void>[],
): void => {
  const [first] = logged;
  const durable = logged.length === 1 && first ? first : allSettled(logged);
  durable.then(
    () => reply(outcome),
    (error: Error) => reply(refusedOutcome('NOT_LOGGED', error.message, outcome.acceptedLines)),
  );
};

/** One that failed does not end it: the others may still be borrowing the push. */
const allSettled = async (promises: readonly Promise<void>[]): Promise<void> => {
  for (const outcome of await Promise.allSettled(promises)) if (outcome.status === 'rejected') throw outcome.reason;
};

/** `logged`: of this step so far. */
const perform = (cell: StreamCell, effect: StreamEffect, deps: StreamDeps, logged: Promise<void>[]): void => {
  switch (effect.type) {
    case 'log': {
      const durable = deps.log(cell, effect.held, effect.range);
      // All records of a batch of the log share one promise.
      if (durable && durable !== logged.at(-1)) logged.push(durable);
      return;
    }
    case 'reply':
      if (logged.length > 0) replyOnceLogged(effect, logged);
      else effect.reply(effect.outcome);
      return;
    case 'replied':
      effect.reply(undefined);
      return;
    case 'appended':
      deps.appended(cell, effect.ranges);
      return;
    case 'cut':
      deps.cut(cell, effect.held, effect.cut);
      return;
    case 'cut-again':
      deps.cutAgain(cell, effect.held, effect.cut);
      return;
    case 'flush':
      deps.flush(cell, effect.held);
      return;
    case 'flush-logged':
      deps.flushLogged(cell);
      return;
    case 'ended':
      deps.ended(effect.held);
      return;
    case 'moving':
      effect.reply(effect.segments);
      return;
    case 'released':
      deps.released(effect.segment);
      return;
    case 'left-to-log':
      deps.leftToLog(effect.log);
      return;
    case 'passivated':
      cell.isClosed = true;
      deps.passivated(cell);
      if (cell.ref) stop(cell.ref);
      return;
    case 'crash':
      throw effect.error;
  }
};
