import type { Clock } from '../protocol/clock.ts';
import type { StreamCell } from './stream-cell.ts';
import type { StreamDirectory } from './stream-directory.ts';
import { type FlushRules, flushDue, isPassive, type StreamMessage } from './stream-state.ts';

export interface SweeperDeps {
  readonly clock: Clock;
  readonly directory: StreamDirectory;
  /** Of this sweep. */
  readonly rules: () => FlushRules;
  /** `flush_check_period` */
  readonly periodMs: number;
  readonly tell: (cell: StreamCell, message: StreamMessage) => void;
  readonly report: (problem: string, error: unknown) => void;
  /** After each sweep of the timer. */
  readonly swept: () => void;
}

/**
 * Looks over all streams once a period, in slices: who is idle or old is told to look itself, who is passive is asked to stop. One timer
 * for all of them.
 */
export class Sweeper {
  readonly #deps: SweeperDeps;
  #cancel: () => void = () => undefined;
  #isStopped = false;

  constructor(deps: SweeperDeps) {
    this.#deps = deps;
    this.#schedule();
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancel();
  }

  async sweep(): Promise<void> {
    const { clock, directory, tell } = this.#deps;
    const rules = this.#deps.rules();
    await directory.forEach((cell) => {
      const nowMs = clock.nowMs();
      if (flushDue(cell, rules, nowMs)) tell(cell, { type: 'check', rules, nowMs });
      else if (isPassive(cell, rules, nowMs)) tell(cell, { type: 'passivate', rules, nowMs });
    });
  }

  #schedule(): void {
    this.#cancel = this.#deps.clock.after(this.#deps.periodMs, () => {
      this.sweep()
        .catch((error: unknown) => this.#deps.report('a sweep over the streams failed', error))
        .finally(() => {
          if (this.#isStopped) return;
          this.#deps.swept();
          this.#schedule();
        });
    });
  }
}
