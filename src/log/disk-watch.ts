import type { Clock } from '../protocol/clock.ts';
import type { Refusal } from '../protocol/refusal.ts';
import { bytesLeft, diskFull, notWritten } from './commit-state.ts';
import type { LogFiles } from './log-files.ts';

/** Not a name of a file of the log. What an earlier process left of it is taken away. */
const PROBE_NAME = 'probe';
const PROBE = new Uint8Array(512);

/**
 * Whether the disk may take more entries. Looks at most once a period, and only when somebody asks; what was seen last holds until then. The
 * rest of the disk is for the records that let space be freed. After a write that failed it tries another one, of a file that is no part of
 * the log: so nobody's entries are needed to find out that the disk is well again.
 */
export class DiskWatch {
  readonly #files: LogFiles;
  readonly #clock: Clock;
  readonly #usedMax: number;
  readonly #periodMs: number;
  #lookedAtMs = Number.NEGATIVE_INFINITY;
  #bytesLeft = Number.POSITIVE_INFINITY;
  #failure: Error | undefined;
  #looking: Promise<void> | undefined;
  #isStopped = false;

  constructor(files: LogFiles, clock: Clock, usedMax: number, periodMs: number) {
    this.#files = files;
    this.#clock = clock;
    this.#usedMax = usedMax;
    this.#periodMs = periodMs;
  }

  /** Until no more entries are taken; negative past that. */
  get bytesLeft(): number {
    this.#lookIfDue();
    return this.#bytesLeft;
  }

  get isFull(): boolean {
    return this.bytesLeft < 0;
  }

  /** Why entries are better not offered now. */
  get refusal(): Refusal | undefined {
    if (this.isFull) return diskFull();
    return this.#failure && notWritten(this.#failure);
  }

  /** A batch could not be written. */
  failed(error: Error): void {
    this.#failure = error;
    this.#lookedAtMs = this.#clock.monotonicMs();
  }

  /** Looks now. A disk that cannot be asked is taken for as full as it was. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  /** Looks no more; resolves when nothing of it is under way. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#looking;
  }

  #lookIfDue(): void {
    if (this.#isStopped || this.#looking !== undefined) return;
    if (this.#clock.monotonicMs() - this.#lookedAtMs >= this.#periodMs) void this.look();
  }

  async #look(): Promise<void> {
    this.#lookedAtMs = this.#clock.monotonicMs();
    try {
      this.#bytesLeft = bytesLeft(await this.#files.space(), this.#usedMax);
    } catch {
      // A write will say what is wrong.
    }
    if (this.#failure && this.#bytesLeft >= 0) await this.#probe(this.#failure);
  }

  async #probe(failure: Error): Promise<void> {
    try {
      const names = await this.#files.list();
      if (names.includes(PROBE_NAME)) await this.#files.unlink(PROBE_NAME);
      const file = await this.#files.open(PROBE_NAME, 'create');
      try {
        await file.write(0, PROBE, true);
      } finally {
        await file.close();
      }
      await this.#files.unlink(PROBE_NAME);
      if (this.#failure === failure) this.#failure = undefined;
    } catch (error) {
      if (this.#failure === failure) this.#failure = error as Error;
    }
  }
}
