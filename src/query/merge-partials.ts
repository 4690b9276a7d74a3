import { releaseMemory } from '../protocol/release-memory.ts';
import type { PartialCounts, PartialValues } from './scan/scan-messages.ts';
import { checkSeriesCount } from './series-limit.ts';
import { sortByTime, type TimedValues } from './sort-by-time.ts';
import { CELLS_MAX, labelsOfKey, tooManyCells } from './step-series.ts';
import type { StepWindows } from './step-windows.ts';
import { SERIES_PER_LOOK, type Turns } from './turns.ts';
import { type PlacedValues, type ValueWindows, valuesByStep } from './value-windows.ts';

/** Counts of one series over all steps. */
export interface CountSeries {
  readonly labels: readonly string[];
  readonly counts: Float64Array;
  readonly sums: Float64Array | undefined;
}

/** Adds up what the tasks counted: whole numbers, so in any order. */
export class CountMerger {
  readonly #stepCount: number;
  readonly #seriesMax: number;
  readonly #series = new Map<string, CountSeries>();

  /** `seriesMax` 0: no limit. */
  constructor(stepCount: number, seriesMax: number) {
    this.#stepCount = stepCount;
    this.#seriesMax = seriesMax;
  }

  /** @throws RefusedError INVALID_QUERY if there are too many series */
  async add({ keys, firstStep, stepCount, counts, sums }: PartialCounts, turns: Turns): Promise<void> {
    let place = 0;
    for (const key of linesOf(keys)) {
      const total = this.#of(key, sums !== undefined);
      addTo(total.counts, firstStep, counts, place * stepCount, stepCount);
      if (sums && total.sums) addTo(total.sums, firstStep, sums, place * stepCount, stepCount);
      place += 1;
      if (place % SERIES_PER_LOOK === 0) await turns.breathe();
    }
  }

  /** Call it last. */
  series(): Iterable<CountSeries> {
    return this.#series.values();
  }

