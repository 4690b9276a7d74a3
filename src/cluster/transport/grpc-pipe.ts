import type { ClientDuplexStream, ServerDuplexStream } from '@grpc/grpc-js';
import { releaseMemory } from '../../protocol/release-memory.ts';
import type { Pipe } from './pipe.ts';

export type ClientStream = ClientDuplexStream<Buffer, Buffer>;
export type ServerStream = ServerDuplexStream<Buffer, Buffer>;

const nothing = (): void => undefined;

/** One gRPC stream as a pipe. grpc-js counts messages, of any size, for `write() === false`; this counts bytes until they have left. */
export class GrpcPipe implements Pipe {
  onPacket: (packet: Buffer) => void = nothing;
  onDrain: () => void = nothing;
  onClose: (error: Error | undefined) => void = nothing;
  readonly #stream: ClientStream | ServerStream;
  readonly #destroy: () => void;
  #bufferedBytes = 0;
  #isClosed = false;

  /** @param destroy ends the call at once */
  constructor(stream: ClientStream | ServerStream, destroy: () => void) {
    this.#stream = stream;
    this.#destroy = destroy;
    stream.on('data', (packet: Buffer) => this.onPacket(packet));
    // After `end` in good order 'close' may come without 'error'.
    stream.on('error', (error: Error) => this.#close(error));
    stream.on('cancelled', () => this.#close(new Error('the connection broke')));
    stream.on('end', () => {
      stream.end();
      this.#close(undefined);
    });
    stream.on('close', () => this.#close(undefined));
  }

  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  write(packet: Buffer): void {
    if (this.#isClosed) return;
    const bytes = packet.length;
    this.#bufferedBytes += bytes;
    this.#stream.write(packet, () => {
      this.#bufferedBytes -= bytes;
      // grpc-js has sent a copy of its own.
      releaseMemory(packet);
      this.onDrain();
    });
  }

  end(): void {
    if (!this.#isClosed) this.#stream.end();
  }

  destroy(): void {
    this.#close(new Error('the link was cut'));
    this.#destroy();
  }

  #close(error: Error | undefined): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.onDrain = nothing;
    this.onClose(error);
  }
}
