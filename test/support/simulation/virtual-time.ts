import type { Clock } from '../../../src/protocol/clock.ts';
import { T0_MS } from '../entries.ts';

interface Timer {
  readonly atMs: number;
  readonly order: number;
  readonly fire: () => void;
  isCancelled: boolean;
}

/** Time that passes only when nothing is left to do now: no turn of the event loop is waited for. Timers of one time fire in the order they were set. */
export class VirtualTime implements Clock {
  readonly #heap: Timer[] = [];
  #nowMs = 0;
  #order = 0;

  nowMs(): number {
    return T0_MS + Math.floor(this.#nowMs);
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, fire: () => void): () => void {
    this.#order += 1;
    const timer: Timer = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#order, fire, isCancelled: false };
    push(this.#heap, timer);
    return () => {
      timer.isCancelled = true;
    };
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.after(ms, resolve);
    });
  }

  /** Lets time pass until `isOver`, asked after each step. @returns whether it was within `ms` */
  async runUntil(isOver: () => boolean, ms: number): Promise<boolean> {
    const endMs = this.#nowMs + ms;
    await settled();
    while (!isOver()) {
      const next = this.#next();
      if (!next || next.atMs > endMs) {
        this.#nowMs = endMs;
        return isOver();
      }
      this.#nowMs = next.atMs;
      for (let due: Timer | undefined = next; due && due.atMs <= this.#nowMs; due = this.#next()) {
        pop(this.#heap);
        due.fire();
      }
      await settled();
    }
    return true;
  }

  async run(ms: number): Promise<void> {
    await this.runUntil(() => false, ms);
  }

  #next(): Timer | undefined {
    while (this.#heap[0]?.isCancelled) pop(this.#heap);
    return this.#heap[0];
  }
}

/** No turn of the event loop is left that anybody waits for. Real files and threads would not be seen: there are none. */
const settled = async (): Promise<void> => {
  do {
    await new Promise<void>((resolve) => setImmediate(resolve));
  } while (process.getActiveResourcesInfo().includes('Immediate'));
};

const isBefore = (a: Timer, b: Timer): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);

const push = (heap: Timer[], timer: Timer): void => {
  let at = heap.length;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!isBefore(timer, heap[parent] as Timer)) break;
    heap[at] = heap[parent] as Timer;
    at = parent;
  }
  heap[at] = timer;
};

const pop = (heap: Timer[]): void => {
  const last = heap.pop();
  if (!last || heap.length === 0) return;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && isBefore(heap[child + 1] as Timer, heap[child] as Timer)) child += 1;
    if (!isBefore(heap[child] as Timer, last)) break;
    heap[at] = heap[child] as Timer;
    at = child;
  }
  heap[at] = last;
};

/** Time as one process sees it: while it stands still nothing of it runs, once it has ended nothing ever does. */
export class ProcessClock implements Clock {
  readonly #time: VirtualTime;
  #held: (() => void)[] | undefined;
  #isDead = false;

  constructor(time: VirtualTime) {
    this.#time = time;
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  get isPaused(): boolean {
    return this.#held !== undefined;
  }

  nowMs(): number {
    return this.#time.nowMs();
  }

  monotonicMs(): number {
    return this.#time.monotonicMs();
  }

  after(delayMs: number, callback: () => void): () => void {
    if (this.#isDead) return () => undefined;
    let isCancelled = false;
    const run = (): void => {
      if (isCancelled || this.#isDead) return;
      if (this.#held) this.#held.push(run);
      else callback();
    };
    const cancel = this.#time.after(delayMs, run);
    return () => {
      isCancelled = true;
      cancel();
    };
  }

  pause(): void {
    this.#held ??= [];
  }

  /** What was due meanwhile happens now, in its order. */
  resume(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const run of held) this.#time.after(0, run);
  }

  end(): void {
    this.#isDead = true;
    this.#held = undefined;
  }

  /** `work` some time from now; its outcome arrives only if the process still runs. */
  later<Result>(delayMs: number, work: () => Promise<Result>): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.after(delayMs, () => {
        work().then(
          (result) => this.#isDead || this.after(0, () => resolve(result)),
          (error: unknown) => this.#isDead || this.after(0, () => reject(error)),
        );
      });
    });
  }
}
