import { Line } from '../../protocol/line.ts';
import { encodePacket, FRAME_COST, type OutgoingFrame, sizeOf } from './frame.ts';
import type { LinkFigures } from './link-figures.ts';
import { CALL_CLASSES } from './peers.ts';
import type { Pipe } from './pipe.ts';

/** One REQUEST or ANSWER with its body, until its last part is written. */
export interface OutgoingMessage {
  readonly frame: OutgoingFrame & { readonly class: number };
  readonly body: readonly Uint8Array[];
  /** Called when the last part is handed to the pipe. */
  readonly onSent?: (() => void) | undefined;
}

/** A message on its way, for who sent it: opaque. */
export interface Sending {
  readonly frame: OutgoingMessage['frame'];
  body: readonly Uint8Array[];
  onSent: OutgoingMessage['onSent'];
  readonly size: number;
  offset: number;
  /** Where the next part begins in `body`. */
  index: number;
  indexOffset: number;
  /** Parts of it have yet to be sent. */
  isWaiting: boolean;
}

interface Lane {
  /** Those that were dropped are among them until it would be their turn, or they are more than the others. */
  readonly queue: Line<Sending>;
  dropped: number;
  readonly window: number;
  readonly weight: number;
  readonly partBytesMax: number;
  unackedBytes: number;
  /** Weighted bytes sent: the lane with the least goes first. */
  turn: number;
}

/** Shares of a congested link, by class number: control, append, query, transfer (chosen). An idle lane's first frame goes next. */
const WEIGHTS = [64, 32, 4, 1];

/** Small frames are gathered to packets of this size: a gRPC message costs as much as copying 100 KB (measured: 15 µs). */
const PACKET_BYTES = 64 * 1024;

/** What may wait inside the pipe: everything there is ahead of the next urgent frame. */
const BUFFERED_BYTES_MAX = 256 * 1024;

/** So many are left in their line at least. */
const DROPPED_MAX = 32;

const takePart = (entry: Sending, bytes: number): Uint8Array[] => {
  const part: Uint8Array[] = [];
  let left = bytes;
  while (left > 0) {
    const from = entry.body[entry.index];
    if (!from) break;
    const end = Math.min(from.length, entry.indexOffset + left);
    if (end > entry.indexOffset) part.push(from.subarray(entry.indexOffset, end));
    left -= end - entry.indexOffset;
    entry.indexOffset = end;
    if (end === from.length) {
      entry.index += 1;
      entry.indexOffset = 0;
    }
  }
  return part;
};

/** Whose parts go next; those that were dropped are let go of. */
const next = (lane: Lane): Sending | undefined => {
  for (let first = lane.queue.peek(); first; first = lane.queue.peek()) {
    if (first.isWaiting) return first;
    lane.queue.shift();
    lane.dropped -= 1;
  }
  return undefined;
};

/** Behind one that waits for credit any number may be given up. */
const withoutDropped = (lane: Lane): void => {
  for (let left = lane.queue.size; left > 0; left -= 1) {
    const one = lane.queue.shift();
    if (one?.isWaiting) lane.queue.push(one);
  }
  lane.dropped = 0;
};

/** Whoever waits for an answer to it keeps the object. */
const letGo = (sending: Sending): void => {
  sending.isWaiting = false;
  sending.body = [];
  sending.onSent = undefined;
};

/** Sends a link's frames: urgent ones at once, messages by class in fair turns, each class within the credit the other side gave. */
export class Outbox {
  readonly #pipe: Pipe;
  readonly #figures: LinkFigures;
  readonly #lanes: readonly Lane[];
  #urgent: OutgoingFrame[] = [];
  #turn = 0;
  #isScheduled = false;
  #isEnding = false;
  #isClosed = false;

