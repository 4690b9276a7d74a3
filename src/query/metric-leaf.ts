import type { RangeAggregation } from '../logql/ast.ts';
import { metricStages } from '../logql/hints.ts';
import type { LabelHints } from '../logql/pipeline.ts';
import { forEachConcurrent } from '../protocol/for-each-concurrent.ts';
import { RefusedError } from '../protocol/refusal.ts';
import { releaseMemory } from '../protocol/release-memory.ts';
import type { TimeRangeNs } from '../protocol/time-range.ts';
import { TurnBudget } from '../protocol/turn-budget.ts';
import type { ChunkRef } from '../storage/index-reader.ts';
import { type ChunkWant, fetchChunk, readsEnds } from './fetch-chunk.ts';
import type { Gathered, GatheredStream } from './gather-streams.ts';
import type { TenantSources } from './gather-tenants.ts';
import { loadMemory } from './load-memory.ts';
import { CountMerger, type SteppedSeries, ValueMerger } from './merge-partials.ts';
import { packTasks, TaskSize } from './pack-tasks.ts';
import { pipelineErrorText } from './pipeline-error.ts';
import type { QueryContext } from './query-context.ts';
import { absenceOf } from './range/absent-over-time.ts';
import type { CountFunction, ValuesFunction } from './range/range-function.ts';
import { rangeFunctionOf } from './range/range-functions.ts';
import { compileScan, wantedByAny } from './scan/compiled-scan.ts';
import type {
  ChunkSource,
  GroupSpec,
  MetricPart,
  MetricResult,
  MetricScan,
  ScanPlan,
  StreamSlice,
} from './scan/scan-messages.ts';
import { nextScanId } from './scan-id.ts';
import { ScanPlaces } from './scan-places.ts';
import { type PlannedSlice, SlicePlan, type SlicePlanOptions } from './slice-plan.ts';
import { newSeries, type StepSeries } from './step-series.ts';
import { type StepGrid, StepWindows } from './step-windows.ts';
import { SERIES_PER_LOOK, type Turns } from './turns.ts';
import { slidingWindows } from './value-windows.ts';

/** A range aggregation to evaluate, with what the query around it lets the scan do. */
export interface LeafPlan {
  readonly expr: RangeAggregation;
  readonly group: GroupSpec;
  readonly hints: LabelHints;
}

/** How a leaf is evaluated. */
export interface LeafOptions {
  readonly grid: StepGrid;
  readonly turns: Turns;
  /** The limit on series, where the leaf's are the answer's: refused as soon as there is one too many. Else 0. */
  readonly seriesMax: number;
}

/** Tasks of one query in flight for each worker: one running, one ready. */
const TASKS_PER_WORKER = 2;

/** Chosen: a task of 256 streams takes 1 ms to plan. */
const PLAN_SLICE_MS = 4;

/** Entries that any window of the grid can hold, both ends included. */
export const entryRangeOf = (grid: StepGrid, rangeNs: bigint, offsetNs: bigint): TimeRangeNs => ({
  startNs: grid.startNs - offsetNs - rangeNs + 1n,
  endNs: grid.startNs + BigInt(Math.max(0, grid.count - 1)) * grid.stepNs - offsetNs,
});

/** Series of leaves that share entries at the steps of a grid, which lies within what was gathered. @throws RefusedError */
export const scanLeaves = async (
  context: QueryContext,
  sources: readonly TenantSources[],
  leaves: readonly LeafPlan[],
  options: LeafOptions,
): Promise<readonly (readonly StepSeries[])[]> => {
  const runs = leaves.map((leaf) => new LeafRun(sources, leaf, options));
  for (const [tenant, { gathered }] of sources.entries()) {
    const take = async ({ parts }: MetricResult): Promise<void> => {
      for (const [index, part] of parts.entries()) await runs[index]?.take(part, tenant);
    };
    const plans = runs.map((run) => run.plans[tenant] as ScanPlan);
    await scanStreams(context, gathered, plans, take);
  }
  const evaluated: (readonly StepSeries[])[] = [];
  for (const run of runs) evaluated.push(await run.series());
  return evaluated;
};

/**
 * Both are over the same streams and times: the selector, the range and the offset are the same. Not those that collect values: each may fill the memory
 * that one is allowed.
 */
