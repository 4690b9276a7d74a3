import type { LogFigures } from '../log/log.ts';
import type { FlushRules } from './stream-state.ts';

/** At most: of two hours 28 seconds are left. */
const HALVINGS_MAX = 8;

/**
 * The rules by age, sharper while the disk of the log runs short: each sweep that finds the log larger than what the disk still takes halves the
 * ages, so that the oldest leave first; one that finds it smaller takes a step back. Where others fill the disk and the log is small beside what
 * is left, nothing is flushed early: it would not help. Nor while the store has enough to do or is down: what is sealed then only waits, as
 * ever smaller chunks.
 */
export class FlushPressure {
  readonly #rules: FlushRules;
  readonly #log: () => Pick<LogFigures, 'liveBytes' | 'diskBytesLeft'> | undefined;
  readonly #isStoreIdle: () => boolean;
  #current: FlushRules;
  #halvings = 0;

  /** @param isStoreIdle what was sealed before is stored, but for a few */
  constructor(
    rules: FlushRules,
    log: () => Pick<LogFigures, 'liveBytes' | 'diskBytesLeft'> | undefined,
    isStoreIdle: () => boolean,
  ) {
    this.#rules = rules;
    this.#log = log;
    this.#isStoreIdle = isStoreIdle;
    this.#current = rules;
  }

  get rules(): FlushRules {
    return this.#current;
  }

  /** Once a sweep, before it. @returns the rules from now on */
  look(): FlushRules {
    const log = this.#log();
    const isShort = log !== undefined && log.liveBytes > log.diskBytesLeft;
    if (!this.#isStoreIdle()) this.#halvings = 0;
    else this.#halvings = isShort ? Math.min(this.#halvings + 1, HALVINGS_MAX) : Math.max(0, this.#halvings - 1);
    const { idleMs, ageNs, passivateMs } = this.#rules;
    const factor = 2 ** this.#halvings;
    this.#current = { idleMs: idleMs / factor, ageNs: ageNs / BigInt(factor), passivateMs };
    return this.#current;
  }
}