  /** @param windows what the other side grants, by class number */
  constructor(pipe: Pipe, windows: readonly number[], partBytesMax: number, figures: LinkFigures) {
    this.#pipe = pipe;
    this.#figures = figures;
    this.#lanes = CALL_CLASSES.map((_, index) => {
      const window = windows[index] ?? 0;
      return {
        queue: new Line(),
        dropped: 0,
        window,
        weight: WEIGHTS[index] ?? 1,
        // A quarter: the receiver keeps at most half a window for one request and owes at most an eighth.
        partBytesMax: Math.max(1, Math.min(partBytesMax, Math.floor(window / 4) - FRAME_COST)),
        unackedBytes: 0,
        turn: 0,
      };
    });
    pipe.onDrain = () => this.#pump();
  }

  /** Small, without credit, before all messages. */
  sendUrgent(frame: OutgoingFrame): void {
    this.#urgent.push(frame);
    this.#schedule();
  }

  send({ frame, body, onSent }: OutgoingMessage): Sending {
    const lane = this.#lane(frame.class);
    const size = sizeOf(body);
    const sending = { frame, body, onSent, size, offset: 0, index: 0, indexOffset: 0, isWaiting: lane !== undefined };
    if (!lane) return sending;
    if (!next(lane)) lane.turn = Math.max(lane.turn, this.#turn);
    lane.queue.push(sending);
    this.#schedule();
    return sending;
  }

  /** Does not send what is left of a message. */
  drop(sending: Sending): void {
    const lane = this.#lane(sending.frame.class);
    if (!lane || !sending.isWaiting) return;
    letGo(sending);
    lane.dropped += 1;
    if (lane.dropped > DROPPED_MAX && 2 * lane.dropped > lane.queue.size) withoutDropped(lane);
  }

  /** Whether credit is what the messages of a class wait for. */
  lacksCredit(callClass: number): boolean {
    const lane = this.#lane(callClass);
    const first = lane && next(lane);
    return lane !== undefined && first !== undefined && !this.#maySend(lane, first);
  }

  acknowledged(callClass: number, bytes: number): void {
    const lane = this.#lane(callClass);
    if (!lane) return;
    lane.unackedBytes = Math.max(0, lane.unackedBytes - bytes);
    this.#schedule();
  }

  /** Ends the pipe once all is sent. */
  end(): void {
    this.#isEnding = true;
    this.#schedule();
  }

  close(): void {
    this.#isClosed = true;
    this.#urgent = [];
    for (const { queue } of this.#lanes) {
      for (let one = queue.shift(); one; one = queue.shift()) letGo(one);
    }
  }

  #lane(callClass: number): Lane | undefined {
    return this.#lanes[callClass];
  }

  /** At the end of the turn of the event loop: the answers to all that one batch of the log has settled share a packet, as do the pushes that came together. */
  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#pump();
    });
  }

  #pump(): void {
    while (!this.#isClosed && this.#pipe.bufferedBytes < BUFFERED_BYTES_MAX) {
      const frames = this.#nextPacket();
      if (frames.length === 0) {
        if (this.#isEnding) this.#endPipe();
        return;
      }
      this.#pipe.write(encodePacket(frames));
    }
  }

  #endPipe(): void {
    if (this.#lanes.some(next)) return;
    this.#isClosed = true;
    this.#pipe.end();
  }

  #nextPacket(): OutgoingFrame[] {
    const frames = this.#urgent;
    this.#urgent = [];
    for (let bytes = 0; bytes < PACKET_BYTES; ) {
      const lane = this.#nextLane();
      const entry = lane && next(lane);
      if (!lane || !entry) break;
      bytes += this.#sendPart(lane, entry, frames);
    }
    return frames;
  }

  #nextLane(): Lane | undefined {
    let first: Lane | undefined;
    for (const lane of this.#lanes) {
      const entry = next(lane);
      if (entry && this.#maySend(lane, entry) && (!first || lane.turn < first.turn)) first = lane;
    }
    return first;
  }

  #maySend(lane: Lane, entry: Sending): boolean {
    return lane.unackedBytes + this.#partSize(lane, entry) + FRAME_COST <= lane.window;
  }

  #partSize(lane: Lane, entry: Sending): number {
    return Math.min(lane.partBytesMax, entry.size - entry.offset);
  }

  #sendPart(lane: Lane, entry: Sending, frames: OutgoingFrame[]): number {
    const { frame, offset, size } = entry;
    const partSize = this.#partSize(lane, entry);
    const isLast = offset + partSize === size;
    const part = { ...(isLast ? {} : { more: 1 }), body: takePart(entry, partSize) };
    if (offset > 0) frames.push({ type: frame.type, class: frame.class, seq: frame.seq ?? 0, offset, ...part });
    else frames.push({ ...frame, ...(isLast ? {} : { size }), ...part });
    entry.offset += partSize;
    const cost = partSize + FRAME_COST;
    lane.unackedBytes += cost;
    this.#turn = lane.turn;
    lane.turn += cost / lane.weight;
    const traffic = this.#figures.traffic[CALL_CLASSES[frame.class] ?? 'control'];
    traffic.framesOut += 1;
    traffic.bytesOut += partSize;
    if (isLast) {
      lane.queue.shift();
      const { onSent } = entry;
      letGo(entry);
      onSent?.();
    }
    return cost;
  }
}
