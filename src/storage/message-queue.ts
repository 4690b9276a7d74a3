import type { ClientReadableStream } from '@grpc/grpc-js';

/** Chosen: what a slow reader leaves in memory, beside one message. */
const WAITING_BYTES_MAX = 1 << 20;

/**
 * Messages of a gRPC stream, taken as many at a time as have come: waiting for each alone costs more than most hold. The stream pauses while its reader has
 * not taken what is there.
 */
export class MessageQueue {
  readonly #call: ClientReadableStream<Buffer>;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #end: { readonly error: Error | undefined } | undefined;
  #wake: () => void = () => undefined;

  constructor(call: ClientReadableStream<Buffer>) {
    this.#call = call;
    call.on('data', (message: Buffer) => {
      this.#waiting.push(message);
      this.#waitingBytes += message.length;
      if (this.#waitingBytes >= WAITING_BYTES_MAX) call.pause();
      this.#wake();
    });
    call.on('error', (error: Error) => this.#ended(error));
    call.on('end', () => this.#ended(undefined));
  }

  /** undefined if none is there. */
  take(): readonly Buffer[] | undefined {
    if (this.#waiting.length === 0) return undefined;
    const messages = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    if (this.#call.isPaused()) this.#call.resume();
    return messages;
  }

  /** At least one; none at the end. @throws the stream's error, once what came before it is taken */
  async next(): Promise<readonly Buffer[]> {
    for (;;) {
      const messages = this.take();
      if (messages) return messages;
      if (this.#end?.error) throw this.#end.error;
      if (this.#end) return [];
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #ended(error: Error | undefined): void {
    this.#end ??= { error };
    this.#wake();
  }
}
