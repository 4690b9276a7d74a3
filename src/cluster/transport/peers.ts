/** How nodes ask each other: the port. gRPC implements it here, tests may put a simulated network behind it. */
import type { Refusal } from '../../protocol/refusal.ts';

export interface PeerAddress {
  readonly nodeId: string;
  /** Of the process: a later one has a larger number. */
  readonly incarnation: number;
  /** `host:port` of its link listener. */
  readonly address: string;
}

/** In order of urgency; the index is the number on the wire. */
export const CALL_CLASSES = ['control', 'append', 'query', 'transfer'] as const;
export type CallClass = (typeof CALL_CLASSES)[number];

export interface CallOptions {
  /** Of a request: until its answer. Of a stream: of each wait for the next answer (end the whole with `signal`). */
  readonly deadlineMs: number;
  readonly signal?: AbortSignal;
  readonly class: CallClass;
}

export type PeerErrorCode =
  /** Certainly not handled: it never left, or not whole. */
  | 'UNREACHABLE'
  /** May have been handled: the link broke, the deadline passed or the caller gave up after it was sent. */
  | 'UNKNOWN'
  /** The handler answered with a Refusal. */
  | 'REFUSED'
  /** Certainly not handled: the other side gave no credit within the deadline. */
  | 'OVERLOADED';

export class PeerError extends Error {
  readonly code: PeerErrorCode;
  /** With REFUSED only. */
  readonly refusal: Refusal | undefined;

  constructor(code: PeerErrorCode, text: string, options?: ErrorOptions & { readonly refusal?: Refusal }) {
    super(text, options);
    this.name = 'PeerError';
    this.code = code;
    this.refusal = options?.refusal;
  }
}

/** What one node asks of others. Bodies are read until the promise settles: do not write to them before. */
export interface Peers {
  /**
   * One answer. It may be a view of a larger packet: copy what is kept for long.
   * @throws PeerError
   */
  request(to: PeerAddress, kind: number, body: readonly Uint8Array[], options: CallOptions): Promise<Uint8Array>;
  /**
   * Many answers in order, asked for when the first is read; for one reader. Leaving the loop early cancels at the other side. The
   * handler is pulled only as answers are read.
   * @throws PeerError from the loop
   */
  stream(to: PeerAddress, kind: number, body: readonly Uint8Array[], options: CallOptions): AsyncIterable<Uint8Array>;
  /** Asks nothing more, lets what is under way end until the deadline (default 5000), then cuts. */
  close(options?: { readonly deadlineMs: number }): Promise<void>;
}

export interface IncomingCall {
  readonly from: PeerAddress;
  readonly class: CallClass;
  /** How long the asker still waits, as it said when it sent the request. */
  readonly deadlineMs: number;
  /** Aborted when the asker gave up (its deadline passed too) or the link broke. */
  readonly signal: AbortSignal;
  /** No view of the body is needed any more: its memory is free at once. Calling it is nobody's duty, and done once. */
  readonly bodyRead?: () => void;
}

/**
 * Answers one kind of request: with one answer (a promise), or many (an iterable, pulled as the asker reads, `return`ed when it stops).
 * A RefusedError reaches the asker as it is, another error as INTERNAL.
 */
export type PeerHandler = (
  body: Uint8Array,
  call: IncomingCall,
) => Promise<readonly Uint8Array[]> | AsyncIterable<readonly Uint8Array[]>;

export type PeerHandlers = ReadonlyMap<number, PeerHandler>;