export const sharesEntries = ({ expr: { range: one } }: LeafPlan, { expr: { range: other } }: LeafPlan): boolean =>
  one.unwrap === undefined &&
  other.unwrap === undefined &&
  one.rangeNs === other.rangeNs &&
  one.offsetNs === other.offsetNs &&
  JSON.stringify(one.log.matchers) === JSON.stringify(other.log.matchers);

/** A leaf while tasks bring in what they have of it. */
class LeafRun {
  /** One for each tenant: those of leaves that share entries are the same. */
  readonly plans: readonly ScanPlan[];
  readonly #range: TimeRangeNs;
  readonly #leaf: LeafPlan;
  readonly #options: LeafOptions;
  readonly #scan: MetricScan;
  readonly #counts: CountMerger;
  readonly #values: ValueMerger;

  constructor(sources: readonly TenantSources[], leaf: LeafPlan, options: LeafOptions) {
    const { expr, group, hints } = leaf;
    const { grid, seriesMax } = options;
    const { rangeNs, offsetNs, unwrap } = expr.range;
    const { kind } = rangeFunctionOf(expr);
    const measure = kind === 'absent' ? (unwrap ? 'values' : 'count') : kind;
    this.#leaf = leaf;
    this.#options = options;
    this.#scan = { kind: 'metric', grid, rangeNs, offsetNs, measure, unwrap, group, seriesMax };
    this.#range = entryRangeOf(grid, rangeNs, offsetNs);
    this.plans = sources.map(({ tenant, matchers, isNamed, hidden }) => ({
      scanId: nextScanId(),
      tenant,
      namesTenant: isNamed,
      matchers,
      stages: metricStages(expr),
      hints,
      ...this.#range,
      scan: this.#scan,
      hidden,
    }));
    this.#counts = new CountMerger(grid.count, seriesMax);
    this.#values = new ValueMerger(grid.count, seriesMax);
  }

  /** @param tenant whose streams were scanned: its place in the query */
  async take({ errorLabels, series, values }: MetricPart, tenant: number): Promise<void> {
    const { turns } = this.#options;
    if (errorLabels) throw pipelineError(errorLabels);
    if (series) await this.#counts.add(series, turns);
    if (values) await this.#values.add(values, turns, tenant);
  }

