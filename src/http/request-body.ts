import type { IncomingMessage } from 'node:http';
import type { BodyMemory } from '../protocol/large-bodies.ts';
import { RefusedError } from '../protocol/refusal.ts';

/** A body up to this size gets its whole buffer at once; beyond it a lying content-length must be earned by sending. */
const TRUSTED_BYTES = 4 * 1024 * 1024;
const FIRST_BYTES = 64 * 1024;

/** Bytes of request bodies in memory over all requests, inflated ones too: past the bound a request is told to come back. */
export class ByteBudget {
  readonly #bytesMax: number;
  #used = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get used(): number {
    return this.#used;
  }

  /** A body is always let in when no other is there, so that none is refused for good. @throws RefusedError OVERLOADED */
  take(bytes: number): void {
    if (this.#used > 0 && this.#used + bytes > this.#bytesMax) {
      throw new RefusedError({ code: 'OVERLOADED', text: 'too many request bodies in memory', retryAfterMs: 1000 });
    }
    this.#used += bytes;
  }

  give(bytes: number): void {
    this.#used -= bytes;
  }
}

/** What one body takes of the budget beside its bytes on the wire: what it becomes inflated. */
export class InflatedBytes implements BodyMemory {
  readonly #budget: ByteBudget;
  #taken = 0;

  constructor(budget: ByteBudget) {
    this.#budget = budget;
  }

  /** @throws RefusedError OVERLOADED */
  take(bytes: number): void {
    this.#budget.take(bytes);
    this.#taken += bytes;
  }

  /** Call it once. */
  release(): void {
    this.#budget.give(this.#taken);
  }
}

export const tooLarge = (bytes: number, bytesMax: number): RefusedError =>
  new RefusedError({
    code: 'TOO_LARGE',
    text: `request body too large: message size too large than max (${bytes} vs ${bytesMax})`,
  });

const declaredLength = (request: IncomingMessage): number | undefined => {
  const header = request.headers['content-length'];
  return header === undefined ? undefined : Number(header);
};

const grown = (buffer: Buffer, used: number, needed: number, sizeMax: number): Buffer => {
  if (needed <= buffer.length) return buffer;
  const bigger = Buffer.allocUnsafeSlow(Math.min(sizeMax, Math.max(needed, buffer.length * 2)));
  buffer.copy(bigger, 0, 0, used);
  return bigger;
};

export interface ReadBody {
  /** Owned by the caller. */
  readonly bytes: Buffer;
  /** Call it when the bytes are not needed any more. */
  release(): void;
}

/**
 * The whole body in one buffer: sized by content-length when that is given and believable, grown by doubling else.
 * The server's request timeout bounds how long it may take.
 * @throws RefusedError TOO_LARGE (bytes over the limit are left unread), OVERLOADED, CANCELLED when the client goes away
 */
export const readBody = (request: IncomingMessage, bytesMax: number, budget: ByteBudget): Promise<ReadBody> =>
  new Promise((resolve, reject) => {
    const length = declaredLength(request);
    if (length !== undefined && length > bytesMax) throw tooLarge(length, bytesMax);
    let taken = length ?? FIRST_BYTES;
    budget.take(taken);
    let buffer: Buffer = Buffer.allocUnsafeSlow(length !== undefined && length <= TRUSTED_BYTES ? length : FIRST_BYTES);
    let used = 0;
    const fail = (error: Error): void => {
      request.off('data', onData);
      request.off('end', onEnd);
      request.off('close', onClose);
      budget.give(taken);
      taken = 0;
      reject(error);
    };
    const onData = (chunk: Buffer): void => {
      const needed = used + chunk.length;
      if (needed > bytesMax) {
        fail(tooLarge(needed, bytesMax));
        return;
      }
      try {
        buffer = grown(buffer, used, needed, length ?? bytesMax);
        if (buffer.length > taken) {
          budget.take(buffer.length - taken);
          taken = buffer.length;
        }
      } catch (error) {
        fail(error as Error);
        return;
      }
      chunk.copy(buffer, used);
      used = needed;
    };
    const onEnd = (): void => {
      request.off('close', onClose);
      resolve({ bytes: buffer.subarray(0, used), release: () => budget.give(taken) });
    };
    const onClose = (): void =>
      fail(new RefusedError({ code: 'CANCELLED', text: 'the request was cancelled by the client' }));
    request.on('data', onData);
    request.on('end', onEnd);
    request.on('close', onClose);
    request.on('error', onClose);
  });
