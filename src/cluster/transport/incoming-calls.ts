import { InFlight } from '../../protocol/in-flight.ts';
import { LazyAbort } from '../../protocol/lazy-abort.ts';
import { RefusedError } from '../../protocol/refusal.ts';
import { badRequest } from '../../protocol/wire.ts';
import { FRAME, FRAME_COST, sizeOf } from './frame.ts';
import type { Inbox, IncomingMessage } from './inbox.ts';
import type { Outbox, Sending } from './outbox.ts';
import { CALL_CLASSES, type PeerAddress, type PeerHandlers } from './peers.ts';
import { failureFrame } from './refusal-frame.ts';

interface Call {
  readonly seq: number;
  readonly class: number;
  readonly abort: LazyAbort;
  heldBytes: number;
  /** Bytes of answers that the reader's window still takes. */
  allowance: number;
  answer: Sending | undefined;
  /** Ends the wait for the reader or for an answer to leave. */
  wake: () => void;
}

const nothing = (): void => undefined;

/** Runs the handlers for what the other side of a link asks. */
export class IncomingCalls {
  readonly #calls = new InFlight<Call>();
  readonly #outbox: Outbox;
  readonly #inbox: Inbox;
  readonly #handlers: PeerHandlers;
  readonly #from: PeerAddress;
  readonly #report: (problem: string, error: unknown) => void;

  constructor(
    outbox: Outbox,
    inbox: Inbox,
    handlers: PeerHandlers,
    from: PeerAddress,
    report: (problem: string, error: unknown) => void,
  ) {
    this.#outbox = outbox;
    this.#inbox = inbox;
    this.#handlers = handlers;
    this.#from = from;
    this.#report = report;
  }

  get size(): number {
    return this.#calls.size;
  }

  /** @param bodyRead gives the memory of its body back */
  serve(message: IncomingMessage, bodyRead: () => void): void {
    const { seq, window } = message.frame;
    const call: Call = {
      seq,
      class: message.frame.class,
      abort: new LazyAbort(),
      heldBytes: message.heldBytes,
      allowance: window,
      answer: undefined,
      wake: nothing,
    };
    this.#calls.set(seq, call);
    this.#run(call, message, bodyRead).then(
      () => this.#finish(call),
      (error: unknown) => this.#fail(call, error),
    );
  }

  /** The reader took so many bytes. */
  pulled(seq: number, bytes: number): void {
    const call = this.#calls.get(seq);
    if (!call) return;
    call.allowance += bytes;
    call.wake();
  }

  cancel(seq: number): void {
    const call = this.#calls.get(seq);
    if (call) this.#abort(call, 'the asker gave up');
  }

  abortAll(reason: string): void {
    for (const call of this.#calls.values()) this.#abort(call, reason);
  }

  /** Nothing more is sent for the call, whatever its handler still does. */
  #abort(call: Call, reason: string): void {
    this.#finish(call);
    if (call.answer) this.#outbox.drop(call.answer);
    call.abort.abort(new Error(reason));
    call.wake();
  }

  #finish(call: Call): void {
    this.#releaseRequest(call);
    this.#calls.delete(call.seq);
  }

  #fail(call: Call, error: unknown): void {
    if (call.abort.isAborted) return;
    if (!(error instanceof RefusedError)) this.#report('a handler for peers failed', error);
    this.#outbox.sendUrgent(failureFrame(call.seq, error));
    this.#finish(call);
  }

  async #run(call: Call, { frame, body }: IncomingMessage, bodyRead: () => void): Promise<void> {
    const handler = this.#handlers.get(frame.kind);
    if (!handler) throw badRequest(`this node does not answer requests of kind ${frame.kind}`);
    const { abort } = call;
    const callClass = CALL_CLASSES[frame.class] ?? 'control';
    const { deadlineMs } = frame;
    const result = handler(body, {
      from: this.#from,
      class: callClass,
      deadlineMs,
      bodyRead,
      get signal() {
        return abort.signal;
      },
    });
    if (Symbol.asyncIterator in result) {
      if (frame.window === 0) throw badRequest(`requests of kind ${frame.kind} have many answers`);
      this.#releaseRequest(call);
      await this.#answerMany(call, result);
    } else {
      const answer = await result;
      if (!abort.isAborted) await this.#send(call, answer);
    }
    if (frame.window > 0 && !abort.isAborted) this.#outbox.sendUrgent({ type: FRAME.end, seq: call.seq });
  }

  /** Pulls one answer at a time, and only when the one before has left and the reader's window has room. */
  async #answerMany(call: Call, answers: AsyncIterable<readonly Uint8Array[]>): Promise<void> {
    const { abort } = call;
    const iterator = answers[Symbol.asyncIterator]();
    let isDone = false;
    try {
      for (;;) {
        while (call.allowance <= 0 && !abort.isAborted) await this.#wait(call);
        if (abort.isAborted) return;
        const next = await iterator.next();
        isDone = next.done === true;
        if (isDone || abort.isAborted) return;
        call.allowance -= sizeOf(next.value) + FRAME_COST;
        await this.#send(call, next.value);
      }
    } catch (error) {
      isDone = true;
      throw error;
    } finally {
      if (!isDone) await iterator.return?.();
    }
  }

  /** Resolves when the answer has left, or nobody wants it. */
  async #send(call: Call, body: readonly Uint8Array[]): Promise<void> {
    const answer = this.#outbox.send({
      frame: { type: FRAME.answer, seq: call.seq, class: call.class },
      body,
      onSent: () => {
        call.answer = undefined;
        call.wake();
      },
    });
    call.answer = answer;
    this.#releaseRequest(call);
    while (call.answer === answer && !call.abort.isAborted) await this.#wait(call);
  }

  #wait(call: Call): Promise<void> {
    return new Promise((resolve) => {
      call.wake = resolve;
    });
  }

  #releaseRequest(call: Call): void {
    if (call.heldBytes > 0) this.#inbox.release(call.class, call.heldBytes);
    call.heldBytes = 0;
  }
}
