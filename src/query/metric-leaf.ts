import type { RangeAggregation } from '../logql/ast.ts';
import { metricStages } from '../logql/hints.ts';
import type { LabelHints } from '../logql/pipeline.ts';
import { forEachConcurrent } from '../protocol/for-each-concurrent.ts';
import { RefusedError } from '../protocol/refusal.ts';
import type { TimeRangeNs } from '../protocol/time-range.ts';
import type { ChunkRef } from '../storage/index-reader.ts';
import { fetchChunk } from './fetch-chunk.ts';
import { gatherStreams } from './gather-streams.ts';
import { loadMemory } from './load-memory.ts';
import { CountMerger, ValueMerger, type ValueSeries } from './merge-partials.ts';
import { chunksPerTask, packTasks } from './pack-tasks.ts';
import { pipelineErrorText } from './pipeline-error.ts';
import { type PlannedSlice, planSlices } from './plan-slices.ts';
import type { QueryContext } from './query-context.ts';
import { absenceOf } from './range/absent-over-time.ts';
import type { CountFunction, ValuesFunction } from './range/range-function.ts';
import { rangeFunctionOf } from './range/range-functions.ts';
import type { ChunkBytes, GroupSpec, MetricResult, MetricScan, ScanPlan, StreamSlice } from './scan/scan-messages.ts';
import { nextScanId } from './scan-id.ts';
import { ScanPlaces } from './scan-places.ts';
import { newSeries, type StepSeries } from './step-series.ts';
import { type StepGrid, StepWindows } from './step-windows.ts';
import { SERIES_PER_LOOK, type Turns } from './turns.ts';

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

/** Entries that any window of the grid can hold, both ends included. */
export const entryRangeOf = (grid: StepGrid, rangeNs: bigint, offsetNs: bigint): TimeRangeNs => ({
  startNs: grid.startNs - offsetNs - rangeNs + 1n,
  endNs: grid.startNs + BigInt(Math.max(0, grid.count - 1)) * grid.stepNs - offsetNs,
});

/** Series of a range aggregation at all steps. @throws RefusedError */
export const evaluateLeaf = async (
  context: QueryContext,
  { expr, group, hints }: LeafPlan,
  { grid, turns, seriesMax }: LeafOptions,
): Promise<readonly StepSeries[]> => {
  const { log, rangeNs, offsetNs, unwrap } = expr.range;
  const apply = rangeFunctionOf(expr);
  const measure = apply.kind === 'absent' ? (unwrap ? 'values' : 'count') : apply.kind;
  const scan: MetricScan = { kind: 'metric', grid, rangeNs, offsetNs, measure, unwrap, group, seriesMax };
  const range = entryRangeOf(grid, rangeNs, offsetNs);
  const plan: ScanPlan = {
    scanId: nextScanId(),
    tenant: context.request.tenant,
    matchers: log.matchers,
    stages: metricStages(expr),
    hints,
    ...range,
    scan,
    hidden: await context.hiddenIn(range),
  };
  const counts = new CountMerger(grid.count, seriesMax);
  const values = new ValueMerger(seriesMax);
  // A range of 0 holds nothing.
  if (rangeNs > 0n && grid.count > 0) {
    await scanStreams(context, plan, turns, async (result) => {
      if (result.errorLabels) throw pipelineError(result.errorLabels);
      if (result.series) await counts.add(result.series, turns);
      if (result.values) await values.add(result.values, turns);
    });
  }
  const rangeSeconds = Number(rangeNs) / 1e9;
  if (apply.kind === 'values')
    return await valueSeries(values, plan, scan, apply, rangeSeconds, expr.parameter ?? 0, turns);
  if (apply.kind !== 'absent') return await countSeries(counts, apply, rangeSeconds, turns);
  const present =
    measure === 'values'
      ? await valueSeries(values, plan, scan, PRESENCE, rangeSeconds, 0, turns)
      : await countSeries(counts, COUNT, rangeSeconds, turns);
  return absenceOf(present, log.matchers, grid.count);
};

