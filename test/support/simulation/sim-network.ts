import {
  type CallOptions,
  type IncomingCall,
  type PeerAddress,
  PeerError,
  type PeerHandlers,
} from '../../../src/cluster/transport/peers.ts';
import { CallKind } from '../../../src/member/call-kinds.ts';
import type { RegisteredPeers, StartPeers } from '../../../src/member/start-member.ts';
import { ABORTED } from '../../../src/protocol/aborted.ts';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import type { ProcessClock, VirtualTime } from './virtual-time.ts';

interface Endpoint {
  readonly nodeId: string;
  readonly clock: ProcessClock;
  readonly handlers: PeerHandlers;
  /** Undefined until it is registered. */
  address: PeerAddress | undefined;
  isClosed: boolean;
  /** An acknowledgement leaves. */
  readonly onAck: (kind: number) => void;
}

export interface NetworkFaults {
  /** Of each message. */
  readonly lossShare: number;
  /** Of a message that takes longer than those after it. */
  readonly slowShare: number;
  readonly slowMs: number;
  /** Only messages of this class; undefined: all. */
  readonly slowClass?: CallOptions['class'];
  readonly latencyMs: number;
}

export const CALM: NetworkFaults = { lossShare: 0, slowShare: 0, slowMs: 0, latencyMs: 4 };

/** How long a broken link takes to be noticed. */
const BREAK_MS = 50;

/**
 * Calls between nodes of a simulation. A message arrives, arrives late (after ones sent later, after its asker gave up), or never; a link that is cut
 * swallows what is sent. As over the real links an asker hears UNREACHABLE only of what was never handled.
 */
export class SimNetwork {
  readonly #time: VirtualTime;
  readonly #chance: () => number;
  readonly #endpoints = new Map<string, Endpoint>();
  readonly #cut = new Set<string>();
  readonly #calls = new Set<{ readonly from: Endpoint; readonly to: Endpoint; readonly abort: () => void }>();
  faults: NetworkFaults = CALM;
  /** Transfers wait. */
  #stalled: (() => void)[] | undefined;
  /** Of all that happened: two runs of one seed must agree in it. */
  trace = 0;
  messages = 0;

  constructor(time: VirtualTime, chance: () => number) {
    this.#time = time;
    this.#chance = chance;
  }

  cut(from: string, to: string): void {
    this.#cut.add(`${from}>${to}`);
  }

  /** Each node of one side from each of the other. */
  partition(some: readonly string[], others: readonly string[]): void {
    for (const a of some) {
      for (const b of others) {
        this.cut(a, b);
        this.cut(b, a);
      }
    }
  }

  heal(): void {
    this.#cut.clear();
    this.faults = CALM;
    this.releaseTransfers();
  }

  holdTransfers(): void {
    this.#stalled ??= [];
  }

  get isHoldingTransfers(): boolean {
    return this.#stalled !== undefined;
  }

  releaseTransfers(): void {
    const stalled = this.#stalled ?? [];
    this.#stalled = undefined;
    for (const go of stalled) this.#time.after(0, go);
  }

  /** The process ended: its links break. */
  drop(nodeId: string, clock: ProcessClock): void {
    const endpoint = this.#endpoints.get(nodeId);
    if (endpoint?.clock === clock) this.#endpoints.delete(nodeId);
    for (const call of [...this.#calls]) {
      if (call.from.clock === clock || call.to.clock === clock) this.#time.after(BREAK_MS, call.abort);
    }
  }

  starter(clock: ProcessClock, onAck: (kind: number) => void): StartPeers {
    return async ({ nodeId, handlers }) => {
      const endpoint: Endpoint = { nodeId, clock, handlers, address: undefined, isClosed: false, onAck };
      this.#endpoints.set(nodeId, endpoint);
      return this.#peersOf(endpoint);
    };
  }

  #peersOf(endpoint: Endpoint): RegisteredPeers {
    const { nodeId } = endpoint;
    const address = `${nodeId}:1`;
    return {
      address,
      register: (incarnation: number) => {
        endpoint.address = { nodeId, incarnation, address };
      },
      request: (to, kind, body, options) => this.#request(endpoint, to, kind, body, options),
      stream: (to, kind, body, options) => this.#stream(endpoint, to, kind, body, options),
      close: async () => {
        endpoint.isClosed = true;
        this.drop(nodeId, endpoint.clock);
      },
    } as RegisteredPeers;
  }

