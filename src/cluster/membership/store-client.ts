import net from 'node:net';
import type { Clock } from '../../protocol/clock.ts';
import { MembershipError } from './membership-error.ts';
import type {
  Guard,
  LeaseId,
  MembershipStore,
  Operation,
  RangeReply,
  TransactionReply,
  WatchHandlers,
} from './membership-store.ts';
import { readFrames, type ServerFrame, type StoreCall, writeFrame } from './store-frames.ts';
import { LOOPBACK, type StoreAddress } from './store-server.ts';
import { Backoff, withDeadline } from './waiting.ts';

export interface StoreClientOptions {
  readonly clock: Clock;
  readonly address: StoreAddress;
  /** A chance from 0 to 1, for waits. */
  readonly random?: () => number;
}

interface PendingCall {
  resolve(answer: unknown): void;
  reject(error: MembershipError): void;
}

interface Watch {
  readonly prefix: string;
  readonly handlers: WatchHandlers;
  nextRevision: number;
}

const RECONNECT_FIRST_MS = 50;
const RECONNECT_LAST_MS = 1_000;

/** The embedded store that another process of this machine serves. Connects when there is something to ask, and again after a loss. */
export class StoreClient implements MembershipStore {
  readonly #clock: Clock;
  readonly #address: StoreAddress;
  readonly #backoff: Backoff;
  readonly #calls = new Map<number, PendingCall>();
  readonly #watches = new Map<number, Watch>();
  #socket: net.Socket | undefined;
  #cancelReconnect: (() => void) | undefined;
  #lastId = 0;
  #isClosed = false;

  constructor({ clock, address, random = Math.random }: StoreClientOptions) {
    this.#clock = clock;
    this.#address = address;
    this.#backoff = new Backoff(RECONNECT_FIRST_MS, RECONNECT_LAST_MS, random);
  }

  range(prefix: string, deadlineMs: number): Promise<RangeReply> {
    return this.#call({ type: 'range', prefix }, deadlineMs);
  }

  transaction(
    guards: readonly Guard[],
    operations: readonly Operation[],
    deadlineMs: number,
  ): Promise<TransactionReply> {
    return this.#call({ type: 'transaction', guards, operations }, deadlineMs);
  }

  grant(ttlMs: number, deadlineMs: number): Promise<LeaseId> {
    return this.#call({ type: 'grant', ttlMs }, deadlineMs);
  }

  keepAlive(lease: LeaseId, deadlineMs: number): Promise<{ readonly revision: number }> {
    return this.#call({ type: 'keepAlive', lease }, deadlineMs);
  }

  revoke(lease: LeaseId, deadlineMs: number): Promise<void> {
    return this.#call({ type: 'revoke', lease }, deadlineMs);
  }

  watch(prefix: string, from: number, handlers: WatchHandlers): () => void {
    const id = this.#nextId();
    this.#watches.set(id, { prefix, handlers, nextRevision: from });
    // A socket that is only now made asks for all watches itself, once it is connected.
    if (this.#socket && !this.#socket.connecting) writeFrame(this.#socket, { type: 'watch', id, prefix, from });
    else this.#connected();
    return () => {
      if (this.#watches.delete(id) && this.#socket) writeFrame(this.#socket, { type: 'cancel', id });
    };
  }

  close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelReconnect?.();
    this.#watches.clear();
    this.#socket?.destroy();
    return Promise.resolve();
  }

  #call<T>(call: StoreCall, deadlineMs: number): Promise<T> {
    const id = this.#nextId();
    const answered = new Promise<T>((resolve, reject) => {
      if (this.#isClosed) throw unavailable('the client is closed');
      this.#calls.set(id, { resolve: resolve as (answer: unknown) => void, reject });
      // Of an unconnected socket too: node keeps what is written until it is connected.
      writeFrame(this.#connected(), { type: 'call', id, deadlineMs, call });
    });
    return withDeadline(this.#clock, deadlineMs, call.type, answered).catch((error: unknown) => {
      const isSilent = this.#calls.delete(id);
      // A server that does not answer in time may be gone without a word.
      if (isSilent) this.#socket?.destroy();
      throw error;
    });
  }

  #connected(): net.Socket {
    if (this.#socket) return this.#socket;
    this.#cancelReconnect?.();
    const socket = net.connect('path' in this.#address ? this.#address : { ...this.#address, host: LOOPBACK });
    this.#socket = socket;
    socket.on('connect', () => {
      this.#backoff.reset();
      for (const [id, { prefix, nextRevision }] of this.#watches) {
        writeFrame(socket, { type: 'watch', id, prefix, from: nextRevision });
      }
    });
    readFrames<ServerFrame>(socket, (frame) => this.#receive(frame));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#lost(socket));
    return socket;
  }

  #lost(socket: net.Socket): void {
    if (this.#socket === socket) this.#socket = undefined;
    for (const call of this.#calls.values()) call.reject(unavailable('the connection was lost'));
    this.#calls.clear();
    if (this.#isClosed || this.#watches.size === 0) return;
    this.#cancelReconnect = this.#clock.after(this.#backoff.nextMs(), () => this.#connected());
  }

  #receive(frame: ServerFrame): void {
    switch (frame.type) {
      case 'answer':
        this.#calls.get(frame.id)?.resolve(frame.answer);
        this.#calls.delete(frame.id);
        return;
      case 'refusal':
        this.#calls.get(frame.id)?.reject(new MembershipError(frame.refusal));
        this.#calls.delete(frame.id);
        return;
      case 'events':
      case 'progress':
      case 'reset':
        this.#watched(frame);
    }
  }

  #watched(frame: Extract<ServerFrame, { readonly type: 'events' | 'progress' | 'reset' }>): void {
    const watch = this.#watches.get(frame.id);
    if (!watch) return;
    if (frame.type === 'reset') {
      this.#watches.delete(frame.id);
      watch.handlers.onReset();
      return;
    }
    watch.nextRevision = frame.revision + 1;
    if (frame.type === 'events') watch.handlers.onEvents(frame.revision, frame.events);
    else watch.handlers.onProgress(frame.revision);
  }

  #nextId(): number {
    this.#lastId += 1;
    return this.#lastId;
  }
}

const unavailable = (text: string): MembershipError => new MembershipError({ code: 'UNAVAILABLE', text });