const COUNT: CountFunction = { kind: 'count', of: (count) => count };
const PRESENCE: ValuesFunction = { kind: 'values', of: () => 1 };

const scanStreams = async (
  context: QueryContext,
  plan: ScanPlan,
  turns: Turns,
  take: (result: MetricResult) => Promise<void>,
): Promise<void> => {
  const { sources, deps } = context;
  const gathered = await context.orStop(
    gatherStreams(sources, plan.tenant, plan.matchers, plan, context.signal, context.onMissing),
  );
  context.chunkRefs += gathered.chunkRefs;
  context.streamsInMemory += gathered.streamsInMemory;
  context.chunksInMemory += gathered.chunksInMemory;
  const chunksMax = chunksPerTask(gathered.chunkRefs, deps.scanPool.size);
  const slices: PlannedSlice[] = [];
  for (const [index, stream] of gathered.streams.entries()) {
    for (const slice of planSlices(stream, plan, chunksMax)) slices.push(slice);
    if (index % SERIES_PER_LOOK === 0) await turns.breathe();
  }
  const places = new ScanPlaces(context, TASKS_PER_WORKER, async (task) => {
    const fetched = await fetchSlices(context, task);
    return (await context.runTask({ kind: 'metric', plan, slices: fetched })) as MetricResult;
  });
  await forEachConcurrent(packTasks(slices, chunksMax), places.tasksMax, async (task) => {
    await take(await places.run(plan, task));
  });
};

/** The slices of one task with their chunks; a chunk that is in two of them is fetched once. */
const fetchSlices = (context: QueryContext, slices: readonly PlannedSlice[]): Promise<StreamSlice[]> => {
  const chunks = new Map<string, Promise<ChunkBytes>>();
  const fetchOnce = (ref: ChunkRef): Promise<ChunkBytes> => {
    const known = chunks.get(ref.key) ?? fetchChunk(context, ref);
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

/** Windows slide over the values of each series: both ends only move forward. */
const valueSeries = async (
  merger: ValueMerger,
  plan: ScanPlan,
  { grid, rangeNs, offsetNs }: MetricScan,
  apply: ValuesFunction,
  rangeSeconds: number,
  parameter: number,
  turns: Turns,
): Promise<StepSeries[]> => {
  const results: StepSeries[] = [];
  for (const one of merger.series()) {
    const bounds = windowBounds(one, new StepWindows(grid, rangeNs, offsetNs, plan.startNs));
    const window = { values: one.values, times: one.times, first: 0, end: 0, rangeSeconds, parameter };
    const series = newSeries(one.labels, grid.count);
    for (let step = 0; step < grid.count; step += 1) {
      window.first = bounds.firsts[step]!;
      window.end = bounds.ends[step]!;
      if (window.first >= window.end) continue;
      series.present[step] = 1;
      series.values[step] = apply.of(window);
      if (step % 16 === 0) await turns.breathe();
    }
    results.push(series);
    await turns.breathe();
  }
  return results;
};

/** For each step the values [first, end) of its window. */
const windowBounds = ({ times }: ValueSeries, windows: StepWindows): { firsts: Uint32Array; ends: Uint32Array } => {
  const firsts = new Uint32Array(windows.count).fill(times.length);
  const ends = new Uint32Array(windows.count);
  let opened = -1;
  let closed = -1;
  for (let index = 0; index < times.length; index += 1) {
    windows.locate(times[index]!);
    // Steps up to `last` that no earlier value belongs to begin here…
    for (let step = Math.max(opened + 1, windows.first); step <= windows.last; step += 1) firsts[step] = index;
    opened = Math.max(opened, windows.last);
    // …and those before `first` have ended.
    for (let step = closed + 1; step < windows.first; step += 1) ends[step] = index;
    closed = Math.max(closed, windows.first - 1);
  }
  for (let step = closed + 1; step < windows.count; step += 1) ends[step] = times.length;
  return { firsts, ends };
};

const pipelineError = (labels: readonly string[]): RefusedError =>
  new RefusedError({ code: 'INVALID_QUERY', text: pipelineErrorText(labels) });
