/** What a link runs over: packets in order, both ways. A gRPC call, or in tests a pair of queues. */
export interface Pipe {
  /** Bytes written that have not left yet. */
  readonly bufferedBytes: number;
  write(packet: Buffer): void;
  /** No more packets from here; those written still leave. */
  end(): void;
  /** At once, with what is buffered. */
  destroy(): void;
  /** Set by who uses the pipe, before the turn ends in which it got it. */
  onPacket: (packet: Buffer) => void;
  onDrain: () => void;
  /** Called once, the last call of all. `undefined`: the other side ended it in good order. */
  onClose: (error: Error | undefined) => void;
}
