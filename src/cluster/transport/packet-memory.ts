import { releaseMemory } from '../../protocol/release-memory.ts';

/**
 * What a packet lies in, until everybody who reads it has said that he is done: then its memory is free at once, and no collection of the whole
 * heap is brought about by packets that wait for one. A reader that never says so leaves it to the collector.
 */
export class PacketMemory {
  readonly #packet: Uint8Array;
  /** The first is the link. */
  #readers = 1;

  constructor(packet: Uint8Array) {
    this.#packet = packet;
  }

  /** One more reads it. @returns how he says that he has no view of it any more; call it once */
  read(): () => void {
    this.#readers += 1;
    return () => this.done();
  }

  /** The link has handed over all that is in it. */
  done(): void {
    this.#readers -= 1;
    if (this.#readers === 0) releaseMemory(this.#packet);
  }
}