  #of(key: string, hasSums: boolean): CountSeries {
    const known = this.#series.get(key);
    if (known) return known;
    checkSeriesCount(this.#series.size + 1, this.#seriesMax);
    if ((this.#series.size + 1) * this.#stepCount > CELLS_MAX) throw tooManyCells();
    const made = {
      labels: labelsOfKey(key),
      counts: new Float64Array(this.#stepCount),
      sums: hasSums ? new Float64Array(this.#stepCount) : undefined,
    };
    this.#series.set(key, made);
    return made;
  }
}

/** Without a list of all lines: there may be 100,000. */
function* linesOf(text: string): Generator<string> {
  for (let start = 0; start < text.length; ) {
    const end = text.indexOf('\n', start);
    yield text.slice(start, end < 0 ? text.length : end);
    start = end < 0 ? text.length : end + 1;
  }
}

const addTo = (total: Float64Array, at: number, part: Float64Array, start: number, count: number): void => {
  for (let step = 0; step < count; step += 1) total[at + step]! += part[start + step]!;
};

/** Values of one series by step. */
export interface SteppedSeries extends ValueWindows {
  readonly labels: readonly string[];
}

/** Values of one series. */
export interface ValueSeries extends TimedValues {
  readonly labels: readonly string[];
}

const VALUES_MAX = 32 << 20;

/** A task's values of one series and stream: places [start, end) of `order`. */
interface ValuePart extends PlacedValues {
  readonly from: PartialValues;
  readonly fingerprint: bigint;
  /** Place of its tenant in the query: streams of two may have one fingerprint. */
  readonly tenant: number;
}

/** Puts the values the tasks collected together by series. */
export class ValueMerger {
  readonly #stepCount: number;
  readonly #seriesMax: number;
  readonly #series = new Map<string, { readonly labels: readonly string[]; readonly parts: ValuePart[] }>();
  readonly #sent: PartialValues[] = [];
  #count = 0;

  /** `seriesMax` 0: no limit. */
  constructor(stepCount: number, seriesMax: number) {
    this.#stepCount = stepCount;
    this.#seriesMax = seriesMax;
  }

  /** @param tenant whose values they are: its place in the query. @throws RefusedError INVALID_QUERY if there are too many series, steps of them or values */
  async add(from: PartialValues, turns: Turns, tenant = 0): Promise<void> {
    this.#sent.push(from);
    this.#count += from.series.length;
    if (this.#count > VALUES_MAX) throw tooManyCells();
    const keys = [...linesOf(from.keys)];
    const { order, starts } = bySeries(from, keys.length);
    for (let index = 0; index < keys.length; index += 1) {
      const places = { order, start: starts[index]!, end: starts[index + 1]! };
      if (places.start < places.end) addByStream(this.#partsOf(keys[index]!), from, tenant, places);
      if (index % SERIES_PER_LOOK === 0) await turns.breathe();
    }
  }

  /** By time, those of one time by stream, as they were pushed. Call it or `byStep`, last: what the tasks sent is let go of. */
  async *series(turns: Turns): AsyncIterable<ValueSeries> {
    for (const { labels, parts } of this.#series.values()) {
      const count = parts.reduce((sum, part) => sum + part.end - part.start, 0);
      const times = new Float64Array(count);
      const values = new Float64Array(count);
      let at = 0;
      // Tasks end in any order; those of one stream do not overlap. By stream, so that the order of equal times does not go by what else was scanned.
      for (const { from, order, start, end } of parts.sort(byStream)) {
        for (let place = start; place < end; place += 1) {
          times[at] = from.times[order[place]!]!;
          values[at] = from.values[order[place]!]!;
          at += 1;
        }
        await turns.breathe();
      }
      yield { labels, ...(await sortByTime({ times, values }, () => turns.breathe())) };
    }
    this.#letGo();
  }

  /** In any order, for windows none of which shares a value with another. */
  async *byStep(turns: Turns, windows: StepWindows): AsyncIterable<SteppedSeries> {
    for (const { labels, parts } of this.#series.values()) {
      yield { labels, ...(await valuesByStep(parts, windows, () => turns.breathe())) };
    }
    this.#letGo();
  }

  #letGo(): void {
    for (const { series, times, values } of this.#sent) {
      // What came from another node lies in its message, with other things.
      for (const column of [series, times, values]) if (isAlone(column)) releaseMemory(column);
    }
  }

  #partsOf(key: string): ValuePart[] {
    const known = this.#series.get(key);
    if (known) return known.parts;
    checkSeriesCount(this.#series.size + 1, this.#seriesMax);
    // Each becomes a number for each step.
    if ((this.#series.size + 1) * this.#stepCount > CELLS_MAX) throw tooManyCells();
    const parts: ValuePart[] = [];
    this.#series.set(key, { labels: labelsOfKey(key), parts });
    return parts;
  }
}

const isAlone = ({ byteLength, buffer }: ArrayBufferView): boolean => byteLength === buffer.byteLength;

/** Places of a task's values, series by series, each in its order of time. */
const bySeries = ({ series }: PartialValues, seriesCount: number): { order: Uint32Array; starts: Uint32Array } => {
  const starts = new Uint32Array(seriesCount + 1);
  for (const index of series) starts[index + 1]! += 1;
  for (let index = 0; index < seriesCount; index += 1) starts[index + 1]! += starts[index]!;
  const next = starts.slice();
  const order = new Uint32Array(series.length);
  for (let place = 0; place < series.length; place += 1) {
    const index = series[place]!;
    order[next[index]!] = place;
    next[index]! += 1;
  }
  return { order, starts };
};

/** Parts of the places [start, end) of `order`, one for each stream in a row. */
const addByStream = (
  parts: ValuePart[],
  from: PartialValues,
  tenant: number,
  { order, start, end }: Pick<ValuePart, 'order' | 'start' | 'end'>,
): void => {
  const { streams, streamStarts } = from;
  let stream = 0;
  for (let first = start; first < end; ) {
    while (stream + 1 < streams.length && streamStarts[stream + 1]! <= order[first]!) stream += 1;
    const streamEnd = streamStarts[stream + 1] ?? from.series.length;
    let next = first + 1;
    while (next < end && order[next]! < streamEnd) next += 1;
    parts.push({ from, fingerprint: streams[stream]!, tenant, order, start: first, end: next });
    first = next;
  }
};

const byStream = (a: ValuePart, b: ValuePart): number => {
  if (a.fingerprint !== b.fingerprint) return a.fingerprint < b.fingerprint ? -1 : 1;
  return a.tenant - b.tenant || firstTimeOf(a) - firstTimeOf(b);
};

const firstTimeOf = ({ from, order, start }: ValuePart): number => from.times[order[start]!]!;
