import { processOf, type Target } from '../cluster/handover/by-process.ts';
import type { Pace } from './pace.ts';

/** By the process that is sent to: one that does not answer holds up nobody else. */
export class Paces {
  readonly #paces = new Map<string, Pace>();
  readonly #newPace: () => Pace;

  constructor(newPace: () => Pace) {
    this.#newPace = newPace;
  }

  of(target: Target): Pace {
    const process = processOf(target);
    const pace = this.#paces.get(process) ?? this.#newPace();
    this.#paces.set(process, pace);
    return pace;
  }

  /** Those that wait behind what failed fail with it: one after the other they would keep others from being sent to. */
  fail(target: Target, pace: Pace, error: Error): void {
    pace.fail(error);
    const process = processOf(target);
    if (this.#paces.get(process) === pace) this.#paces.delete(process);
  }

  keepOnly(alive: ReadonlySet<string>): void {
    for (const process of this.#paces.keys()) if (!alive.has(process)) this.#paces.delete(process);
  }
}
