import type { StreamMemory } from '../actors/memory-source.ts';
import { TailBuffer } from '../actors/tail-buffer.ts';
import type { IncomingCall } from '../cluster/transport/peers.ts';
import type { Clock } from '../protocol/clock.ts';
import { paused } from '../protocol/paused.ts';
import { decodeSelectRequest } from './selection-message.ts';
import { encodeTailPart } from './tail-message.ts';

/** What an asker may be behind: it reads as fast as its client does not have to. */
const BUFFER_BYTES_MAX = 8 << 20;
/** Of one message. */
const MESSAGE_BYTES_MAX = 1 << 20;
/** How often what was appended is told. */
const INTERVAL_MS = 200;
/** A node that has nothing to tell says so: silence means that it is gone. */
const HEARTBEAT_MS = 1000;

/** Tells other members what is appended here, for their tails. */
export class TailServer {
  readonly #clock: Clock;
  readonly #memory: Pick<StreamMemory, 'subscribe'>;

  constructor(clock: Clock, memory: Pick<StreamMemory, 'subscribe'>) {
    this.#clock = clock;
    this.#memory = memory;
  }

  /** TAIL: for as long as the asker reads. The first answer says that from now on nothing is missed. */
  async *tail(body: Uint8Array, { signal }: Pick<IncomingCall, 'signal'>): AsyncGenerator<readonly Uint8Array[]> {
    const clock = this.#clock;
    const { tenant, matchers } = decodeSelectRequest(body);
    const buffer = new TailBuffer(BUFFER_BYTES_MAX);
    const unsubscribe = this.#memory.subscribe(tenant, matchers, {
      appended: (stream) => buffer.add(stream, clock.monotonicMs()),
      dropped: () => undefined,
      missed: () => undefined,
    });
    try {
      yield encodeTailPart({ streams: [], dropped: [] });
      let toldMs = clock.monotonicMs();
      while (!signal.aborted) {
        await paused(clock, INTERVAL_MS, signal);
        const dropped = buffer.takeDropped();
        if (!buffer.isEmpty || dropped.length > 0 || clock.monotonicMs() - toldMs >= HEARTBEAT_MS) {
          toldMs = clock.monotonicMs();
          yield encodeTailPart({ streams: buffer.take(toldMs, MESSAGE_BYTES_MAX), dropped });
        }
        for (let more = buffer.take(toldMs, MESSAGE_BYTES_MAX); more.length > 0; ) {
          yield encodeTailPart({ streams: more, dropped: [] });
          more = buffer.take(toldMs, MESSAGE_BYTES_MAX);
        }
      }
    } finally {
      unsubscribe();
    }
  }
}
