import type { Clock } from '../../protocol/clock.ts';
import { InFlight } from '../../protocol/in-flight.ts';
import { releaseMemory } from '../../protocol/release-memory.ts';
import { decodePacket, FRAME, FRAME_COST, type Frame, type Hello } from './frame.ts';
import { Inbox, type IncomingMessage } from './inbox.ts';
import { IncomingCalls } from './incoming-calls.ts';
import type { LinkFigures } from './link-figures.ts';
import { DEADLINE_MS_MAX, type LinkOptions } from './link-options.ts';
import { Outbox, type Sending } from './outbox.ts';
import { PacketMemory } from './packet-memory.ts';
import { CALL_CLASSES, type CallOptions, type PeerAddress, PeerError, type PeerHandlers } from './peers.ts';
import type { Pipe } from './pipe.ts';
import { refusalOf } from './refusal-frame.ts';

/** Why a link was given up on which nothing came. */
export class SilentLinkError extends Error {
  override readonly name = 'SilentLinkError';
}

export interface LinkDeps {
  readonly clock: Clock;
  readonly options: LinkOptions;
  readonly handlers: PeerHandlers;
  readonly figures: LinkFigures;
  report(problem: string, error: unknown): void;
}

export interface LinkListener {
  /** It takes no more requests; those under way go on. */
  retired(link: Link): void;
  /** The last call. `error`: it broke. */
  closed(link: Link, error: Error | undefined): void;
}

/** Who waits for the answers to one request. */
interface Asker {
  answered(body: Uint8Array): void;
  ended(): void;
  failed(error: PeerError): void;
}

interface OutgoingCall {
  readonly seq: number;
  readonly request: Sending;
  readonly asker: Asker;
  stopTimer: () => void;
  forgetSignal: () => void;
}

const nothing = (): void => undefined;

export const windowsOf = ({ windowBytes }: LinkOptions): number[] => CALL_CLASSES.map((name) => windowBytes[name]);

/**
 * One link, from the exchange of hellos on. Either side asks.
 *
 *   open ── retire (idle, superseded, closing; theirs or ours) ──► retired: takes no new requests
 *        ── nothing of ours under way: GOODBYE; both said it: the opener ends the stream ──► closed
 *   any  ── the stream ends otherwise, silence, a frame that breaks the protocol ──► closed: everything under way fails at once
 */
export class Link {
  readonly peer: PeerAddress;
  readonly isOpener: boolean;
  readonly #pipe: Pipe;
  readonly #deps: LinkDeps;
  readonly #listener: LinkListener;
  readonly #outbox: Outbox;
  readonly #inbox: Inbox;
  readonly #incoming: IncomingCalls;
  readonly #calls = new InFlight<OutgoingCall>();
  #seq = 0;
  #isRetired = false;
  #isClosed = false;
  #hasSaidGoodbye = false;
  #hasHeardGoodbye = false;
  readonly #openedMs: number;
  #heardMs: number;
  #usedMs: number;
  #tickMs: number;
  #stopTicking: () => void = nothing;

