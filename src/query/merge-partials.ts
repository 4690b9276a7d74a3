import { RefusedError } from '../protocol/refusal.ts';
import type { PartialSeries, PartialValues } from './scan/scan-messages.ts';
import { CELLS_MAX, keyOfLabels } from './step-series.ts';

/** Counts of one series over all steps. */
export interface CountSeries {
  readonly labels: readonly string[];
  readonly counts: Float64Array;
  readonly sums: Float64Array | undefined;
}

/** Adds up what the tasks counted: whole numbers, so in any order. */
export class CountMerger {
  readonly #stepCount: number;
  readonly #series = new Map<string, CountSeries>();

  constructor(stepCount: number) {
    this.#stepCount = stepCount;
  }

  add(partials: readonly PartialSeries[]): void {
    for (const { labels, firstStep, counts, sums } of partials) {
      const total = this.#of(labels, sums !== undefined);
      for (let index = 0; index < counts.length; index += 1) total.counts[firstStep + index]! += counts[index]!;
      if (!sums || !total.sums) continue;
      for (let index = 0; index < sums.length; index += 1) total.sums[firstStep + index]! += sums[index]!;
    }
  }

  series(): CountSeries[] {
    return [...this.#series.values()];
  }

  #of(labels: readonly string[], hasSums: boolean): CountSeries {
    const key = keyOfLabels(labels);
    const known = this.#series.get(key);
    if (known) return known;
    if ((this.#series.size + 1) * this.#stepCount > CELLS_MAX) throw tooManyCells();
    const made = {
      labels,
      counts: new Float64Array(this.#stepCount),
      sums: hasSums ? new Float64Array(this.#stepCount) : undefined,
    };
    this.#series.set(key, made);
    return made;
  }
}

/** Values of one series in time order. */
export interface ValueSeries {
  readonly labels: readonly string[];
  readonly times: Float64Array;
  readonly values: Float64Array;
}

const VALUES_MAX = 32 << 20;

/** A task's values of one series: places [start, end) of `order`. */
interface ValuePart {
  readonly from: PartialValues;
  readonly order: Uint32Array;
  readonly start: number;
  readonly end: number;
}

/** Puts the values the tasks collected together by series. */
export class ValueMerger {
  readonly #series = new Map<string, { readonly labels: readonly string[]; readonly parts: ValuePart[] }>();
  #count = 0;

  add(from: PartialValues): void {
    this.#count += from.series.length;
    if (this.#count > VALUES_MAX) throw tooManyCells();
    const { order, starts } = bySeries(from);
    for (let index = 0; index < from.labels.length; index += 1) {
      const start = starts[index]!;
      const end = starts[index + 1]!;
      if (start === end) continue;
      const labels = from.labels[index]!;
      const key = keyOfLabels(labels);
      const known = this.#series.get(key);
      if (known) known.parts.push({ from, order, start, end });
      else this.#series.set(key, { labels, parts: [{ from, order, start, end }] });
    }
  }

  /** Sorted by time; equal times stay in the order of the tasks. */
  *series(): Iterable<ValueSeries> {
    for (const { labels, parts } of this.#series.values()) {
      const count = parts.reduce((sum, part) => sum + part.end - part.start, 0);
      const times = new Float64Array(count);
      const values = new Float64Array(count);
      let at = 0;
      let isSorted = true;
      for (const { from, order, start, end } of parts) {
        for (let place = start; place < end; place += 1) {
          times[at] = from.times[order[place]!]!;
          values[at] = from.values[order[place]!]!;
          if (at > 0 && times[at]! < times[at - 1]!) isSorted = false;
          at += 1;
        }
      }
      yield isSorted ? { labels, times, values } : sorted(labels, times, values);
    }
  }
}

/** Places of a task's values, series by series, each in its order of time. */
const bySeries = ({ labels, series }: PartialValues): { order: Uint32Array; starts: Uint32Array } => {
  const starts = new Uint32Array(labels.length + 1);
  for (const index of series) starts[index + 1]! += 1;
  for (let index = 0; index < labels.length; index += 1) starts[index + 1]! += starts[index]!;
  const next = starts.slice();
  const order = new Uint32Array(series.length);
  for (let place = 0; place < series.length; place += 1) {
    const index = series[place]!;
    order[next[index]!] = place;
    next[index]! += 1;
  }
  return { order, starts };
};

const sorted = (labels: readonly string[], times: Float64Array, values: Float64Array): ValueSeries => {
  const order = Uint32Array.from(times, (_, index) => index).sort((a, b) => times[a]! - times[b]! || a - b);
  return {
    labels,
    times: Float64Array.from(order, (index) => times[index]!),
    values: Float64Array.from(order, (index) => values[index]!),
  };
};

const tooManyCells = (): RefusedError =>
  new RefusedError({
    code: 'INVALID_QUERY',
    text: 'the query makes too many series and steps; consider aggregating, a longer step or a shorter time range',
  });
