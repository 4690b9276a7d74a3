import type { Clock } from '../../protocol/clock.ts';
import { MembershipError } from './membership-error.ts';

/** The promise's outcome, or DEADLINE_EXCEEDED after `deadlineMs`. The work goes on; its outcome is then dropped. */
export const withDeadline = <T>(clock: Clock, deadlineMs: number, what: string, work: Promise<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    const cancel = clock.after(Math.max(0, deadlineMs), () => {
      reject(new MembershipError({ code: 'DEADLINE_EXCEEDED', text: `${what}: no answer within ${deadlineMs} ms` }));
    });
    work.then(resolve, reject).finally(cancel);
  });

export const delay = (clock: Clock, ms: number): Promise<void> =>
  new Promise((resolve) => {
    clock.after(ms, () => resolve());
  });

/** Doubles from `firstMs` to `lastMs`; half of each wait is by chance, so that many that failed together do not come back together. */
export class Backoff {
  readonly #firstMs: number;
  readonly #lastMs: number;
  readonly #random: () => number;
  #nextMs: number;

  constructor(firstMs: number, lastMs: number, random: () => number) {
    this.#firstMs = firstMs;
    this.#lastMs = lastMs;
    this.#random = random;
    this.#nextMs = firstMs;
  }

  nextMs(): number {
    const ms = this.#nextMs * (0.5 + this.#random() / 2);
    this.#nextMs = Math.min(this.#nextMs * 2, this.#lastMs);
    return ms;
  }

  reset(): void {
    this.#nextMs = this.#firstMs;
  }
}

/** Work that several callers may share. A caller gets the outcome of a run that started after it asked, never of one under way. */
export class Shared<T> {
  readonly #work: () => Promise<T>;
  #running: Promise<T> | undefined;
  #next: Promise<T> | undefined;

  constructor(work: () => Promise<T>) {
    this.#work = work;
  }

  run(): Promise<T> {
    if (!this.#running) return this.#start();
    this.#next ??= this.#running.then(
      () => this.#start(),
      () => this.#start(),
    );
    return this.#next;
  }

  #start(): Promise<T> {
    this.#next = undefined;
    const running = this.#work().finally(() => {
      // The next one may have started by then.
      if (this.#running === running) this.#running = undefined;
    });
    this.#running = running;
    return running;
  }
}
