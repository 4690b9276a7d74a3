import { RefusedError } from '../../protocol/refusal.ts';
import { checkSeriesCount } from '../series-limit.ts';
import { keyOfLabels } from '../step-series.ts';
import type { StepWindows } from '../step-windows.ts';
import type { PartialCounts } from './scan-messages.ts';

/** Cells (series × steps) one task may fill: 256 MiB of counts. Above it the query is refused rather than the process ended. */
const PARTIAL_CELLS_MAX = 32 << 20;
const SERIES_FIRST = 4;

/**
 * Counts (and sums) per series and step, as difference arrays: an entry that counts for steps a to b adds at a and takes away at b + 1,
 * whatever the range; one running sum at the end makes the windows' values. Sums of whole numbers, so exact.
 */
export class SeriesTable {
  readonly #firstStep: number;
  readonly #stepCount: number;
  readonly #seriesMax: number;
  readonly #indexes = new Map<string, number>();
  /** Series after series, `stepCount + 1` cells each. */
  #counts: Float64Array;
  #sums: Float64Array | undefined;

  /** For entries that count for steps within [firstStep, lastStep]. `seriesMax` 0: no limit. */
  constructor(firstStep: number, lastStep: number, hasSums: boolean, seriesMax: number) {
    this.#firstStep = firstStep;
    this.#stepCount = Math.max(0, lastStep - firstStep + 1);
    this.#seriesMax = seriesMax;
    this.#counts = new Float64Array(SERIES_FIRST * (this.#stepCount + 1));
    this.#sums = hasSums ? new Float64Array(this.#counts.length) : undefined;
  }

  /** `keyOfLabels` of the series in the order of their indexes, one a line: JSON has no bare newline. */
  get keys(): string {
    return [...this.#indexes.keys()].join('\n');
  }

  /** The series with these labels, made if new. @throws RefusedError INVALID_QUERY if that is one too many */
  indexOf(labels: readonly string[]): number {
    const key = keyOfLabels(labels);
    const known = this.#indexes.get(key);
    if (known !== undefined) return known;
    const index = this.#indexes.size;
    checkSeriesCount(index + 1, this.#seriesMax);
    const cells = (index + 1) * (this.#stepCount + 1);
    if (cells * (this.#sums ? 2 : 1) > PARTIAL_CELLS_MAX) throw tooManySeries();
    this.#indexes.set(key, index);
    if (cells > this.#counts.length) {
      this.#counts = doubled(this.#counts);
      this.#sums = this.#sums && doubled(this.#sums);
    }
    return index;
  }

  /** `count` entries of together `sum` bytes for the steps last located. */
  add(index: number, windows: StepWindows, count: number, sum: number): void {
    const offset = index * (this.#stepCount + 1) - this.#firstStep;
    const first = offset + windows.first;
    const beyond = offset + windows.last + 1;
    this.#counts[first]! += count;
    this.#counts[beyond]! -= count;
    if (!this.#sums) return;
    this.#sums[first]! += sum;
    this.#sums[beyond]! -= sum;
  }

  /** Call it last: it hands out the table's own buffers. */
  partials(): PartialCounts {
    return {
      keys: this.keys,
      firstStep: this.#firstStep,
      stepCount: this.#stepCount,
      counts: this.#runningSums(this.#counts),
      sums: this.#sums && this.#runningSums(this.#sums),
    };
  }

  /** In place, each series without the cell behind its last step. */
  #runningSums(differences: Float64Array): Float64Array {
    const stepCount = this.#stepCount;
    const seriesCount = this.#indexes.size;
    for (let index = 0; index < seriesCount; index += 1) {
      const from = index * (stepCount + 1);
      const to = index * stepCount;
      let sum = 0;
      for (let step = 0; step < stepCount; step += 1) {
        sum += differences[from + step]!;
        differences[to + step] = sum;
      }
    }
    return differences.subarray(0, seriesCount * stepCount);
  }
}

const doubled = (cells: Float64Array): Float64Array => {
  const larger = new Float64Array(2 * cells.length);
  larger.set(cells);
  return larger;
};

const tooManySeries = (): RefusedError =>
  new RefusedError({
    code: 'INVALID_QUERY',
    text: 'the query makes too many series and steps; consider aggregating, a longer step or a shorter time range',
  });
