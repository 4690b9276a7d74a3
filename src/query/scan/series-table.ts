import type { StepWindows } from '../step-windows.ts';
import type { PartialSeries } from './scan-messages.ts';

/** Cells (series × steps) one task may fill: 256 MiB of counts. Above it the query is refused rather than the process ended. */
export const PARTIAL_CELLS_MAX = 32 << 20;

/**
 * Counts (and sums) per series and step, as difference arrays: an entry that counts for steps a to b adds at a and takes away at b + 1,
 * whatever the range; one running sum at the end makes the windows' values. Sums of whole numbers, so exact.
 */
export class SeriesTable {
  readonly #firstStep: number;
  readonly #stepCount: number;
  readonly #hasSums: boolean;
  readonly #indexes = new Map<string, number>();
  readonly labels: (readonly string[])[] = [];
  readonly #counts: Float64Array[] = [];
  readonly #sums: Float64Array[] = [];

  /** For entries that count for steps within [firstStep, lastStep]. */
  constructor(firstStep: number, lastStep: number, hasSums: boolean) {
    this.#firstStep = firstStep;
    this.#stepCount = Math.max(0, lastStep - firstStep + 1);
    this.#hasSums = hasSums;
  }

  get cells(): number {
    return this.#counts.length * (this.#stepCount + 1) * (this.#hasSums ? 2 : 1);
  }

  /** The series with these labels, made if new. */
  indexOf(labels: readonly string[]): number {
    const key = JSON.stringify(labels);
    const known = this.#indexes.get(key);
    if (known !== undefined) return known;
    const index = this.labels.length;
    this.#indexes.set(key, index);
    this.labels.push(labels);
    this.#counts.push(new Float64Array(this.#stepCount + 1));
    if (this.#hasSums) this.#sums.push(new Float64Array(this.#stepCount + 1));
    return index;
  }

  /** `count` entries of together `sum` bytes for the steps last located. */
  add(index: number, windows: StepWindows, count: number, sum: number): void {
    const first = windows.first - this.#firstStep;
    const beyond = windows.last + 1 - this.#firstStep;
    const counts = this.#counts[index]!;
    counts[first]! += count;
    counts[beyond]! -= count;
    if (!this.#hasSums) return;
    const sums = this.#sums[index]!;
    sums[first]! += sum;
    sums[beyond]! -= sum;
  }

  partials(): PartialSeries[] {
    return this.labels.map((labels, index) => ({
      labels,
      firstStep: this.#firstStep,
      counts: runningSum(this.#counts[index]!),
      sums: this.#hasSums ? runningSum(this.#sums[index]!) : undefined,
    }));
  }
}

/** In place, without the cell behind the last step. */
const runningSum = (differences: Float64Array): Float64Array => {
  let sum = 0;
  for (let index = 0; index < differences.length; index += 1) {
    sum += differences[index]!;
    differences[index] = sum;
  }
  return differences.subarray(0, differences.length - 1);
};
