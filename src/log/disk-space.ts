import type { Clock } from '../protocol/clock.ts';
import { isDiskFull } from './commit-state.ts';
import type { LogFiles } from './log-files.ts';

/**
 * Whether the disk may take more entries. Looks at most once a period, and only when somebody asks; what was seen last holds until then. The
 * rest of the disk is for the records that let space be freed.
 */
export class SpaceWatch {
  readonly #files: LogFiles;
  readonly #clock: Clock;
  readonly #usedMax: number;
  readonly #periodMs: number;
  #lookedAtMs = Number.NEGATIVE_INFINITY;
  #isFull = false;
  #isLooking = false;

  constructor(files: LogFiles, clock: Clock, usedMax: number, periodMs: number) {
    this.#files = files;
    this.#clock = clock;
    this.#usedMax = usedMax;
    this.#periodMs = periodMs;
  }

  get isFull(): boolean {
    if (!this.#isLooking && this.#clock.monotonicMs() - this.#lookedAtMs >= this.#periodMs) void this.look();
    return this.#isFull;
  }

  /** Looks now. A disk that cannot be asked is taken for as full as it was. */
  async look(): Promise<void> {
    this.#isLooking = true;
    this.#lookedAtMs = this.#clock.monotonicMs();
    try {
      this.#isFull = isDiskFull(await this.#files.space(), this.#usedMax);
    } catch {
      // A write will say what is wrong.
    }
    this.#isLooking = false;
  }
}
