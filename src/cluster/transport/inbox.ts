import { badRequest } from '../../protocol/wire.ts';
import { FRAME_COST, type Frame } from './frame.ts';
import type { LinkFigures } from './link-figures.ts';
import { CALL_CLASSES } from './peers.ts';

/** A whole REQUEST or ANSWER: the fields of its first frame, and its body. */
export interface IncomingMessage {
  readonly frame: Frame;
  readonly body: Uint8Array;
  /** The body is in memory of its own, not a view of the packet that brought it. */
  readonly isOwn: boolean;
  /** Of its class's credit: not given back yet. */
  readonly heldBytes: number;
}

interface Assembly {
  readonly frame: Frame;
  readonly body: Buffer;
  offset: number;
  heldBytes: number;
}

/** Puts messages together from their parts and gives credit back. */
export class Inbox {
  readonly #windows: readonly number[];
  readonly #messageBytesMax: number;
  readonly #figures: LinkFigures;
  readonly #sendCredit: (callClass: number, bytes: number) => void;
  /** One of each class: parts of two messages of a class never interleave. */
  readonly #assemblies: (Assembly | undefined)[] = CALL_CLASSES.map(() => undefined);
  readonly #owedBytes: number[] = CALL_CLASSES.map(() => 0);

  constructor(
    windows: readonly number[],
    messageBytesMax: number,
    figures: LinkFigures,
    sendCredit: (callClass: number, bytes: number) => void,
  ) {
    this.#windows = windows;
    this.#messageBytesMax = messageBytesMax;
    this.#figures = figures;
    this.#sendCredit = sendCredit;
  }

  /**
   * The message that `frame` completes, if it does. Credit of answers is given back as they come; of a request up to half its class's
   * window is held, until `release`. Parts that nothing is known of (of messages that were cancelled) are passed over.
   * @throws RefusedError BAD_REQUEST if the frame breaks the protocol
   */
  take(frame: Frame, isHeld: boolean): IncomingMessage | undefined {
    const cost = this.#count(frame);
    const assembly = this.#assemblies[frame.class];
    if (frame.offset === 0) {
      if (assembly) throw badRequest('a message began before the one before it had ended');
      if (frame.more === 0) {
        const heldBytes = this.#hold(frame.class, 0, cost, isHeld);
        return { frame, body: frame.body, isOwn: false, heldBytes };
      }
      this.#begin(frame, cost, isHeld);
      return undefined;
    }
    if (!assembly || assembly.frame.seq !== frame.seq || assembly.frame.type !== frame.type) {
      this.release(frame.class, cost);
      return undefined;
    }
    return this.#continue(assembly, frame, cost, isHeld);
  }

  /** Gives the credit of a frame back that nobody wants. @throws RefusedError BAD_REQUEST */
  passOver(frame: Frame): undefined {
    this.release(frame.class, this.#count(frame));
  }

  /** Forgets the parts of a message of which no more will come, or be wanted. */
  drop(type: number, seq: number): void {
    this.#assemblies.forEach((assembly, callClass) => {
      if (!assembly || assembly.frame.type !== type || assembly.frame.seq !== seq) return;
      this.#assemblies[callClass] = undefined;
      this.release(callClass, assembly.heldBytes);
    });
  }

  /** Gives credit back; small sums are gathered. */
  release(callClass: number, bytes: number): void {
    const owed = (this.#owedBytes[callClass] ?? 0) + bytes;
    const isWorthIt = owed >= (this.#windows[callClass] ?? 0) / 8;
    this.#owedBytes[callClass] = isWorthIt ? 0 : owed;
    if (isWorthIt) this.#sendCredit(callClass, owed);
  }

  /** What the frame costs. */
  #count(frame: Frame): number {
    const name = CALL_CLASSES[frame.class];
    if (!name) throw badRequest(`unknown class ${frame.class}`);
    const traffic = this.#figures.traffic[name];
    traffic.framesIn += 1;
    traffic.bytesIn += frame.body.length;
    return FRAME_COST + frame.body.length;
  }

  #begin(frame: Frame, cost: number, isHeld: boolean): void {
    if (frame.size > this.#messageBytesMax) throw badRequest(`a message of ${frame.size} bytes is too large`);
    if (frame.body.length >= frame.size) throw badRequest('a part is as large as the whole');
    const body = Buffer.allocUnsafe(frame.size);
    body.set(frame.body);
    const heldBytes = this.#hold(frame.class, 0, cost, isHeld);
    this.#assemblies[frame.class] = { frame, body, offset: frame.body.length, heldBytes };
  }

  #continue(assembly: Assembly, frame: Frame, cost: number, isHeld: boolean): IncomingMessage | undefined {
    const end = frame.offset + frame.body.length;
    const isComplete = frame.more === 0;
    if (
      frame.offset !== assembly.offset ||
      end > assembly.body.length ||
      isComplete !== (end === assembly.body.length)
    ) {
      throw badRequest('a part does not continue its message');
    }
    assembly.body.set(frame.body, frame.offset);
    assembly.offset = end;
    assembly.heldBytes = this.#hold(frame.class, assembly.heldBytes, cost, isHeld);
    if (!isComplete) return undefined;
    this.#assemblies[frame.class] = undefined;
    const { frame: first, body, heldBytes } = assembly;
    return { frame: first, body, isOwn: true, heldBytes };
  }

  /** What is held of a message after `cost` more; the rest is given back. */
  #hold(callClass: number, heldBytes: number, cost: number, isHeld: boolean): number {
    const sum = heldBytes + cost;
    const held = isHeld ? Math.min(sum, Math.floor((this.#windows[callClass] ?? 0) / 2)) : 0;
    if (sum > held) this.release(callClass, sum - held);
    return held;
  }
}
