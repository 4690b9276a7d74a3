import type { LogFigures } from '../log/log.ts';
import type { FlushRules } from './stream-state.ts';

/** At most: of two hours 28 seconds are left. */
const HALVINGS_MAX = 8;

/**
 * The rules by age, sharper while the disk of the log runs short: each sweep that finds the log larger than what the disk still takes halves the
 * ages, so that the oldest leave first and no more leaves than is needed; a sweep that finds it smaller brings them back. Where others fill the
 * disk and the log is small beside what is left, nothing is flushed early: it would not help.
 */
export class FlushPressure {
  readonly #rules: FlushRules;
  readonly #log: () => Pick<LogFigures, 'liveBytes' | 'diskBytesLeft'> | undefined;
  #current: FlushRules;
  #halvings = 0;

  constructor(rules: FlushRules, log: () => Pick<LogFigures, 'liveBytes' | 'diskBytesLeft'> | undefined) {
    this.#rules = rules;
    this.#log = log;
    this.#current = rules;
  }

  get rules(): FlushRules {
    return this.#current;
  }

  /** Once a sweep, before it. */
  look(): void {
    const log = this.#log();
    const isShort = log !== undefined && log.liveBytes > log.diskBytesLeft;
    this.#halvings = isShort ? Math.min(this.#halvings + 1, HALVINGS_MAX) : 0;
    const { idleMs, ageNs, passivateMs } = this.#rules;
    const factor = 2 ** this.#halvings;
    this.#current = { idleMs: idleMs / factor, ageNs: ageNs / BigInt(factor), passivateMs };
  }
}