  async #request(
    from: Endpoint,
    to: PeerAddress,
    kind: number,
    body: readonly Uint8Array[],
    options: CallOptions,
  ): Promise<Uint8Array> {
    const call = new SimCall(this, from, to, kind, body, options);
    try {
      const answer = await call.first();
      return answer ?? new Uint8Array();
    } finally {
      call.end();
    }
  }

  async *#stream(
    from: Endpoint,
    to: PeerAddress,
    kind: number,
    body: readonly Uint8Array[],
    options: CallOptions,
  ): AsyncGenerator<Uint8Array> {
    const call = new SimCall(this, from, to, kind, body, options);
    try {
      for (;;) {
        const answer = await call.first();
        if (answer === undefined) return;
        yield answer;
      }
    } finally {
      call.end();
    }
  }

  /** For calls. */
  note(what: string): void {
    this.messages += 1;
    for (let at = 0; at < what.length; at++) this.trace = (Math.imul(this.trace, 31) + what.charCodeAt(at)) | 0;
    this.trace = (Math.imul(this.trace, 31) + Math.round(this.#time.monotonicMs() * 1000)) | 0;
  }

  find(to: PeerAddress): Endpoint | undefined {
    const endpoint = this.#endpoints.get(to.nodeId);
    return endpoint && !endpoint.isClosed && endpoint.address?.incarnation === to.incarnation ? endpoint : undefined;
  }

  isCut(from: string, to: string): boolean {
    return this.#cut.has(`${from}>${to}`);
  }

  began(call: { readonly from: Endpoint; readonly to: Endpoint; readonly abort: () => void }): () => void {
    this.#calls.add(call);
    return () => this.#calls.delete(call);
  }

  /** Brings a message: `arrive` runs at the other process, or `lost` soon after. */
  send(
    from: string,
    to: string,
    clock: ProcessClock,
    kind: CallOptions['class'],
    arrive: () => void,
    lost: () => void,
  ): void {
    const { lossShare, slowShare, slowMs, slowClass, latencyMs } = this.faults;
    const isSlow = this.#chance() < slowShare && (slowClass ?? kind) === kind;
    const delayMs = 0.5 + this.#chance() * latencyMs + (isSlow ? this.#chance() * slowMs : 0);
    const isLost = this.#chance() < lossShare;
    const go = (): void => {
      this.#time.after(delayMs, () => {
        if (this.isCut(from, to)) return;
        // A process that is gone resets the link.
        if (isLost || clock.isDead) lost();
        else clock.after(0, arrive);
      });
    };
    if (kind === 'transfer' && this.#stalled) this.#stalled.push(go);
    else go();
  }
}

type Answer = Uint8Array | undefined;

class SimCall {
  readonly #network: SimNetwork;
  readonly #from: Endpoint;
  readonly #to: PeerAddress;
  readonly #kind: number;
  readonly #body: Uint8Array;
  readonly #options: CallOptions;
  /** Made when a handler asks for it: few do. */
  #remote: AbortController | undefined;
  #isAborted = false;
  #answers: AsyncIterator<readonly Uint8Array[]> | undefined;
  #callee: Endpoint | undefined;
  #forget: () => void = () => undefined;
  #isEnded = false;
  #fail: ((error: PeerError) => void) | undefined;

  constructor(
    network: SimNetwork,
    from: Endpoint,
    to: PeerAddress,
    kind: number,
    body: readonly Uint8Array[],
    options: CallOptions,
  ) {
    this.#network = network;
    this.#from = from;
    this.#to = to;
    this.#kind = kind;
    // What arrives is a copy: nothing that the asker writes later shows.
    this.#body = new Uint8Array(Buffer.concat(body));
    this.#options = options;
  }

