import type { Pipe } from '../../src/cluster/transport/pipe.ts';

const nothing = (): void => undefined;

/** One end of a pair. What is written waits until the test delivers it. */
export class TestPipe implements Pipe {
  onPacket: (packet: Buffer) => void = nothing;
  onDrain: () => void = nothing;
  onClose: (error: Error | undefined) => void = nothing;
  readonly written: Buffer[] = [];
  other: TestPipe | undefined;
  isEnded = false;
  isDestroyed = false;

  get bufferedBytes(): number {
    return this.written.reduce((sum, { length }) => sum + length, 0);
  }

  write(packet: Buffer): void {
    this.written.push(packet);
  }

  end(): void {
    this.isEnded = true;
  }

  destroy(): void {
    this.isDestroyed = true;
  }

  /** Takes the first packet to the other end. False: there was none. */
  deliver(): boolean {
    const packet = this.written.shift();
    if (!packet) return false;
    this.other?.onPacket(packet);
    this.onDrain();
    return true;
  }
}

export const pipePair = (): readonly [TestPipe, TestPipe] => {
  const [left, right] = [new TestPipe(), new TestPipe()];
  left.other = right;
  right.other = left;
  return [left, right];
};

/** Lets promises and microtasks run. */
export const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Delivers both ways until nothing is under way. */
export const deliverAll = async (...pipes: readonly TestPipe[]): Promise<void> => {
  for (let quietTurns = 0; quietTurns < 2; ) {
    await settle();
    const delivered = pipes.map((pipe) => pipe.deliver());
    quietTurns = delivered.includes(true) ? 0 : quietTurns + 1;
  }
};