  /** Call it last. */
  async series(): Promise<readonly StepSeries[]> {
    const { expr } = this.#leaf;
    const { grid, turns } = this.#options;
    const apply = rangeFunctionOf(expr);
    const rangeSeconds = Number(expr.range.rangeNs) / 1e9;
    if (apply.kind === 'values') return await this.#ofValues(apply, rangeSeconds, expr.parameter ?? 0);
    if (apply.kind !== 'absent') return await countSeries(this.#counts, apply, rangeSeconds, turns);
    const present =
      this.#scan.measure === 'values'
        ? await this.#ofValues(PRESENCE, rangeSeconds, 0)
        : await countSeries(this.#counts, COUNT, rangeSeconds, turns);
    return absenceOf(present, expr.range.log.matchers, grid.count);
  }

  #ofValues(apply: ValuesFunction, rangeSeconds: number, parameter: number): Promise<StepSeries[]> {
    return valueSeries(
      this.#values,
      this.#range.startNs,
      this.#scan,
      apply,
      rangeSeconds,
      parameter,
      this.#options.turns,
    );
  }
}

const COUNT: CountFunction = { kind: 'count', of: (count) => count };
const PRESENCE: ValuesFunction = { kind: 'values', takesAnyOrder: true, of: () => 1 };

const scanStreams = async (
  context: QueryContext,
  gathered: Gathered,
  plans: readonly ScanPlan[],
  take: (result: MetricResult) => Promise<void>,
): Promise<void> => {
  const { deps } = context;
  const [plan] = plans as readonly [ScanPlan];
  // What is wrong with a stage is for those to say who run it: nobody does if there is nothing to read.
  const mayPass = gathered.chunkRefs > 0 ? wantedByAny(plans.map(compileScan)).mayPass : undefined;
  const want: ChunkWant = { range: plan, mayPass };
  const places = new ScanPlaces<MetricResult>(context, TASKS_PER_WORKER, async ({ slices: task }) => {
    const fetched = await fetchSlices(context, task, want);
    return (await context.runTask({ kind: 'metric', plans, slices: fetched })) as MetricResult;
  });
  const size = new TaskSize(gathered.chunkRefs, places.workers, readsEnds(context, mayPass));
  const slices = slicesOf(gathered.streams(), {
    ...plan,
    get chunksPerSlice() {
      return size.chunksMax;
    },
    direction: 'forward',
  });
  const tasks = packTasks(slices, size);
  const planning = new TurnBudget(deps.clock, PLAN_SLICE_MS);
  // Each lane draws its own tasks: what they take to plan adds up where there are many lanes.
  const lanes = Array.from({ length: places.tasksMax }, (_, lane) => lane);
  await forEachConcurrent(lanes, places.tasksMax, async () => {
    for (;;) {
      while (!planning.hasTime()) await planning.nextTurn();
      const task = tasks.next();
      if (task.done) return;
      await take(await places.run(plans, { slices: task.value }));
    }
  });
};

/** Planned as they are scanned: those of a million chunks are never there together. */
function* slicesOf(streams: Iterable<GatheredStream>, options: SlicePlanOptions): Generator<PlannedSlice> {
  for (const stream of streams) yield* new SlicePlan(stream, options);
}

/** The slices of one task with their chunks; a chunk that is in two of them is fetched once. */
const fetchSlices = (
  context: QueryContext,
  slices: readonly PlannedSlice[],
  want: ChunkWant,
): Promise<StreamSlice[]> => {
  const chunks = new Map<string, Promise<ChunkSource>>();
  const fetchOnce = (ref: ChunkRef): Promise<ChunkSource> => {
    const known = chunks.get(ref.key) ?? fetchChunk(context, ref, want);
    chunks.set(ref.key, known);
    return known;
  };
  return Promise.all(
    slices.map(async ({ startNs, endNs, memory, refs }) => {
      return {
        startNs,
        endNs,
        memory: await loadMemory(context, memory),
        chunks: await Promise.all(refs.map(fetchOnce)),
      };
    }),
  );
};

/** In the merger's own columns. */
const countSeries = async (
  merger: CountMerger,
  apply: CountFunction,
  rangeSeconds: number,
  turns: Turns,
): Promise<readonly StepSeries[]> => {
  const results: StepSeries[] = [];
  for (const { labels, counts, sums } of merger.series()) {
    const present = new Uint8Array(counts.length);
    const values = sums ?? counts;
    for (let step = 0; step < counts.length; step += 1) {
      if (counts[step] === 0) continue;
      present[step] = 1;
      values[step] = apply.of(values[step]!, rangeSeconds);
    }
    results.push({ labels, values, present });
    if (results.length % SERIES_PER_LOOK === 0) await turns.breathe();
  }
  return results;
};

/** `baseNs`: what the times of the values are relative to. */
const valueSeries = async (
  merger: ValueMerger,
  baseNs: bigint,
  { grid, rangeNs, offsetNs }: MetricScan,
  apply: ValuesFunction,
  rangeSeconds: number,
  parameter: number,
  turns: Turns,
): Promise<StepSeries[]> => {
  const results: StepSeries[] = [];
  const windows = new StepWindows(grid, rangeNs, offsetNs, baseNs);
  const isByStep = apply.takesAnyOrder === true && (grid.count === 1 || rangeNs <= grid.stepNs);
  const all: AsyncIterable<TimedSeries> = isByStep
    ? merger.byStep(turns, windows)
    : timedWindows(merger, turns, windows);
  for await (const { labels, times = NO_TIMES, values, firsts, ends } of all) {
    const window = { values, times, first: 0, end: 0, rangeSeconds, parameter };
    const series = newSeries(labels, grid.count);
    for (let step = 0; step < grid.count; step += 1) {
      window.first = firsts[step]!;
      window.end = ends[step]!;
      if (window.first >= window.end) continue;
      series.present[step] = 1;
      series.values[step] = apply.of(window);
      if (step % 16 === 0) await turns.breathe();
    }
    results.push(series);
    for (const column of [times, values]) if (column !== NO_TIMES) releaseMemory(column);
    await turns.breathe();
  }
  return results;
};

/** Of values whose order and times make no difference. */
const NO_TIMES = new Float64Array(0);

interface TimedSeries extends SteppedSeries {
  readonly times?: Float64Array;
}

async function* timedWindows(merger: ValueMerger, turns: Turns, windows: StepWindows): AsyncIterable<TimedSeries> {
  for await (const { labels, times, values } of merger.series(turns)) {
    yield { labels, times, ...slidingWindows({ times, values }, windows) };
  }
}

const pipelineError = (labels: readonly string[]): RefusedError =>
  new RefusedError({ code: 'INVALID_QUERY', text: pipelineErrorText(labels) });
