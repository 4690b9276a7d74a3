/** How long the event loop's thread waits for a core: what tells a machine that has too much to do from a thread that has much to do itself. */
import { openSync, readSync } from 'node:fs';
import type { Clock } from './protocol/clock.ts';
import { systemClock } from './system-clock.ts';

/** Of the thread that opens it. Linux: "ns on a core, ns of waiting for one, times". */
const SCHEDSTAT = '/proc/thread-self/schedstat';
const SIZE_MAX = 64;

/** A look a tenth of a second, by who asks: what an idle process is asked again after an hour covers the hour. */
const LOOK_MS = 100;

interface Look {
  readonly atMs: number;
  readonly ranNs: number;
  readonly waitedNs: number;
}

export class CpuWait {
  readonly #clock: Clock;
  readonly #read: () => string;
  #last: Look;
  #share = 0;

  /** @param read what stands in SCHEDSTAT now */
  constructor(clock: Clock, read: () => string) {
    this.#clock = clock;
    this.#read = read;
    this.#last = this.#look();
  }

  /** Of the time in which the thread had something to do: in how much it waited for a core, 0 to 1. 0.5: everything takes twice as long. */
  readonly share = (): number => {
    const before = this.#last;
    if (this.#clock.monotonicMs() - before.atMs < LOOK_MS) return this.#share;
    const now = this.#look();
    const [ran, waited] = [now.ranNs - before.ranNs, now.waitedNs - before.waitedNs];
    this.#last = now;
    // Half of what was: ten wake-ups of a tenth of a second are few.
    this.#share = (this.#share + (ran + waited > 0 ? waited / (ran + waited) : 0)) / 2;
    return this.#share;
  };

  #look(): Look {
    const [ranNs = 0, waitedNs = 0] = this.#read().split(' ').map(Number);
    return { atMs: this.#clock.monotonicMs(), ranNs, waitedNs };
  }
}

let ofThread: CpuWait | undefined;

/** Of this thread; undefined where the system does not tell. */
export const systemCpuWait = (): CpuWait | undefined => {
  if (ofThread) return ofThread;
  try {
    // One, for as long as the process lives.
    const file = openSync(SCHEDSTAT, 'r');
    const bytes = Buffer.alloc(SIZE_MAX);
    ofThread = new CpuWait(systemClock, () => bytes.toString('latin1', 0, readSync(file, bytes, 0, SIZE_MAX, 0)));
    return ofThread;
  } catch {
    return undefined;
  }
};
