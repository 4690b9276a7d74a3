import type { Clock } from './protocol/clock.ts';
import { BoundedMap } from './storage/bounded-map.ts';

/** Chosen: often enough to see that it goes on, seldom enough for a log that people read. */
const PERIOD_MS = 10_000;
/** Chosen: a few hundred kB of texts. A problem that is forgotten for others is new when it comes back. */
const KNOWN_MAX = 1000;

interface Known {
  writtenMs: number;
  /** Since then. */
  repeats: number;
}

/** Writes a problem. `fields` = the error as `err`, what it was about, and `repeats` if it was not written each time. */
export type WriteProblem = (fields: object, problem: string) => void;

/**
 * Problems on their way to a log. One that is new is written at once, the same one again at most every 10 s, with how often it happened
 * in between: a full disk fails every chunk of every stream, again and again. The same are those with one text and one cause, whatever
 * they are about.
 */
export class ProblemLog {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #write: WriteProblem;
  readonly #known = new BoundedMap<string, Known>(KNOWN_MAX);

  constructor(clock: Pick<Clock, 'monotonicMs'>, write: WriteProblem) {
    this.#clock = clock;
    this.#write = write;
  }

  /** `about` = fields that say where it happened. */
  report(problem: string, error: unknown, about: object = {}): void {
    const key = `${problem}\n${causeOf(error)}`;
    const nowMs = this.#clock.monotonicMs();
    const known = this.#known.get(key);
    if (known && nowMs - known.writtenMs < PERIOD_MS) {
      known.repeats += 1;
      return;
    }
    this.#known.set(key, { writtenMs: nowMs, repeats: 0 });
    const repeats = known?.repeats ?? 0;
    this.#write({ err: error, ...about, ...(repeats > 0 && { repeats }) }, problem);
  }
}

/** The system's code, which has no paths in it, where there is one; otherwise the text. */
const causeOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error);
  const { code, cause, message } = error as NodeJS.ErrnoException;
  return code ?? (cause === undefined ? message : causeOf(cause));
};