  constructor(pipe: Pipe, remote: Hello, isOpener: boolean, deps: LinkDeps, listener: LinkListener) {
    const { options, figures, clock, handlers } = deps;
    this.peer = { nodeId: remote.nodeId, incarnation: remote.incarnation, address: remote.address };
    this.isOpener = isOpener;
    this.#pipe = pipe;
    this.#deps = deps;
    this.#listener = listener;
    this.#outbox = new Outbox(pipe, remote.windows, options.partBytesMax, figures);
    this.#inbox = new Inbox(windowsOf(options), options.messageBytesMax, figures, (callClass, bytes) =>
      this.#outbox.sendUrgent({ type: FRAME.credit, class: callClass, bytes }),
    );
    this.#incoming = new IncomingCalls(this.#outbox, this.#inbox, handlers, this.peer, (problem, error) =>
      deps.report(problem, error),
    );
    this.#heardMs = clock.monotonicMs();
    this.#openedMs = this.#heardMs;
    this.#usedMs = this.#heardMs;
    this.#tickMs = this.#heardMs;
    pipe.onPacket = (packet) => this.#receive(packet);
    pipe.onClose = (error) => this.#pipeClosed(error);
    this.#scheduleTick();
  }

  get ageMs(): number {
    return this.#deps.clock.monotonicMs() - this.#openedMs;
  }

  /** Whether it may be asked. */
  get isOpen(): boolean {
    return !this.#isRetired && !this.#isClosed;
  }

  request(kind: number, body: readonly Uint8Array[], options: CallOptions): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const call = this.#ask(kind, body, options, 0, {
        answered: (answer) => {
          this.#settle(call);
          resolve(answer);
        },
        ended: () => reject(new PeerError('UNKNOWN', 'the handler ended without an answer')),
        failed: reject,
      });
      this.#startTimer(call, options.deadlineMs);
    });
  }

  async *stream(kind: number, body: readonly Uint8Array[], options: CallOptions): AsyncGenerator<Uint8Array, void> {
    const window = this.#deps.options.streamWindowBytes;
    const answers: Uint8Array[] = [];
    let outcome: { readonly error?: PeerError } | undefined;
    let wake = nothing;
    const finish = (error?: PeerError): void => {
      outcome = error ? { error } : {};
      wake();
    };
    const call = this.#ask(kind, body, options, window, {
      answered: (answer) => {
        answers.push(answer);
        wake();
      },
      ended: finish,
      failed: finish,
    });
    let owedBytes = 0;
    try {
      for (;;) {
        while (answers.length === 0 && !outcome) {
          this.#startTimer(call, options.deadlineMs);
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
          call.stopTimer();
        }
        const answer = answers.shift();
        if (!answer) {
          if (outcome?.error) throw outcome.error;
          return;
        }
        yield answer;
        owedBytes += answer.length + FRAME_COST;
        if (owedBytes >= window / 4 && !outcome) {
          this.#outbox.sendUrgent({ type: FRAME.pull, seq: call.seq, bytes: owedBytes });
          owedBytes = 0;
        }
      }
    } finally {
      if (!outcome) this.#abandon(call);
    }
  }

  retire(): void {
    if (this.#isRetired || this.#isClosed) return;
    this.#isRetired = true;
    this.#listener.retired(this);
    this.#sayGoodbyeIfDone();
  }

  /** At once: everything under way fails. */
  break(error: Error): void {
    if (this.#isClosed) return;
    this.#pipe.onClose = nothing;
    this.#pipe.destroy();
    this.#close(error);
  }

  #ask(kind: number, body: readonly Uint8Array[], options: CallOptions, window: number, asker: Asker): OutgoingCall {
    this.#seq += 1;
    this.#usedMs = this.#deps.clock.monotonicMs();
    const seq = this.#seq;
    const frame = {
      type: FRAME.request,
      seq,
      class: CALL_CLASSES.indexOf(options.class),
      kind,
      deadlineMs: Math.max(0, Math.min(DEADLINE_MS_MAX, Math.ceil(options.deadlineMs))),
      window,
    };
    const request = this.#outbox.send({ frame, body });
    const call: OutgoingCall = { seq, request, asker, stopTimer: nothing, forgetSignal: nothing };
    const { signal } = options;
    if (signal) {
      const giveUp = (): void => this.#giveUp(call, 'the caller gave up', signal.reason);
      signal.addEventListener('abort', giveUp, { once: true });
      call.forgetSignal = () => signal.removeEventListener('abort', giveUp);
    }
    this.#calls.set(seq, call);
    return call;
  }

  #startTimer(call: OutgoingCall, deadlineMs: number): void {
    if (!this.#calls.has(call.seq)) return;
    call.stopTimer = this.#deps.clock.after(Math.min(DEADLINE_MS_MAX, deadlineMs), () =>
      this.#giveUp(call, `no answer within ${deadlineMs} ms`),
    );
  }

  #giveUp(call: OutgoingCall, why: string, cause?: unknown): void {
    if (!this.#calls.has(call.seq)) return;
    const hasLeft = !call.request.isWaiting;
    const lacksCredit = this.#outbox.lacksCredit(call.request.frame.class);
    this.#abandon(call);
    const text = `${this.peer.nodeId}: ${why}`;
    if (hasLeft) call.asker.failed(new PeerError('UNKNOWN', text, { cause }));
    else if (lacksCredit) call.asker.failed(new PeerError('OVERLOADED', `${text}, it gives no credit`, { cause }));
    else call.asker.failed(new PeerError('UNREACHABLE', `${text}, the request did not leave`, { cause }));
  }

  /** Tells the other side that nobody waits any more. */
  #abandon(call: OutgoingCall): void {
    this.#outbox.drop(call.request);
    this.#outbox.sendUrgent({ type: FRAME.cancel, seq: call.seq });
    this.#inbox.drop(FRAME.answer, call.seq);
    this.#settle(call);
  }

  #settle(call: OutgoingCall): void {
    call.stopTimer();
    call.forgetSignal();
    this.#calls.delete(call.seq);
    this.#usedMs = this.#deps.clock.monotonicMs();
    this.#sayGoodbyeIfDone();
  }

  #receive(packet: Buffer): void {
    if (this.#isClosed) return;
    this.#heardMs = this.#deps.clock.monotonicMs();
    const memory = new PacketMemory(packet);
    try {
      for (const frame of decodePacket(packet)) this.#handle(frame, memory);
      memory.done();
    } catch (error) {
      this.#deps.report('a peer broke the protocol', error);
      this.break(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #handle(frame: Frame, memory: PacketMemory): void {
    const call = this.#calls.get(frame.seq);
    if (frame.type === FRAME.request) {
      const message = this.#inbox.take(frame, true);
      if (message) this.#serve(message, message.isOwn ? () => releaseMemory(message.body) : memory.read());
    } else if (frame.type === FRAME.answer) {
      // Nobody waits any more: its other parts may never come.
      const message = call ? this.#inbox.take(frame, false) : this.#inbox.passOver(frame);
      if (!message) return;
      // Who asked may keep views of the answer.
      if (!message.isOwn) memory.read();
      call?.asker.answered(message.body);
    } else if (frame.type === FRAME.end && call) {
      this.#settle(call);
      call.asker.ended();
    } else if (frame.type === FRAME.failure && call) {
      this.#outbox.drop(call.request);
      this.#settle(call);
      const refusal = refusalOf(frame);
      call.asker.failed(new PeerError('REFUSED', refusal.text, { refusal }));
    } else this.#handleSignal(frame);
  }

  #handleSignal(frame: Frame): void {
    if (frame.type === FRAME.cancel) {
      this.#inbox.drop(FRAME.request, frame.seq);
      this.#incoming.cancel(frame.seq);
    } else if (frame.type === FRAME.credit) this.#outbox.acknowledged(frame.class, frame.bytes);
    else if (frame.type === FRAME.pull) this.#incoming.pulled(frame.seq, frame.bytes);
    else if (frame.type === FRAME.ping) this.#outbox.sendUrgent({ type: FRAME.pong });
    else if (frame.type === FRAME.goodbye) {
      this.#hasHeardGoodbye = true;
      this.retire();
      this.#endIfAgreed();
    }
  }

  #serve(message: IncomingMessage, bodyRead: () => void): void {
    this.#usedMs = this.#heardMs;
    this.#deps.figures.handled += 1;
    this.#incoming.serve(message, bodyRead);
  }

  #sayGoodbyeIfDone(): void {
    if (!this.#isRetired || this.#hasSaidGoodbye || this.#isClosed || this.#calls.size > 0) return;
    this.#hasSaidGoodbye = true;
    this.#outbox.sendUrgent({ type: FRAME.goodbye });
    this.#endIfAgreed();
  }

  #endIfAgreed(): void {
    if (this.#hasSaidGoodbye && this.#hasHeardGoodbye && this.isOpener) this.#outbox.end();
  }

  #pipeClosed(error: Error | undefined): void {
    if (this.#isClosed) return;
    const isAgreed = this.#hasSaidGoodbye && this.#hasHeardGoodbye;
    this.#close(isAgreed ? undefined : (error ?? new Error('the other side ended the link')));
  }

  #close(error: Error | undefined): void {
    this.#isClosed = true;
    this.#stopTicking();
    if (error) this.#deps.figures.linksBroken += 1;
    const calls = this.#calls.values().map((call) => ({ call, isUnsent: call.request.isWaiting }));
    this.#outbox.close();
    this.#incoming.abortAll('the link broke');
    const text = `${this.peer.nodeId}: the link broke: ${error?.message ?? 'closed'}`;
    for (const { call, isUnsent } of calls) {
      this.#settle(call);
      call.asker.failed(new PeerError(isUnsent ? 'UNREACHABLE' : 'UNKNOWN', text, { cause: error }));
    }
    this.#listener.closed(this, error);
  }

  #scheduleTick(): void {
    this.#stopTicking = this.#deps.clock.after(this.#deps.options.silenceMsMax / 4, () => this.#tick());
  }

  #tick(): void {
    const { clock, options, figures } = this.#deps;
    const nowMs = clock.monotonicMs();
    // This process stood still: what came meanwhile was not read yet.
    if (nowMs - this.#tickMs > options.silenceMsMax / 2) this.#heardMs = nowMs;
    this.#tickMs = nowMs;
    const silenceMs = nowMs - this.#heardMs;
    if (silenceMs >= options.silenceMsMax) {
      figures.linksSilent += 1;
      this.break(new SilentLinkError(`nothing was heard for ${Math.round(silenceMs)} ms`));
      return;
    }
    if (silenceMs >= options.silenceMsMax / 8) this.#outbox.sendUrgent({ type: FRAME.ping });
    const isUsed = this.#calls.size > 0 || this.#incoming.size > 0;
    if (!isUsed && nowMs - this.#usedMs >= options.idleMsMax) this.retire();
    this.#scheduleTick();
  }
}
