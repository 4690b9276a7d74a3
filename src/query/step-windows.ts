/** The evaluation times of a metric query and the range each looks back over. All in ns. */
export interface StepGrid {
  readonly startNs: bigint;
  /** 0 for an instant query. */
  readonly stepNs: bigint;
  /** Evaluation times: startNs, startNs + stepNs, … */
  readonly count: number;
}

export const gridOf = (startNs: bigint, endNs: bigint, stepNs: bigint, isInstant: boolean): StepGrid =>
  isInstant || stepNs <= 0n
    ? { startNs, stepNs: 0n, count: 1 }
    : { startNs, stepNs, count: endNs < startNs ? 0 : Number((endNs - startNs) / stepNs) + 1 };

/** Evaluation times in ms, ns cut off as Loki does. */
export const timesMsOf = (grid: StepGrid): number[] => {
  const times: number[] = [];
  for (let index = 0; index < grid.count; index += 1) {
    times.push(Number((grid.startNs + BigInt(index) * grid.stepNs) / 1_000_000n));
  }
  return times;
};

/**
 * Which evaluation times an entry counts for. Time t_k looks at (t_k - offset - range, t_k - offset]; an entry therefore counts for one
 * run of steps, [first, last]. Entry times are ns relative to `baseNs`, as doubles: exact within 104 days of the base, and beyond that
 * still exact for whole milliseconds, so that an entry on a window's edge falls on the right side.
 */
export class StepWindows {
  readonly count: number;
  /** After `locate`: the first and last step of the entry; first > last if it counts for none. */
  first = 0;
  last = -1;
  readonly #shift: number;
  readonly #range: number;
  readonly #step: number;
  /** Times in (#validAfter, #validUntil] have the same first and last. */
  #validAfter = Number.POSITIVE_INFINITY;
  #validUntil = Number.NEGATIVE_INFINITY;

  constructor(grid: StepGrid, rangeNs: bigint, offsetNs: bigint, baseNs: bigint) {
    this.count = grid.count;
    this.#shift = Number(baseNs + offsetNs - grid.startNs);
    this.#range = Number(rangeNs);
    // One step: any width will do, as long as later steps are cut off by `count`.
    this.#step = grid.stepNs === 0n ? Math.max(1, this.#range) : Number(grid.stepNs);
  }

  locate(time: number): void {
    if (time > this.#validAfter && time <= this.#validUntil) return;
    const sinceStart = time + this.#shift;
    const first = Math.ceil(sinceStart / this.#step);
    const beyond = Math.ceil((sinceStart + this.#range) / this.#step);
    this.#validUntil = Math.min(first * this.#step, beyond * this.#step - this.#range) - this.#shift;
    this.#validAfter = Math.max((first - 1) * this.#step, (beyond - 1) * this.#step - this.#range) - this.#shift;
    this.first = Math.max(0, first);
    this.last = Math.min(this.count, beyond) - 1;
  }

  /** Time up to which (inclusive) the last `locate` holds for later entries. */
  get validUntil(): number {
    return this.#validUntil;
  }
}