  /** The next answer; undefined after the last. */
  first(): Promise<Answer> {
    const { signal, deadlineMs } = this.#options;
    return new Promise<Answer>((resolve, reject) => {
      const { clock } = this.#from;
      const onAbort = (): void => settle(() => reject(new PeerError('UNKNOWN', 'given up')));
      const cancelDeadline = clock.after(deadlineMs, () =>
        settle(() => reject(new PeerError('UNKNOWN', `no answer from ${this.#to.nodeId}`))),
      );
      let isSettled = false;
      const settle = (how: () => void): void => {
        if (isSettled) return;
        isSettled = true;
        cancelDeadline();
        signal?.removeEventListener('abort', onAbort);
        how();
      };
      this.#fail = (error) => settle(() => reject(error));
      if (signal?.aborted) {
        onAbort();
        return;
      }
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#ask(
        (answer) => settle(() => resolve(answer)),
        (error) => settle(() => reject(error)),
      );
    });
  }

  /** Nothing more is wanted. */
  end(): void {
    if (this.#isEnded) return;
    const { signal } = this.#options;
    if (this.#kind === CallKind.SELECT && signal && !signal.aborted && this.#callee) {
      // A selection goes on after its last answer was read, until the asker ends it.
      signal.addEventListener('abort', () => this.#cancel(), { once: true });
      return;
    }
    this.#cancel();
  }

  #cancel(): void {
    this.#isEnded = true;
    this.#forget();
    const callee = this.#callee;
    if (callee) {
      this.#network.send(
        this.#from.nodeId,
        callee.nodeId,
        callee.clock,
        this.#options.class,
        () => this.#abort(),
        () => this.#abort(),
      );
    }
  }

  #abort(): void {
    this.#isAborted = true;
    this.#remote?.abort(ABORTED);
    void this.#answers?.return?.(undefined)?.catch(() => undefined);
  }

  #ask(resolve: (answer: Answer) => void, reject: (error: PeerError) => void): void {
    const { clock, nodeId } = this.#from;
    const { nodeId: target } = this.#to;
    const { class: kind } = this.#options;
    const breaks = (): void => void clock.after(BREAK_MS, () => reject(new PeerError('UNKNOWN', 'the link broke')));
    const callee = this.#callee ?? this.#network.find(this.#to);
    if (!callee) {
      clock.after(1, () => reject(new PeerError('UNREACHABLE', `${target} is not there`)));
      return;
    }
    this.#network.send(
      nodeId,
      target,
      callee.clock,
      kind,
      () => {
        if (callee.isClosed || this.#network.find(this.#to) !== callee) {
          clock.after(1, () => reject(new PeerError('UNREACHABLE', `${target} is not there`)));
          return;
        }
        // A scan's number counts the queries of this process, of schedules before too.
        const size = this.#kind === CallKind.SCAN ? '' : this.#body.length;
        this.#network.note(`${nodeId}>${target} ${this.#kind} ${size}`);
        this.#handle(callee).then(
          (answer) => {
            if (answer) callee.onAck(this.#kind);
            this.#network.send(target, nodeId, clock, kind, () => resolve(answer), breaks);
          },
          (error: unknown) => {
            const refusal =
              error instanceof RefusedError
                ? error.refusal
                : ({ code: 'INTERNAL', text: (error as Error).message } as const);
            const refused = new PeerError('REFUSED', refusal.text, { refusal });
            this.#network.send(target, nodeId, clock, kind, () => reject(refused), breaks);
          },
        );
      },
      breaks,
    );
  }

  async #handle(callee: Endpoint): Promise<Answer> {
    if (!this.#answers) {
      this.#callee = callee;
      const handler = callee.handlers.get(this.#kind);
      if (!handler) throw new Error(`no handler for ${this.#kind}`);
      this.#forget = this.#network.began({
        from: this.#from,
        to: callee,
        abort: () => {
          this.#fail?.(new PeerError('UNKNOWN', 'the link broke'));
          this.#abort();
        },
      });
      const outcome = handler(this.#body, this.#incoming());
      if ('then' in outcome) return new Uint8Array(Buffer.concat(await outcome));
      this.#answers = outcome[Symbol.asyncIterator]();
    }
    const { done, value } = await this.#answers.next();
    return done ? undefined : new Uint8Array(Buffer.concat(value));
  }

  #incoming(): IncomingCall {
    const signal = (): AbortSignal => {
      this.#remote ??= new AbortController();
      if (this.#isAborted) this.#remote.abort(ABORTED);
      return this.#remote.signal;
    };
    return {
      from: this.#from.address as PeerAddress,
      class: this.#options.class,
      deadlineMs: this.#options.deadlineMs,
      get signal() {
        return signal();
      },
    };
  }
}
