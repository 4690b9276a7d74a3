import { createHash } from 'node:crypto';
import { printExpr } from '../logql/print.ts';
import { readsClock } from '../logql/reads-clock.ts';
import type { TimeRangeNs } from '../protocol/time-range.ts';
import { gatherTenants, type TenantSources } from './gather-tenants.ts';
import { entryRangeOf, type LeafOptions, type LeafPlan, scanLeaves } from './metric-leaf.ts';
import type { QueryContext } from './query-context.ts';
import type { KeptExtent, ResultsCache } from './results-cache.ts';
import { checkSeriesCount } from './series-limit.ts';
import { sourceMarks } from './source-marks.ts';
import { extentsOf, intervalOf, missingPieces, partOf, type StepExtent } from './step-extents.ts';
import { CELLS_MAX, hasPoint, keyOfLabels, newSeries, type StepSeries, tooManyCells } from './step-series.ts';
import type { StepGrid } from './step-windows.ts';
import { SERIES_PER_LOOK, type Turns } from './turns.ts';

const NS_PER_MS = 1_000_000n;

/**
 * Series of range aggregations at all steps. Leaves that want the same entries (`sharesEntries`) are evaluated together: their blocks are read and
 * inflated once. What is kept of earlier queries is not read again. @throws RefusedError
 */
export const evaluateLeaves = async (
  context: QueryContext,
  leaves: readonly LeafPlan[],
  options: LeafOptions,
): Promise<readonly (readonly StepSeries[])[]> => {
  const { grid } = options;
  const { range } = leaves[0]!.expr;
  // A range of 0 holds nothing.
  if (range.rangeNs === 0n || grid.count === 0) return await scanLeaves(context, [], leaves, options);
  const extents = cachedExtents(context, leaves, options);
  if (extents) return await extents.evaluate();
  const sources = await gatherTenants(context, range.log.matchers, entryRangeOf(grid, range.rangeNs, range.offsetNs));
  return await scanLeaves(context, sources, leaves, options);
};

/** undefined: nothing of it may be kept. */
const cachedExtents = (
  context: QueryContext,
  leaves: readonly LeafPlan[],
  options: LeafOptions,
): CachedLeaves | undefined => {
  const { grid } = options;
  const { results, clock } = context.deps;
  const { caching } = context;
  if (!results || !caching || caching.intervalMs <= 0 || grid.stepNs <= 0n) return undefined;
  if (leaves.some(({ expr }) => readsClock(expr.range.log.stages))) return undefined;
  const keptUntilNs = BigInt(Math.floor(clock.nowMs() - caching.freshnessMs)) * NS_PER_MS;
  const intervalNs = intervalOf(grid, caching.intervalMs);
  const extents = extentsOf(grid, intervalNs).map((extent) => {
    const lastNs = grid.startNs + BigInt(extent.first + extent.count - 1) * grid.stepNs;
    return { ...extent, isPast: lastNs <= keptUntilNs };
  });
  if (!extents.some(({ isPast }) => isPast)) return undefined;
  return new CachedLeaves(context, results, leaves, options, { intervalNs, extents });
};

interface PastExtent extends StepExtent {
  /** Old enough to be kept. */
  readonly isPast: boolean;
}

/** An extent that may be kept. */
interface View {
  readonly extent: PastExtent;
  /** In the cache, one for each leaf. */
  readonly keys: readonly string[];
  /** Steps of its interval that the mark is about: those asked for, or all that are kept if these are among them. */
  readonly grid: StepGrid;
}

/**
 * Leaves over a grid of which parts are kept. What is kept of an interval is taken if it was made of the very chunks that the index names now (source-marks.ts): the
 * query asks memory and index as one without a cache would, and saves the reading of chunks. Why so: docs/decisions/0014-query-frontend.md.
 */
class CachedLeaves {
  readonly #context: QueryContext;
  readonly #results: ResultsCache;
  readonly #leaves: readonly LeafPlan[];
  readonly #options: LeafOptions;
  readonly #intervalNs: bigint;
  readonly #extents: readonly PastExtent[];

  constructor(
    context: QueryContext,
    results: ResultsCache,
    leaves: readonly LeafPlan[],
    options: LeafOptions,
    { intervalNs, extents }: { readonly intervalNs: bigint; readonly extents: readonly PastExtent[] },
  ) {
    this.#context = context;
    this.#results = results;
    this.#leaves = leaves;
    this.#options = options;
    this.#intervalNs = intervalNs;
    this.#extents = extents;
  }

  async evaluate(): Promise<readonly (readonly StepSeries[])[]> {
    const views = this.#views();
    const { matchers } = this.#leaves[0]!.expr.range.log;
    const asked = this.#entriesOf(this.#options.grid);
    const sources = await gatherTenants(this.#context, matchers, this.#rangeOf(asked, views), asked);
    const marks = await this.#marks(sources, views);
    const kept = new Map<PastExtent, readonly KeptExtent[]>();
    const missed = new Map<PastExtent, View & { readonly mark: string | undefined }>();
    for (const [index, view] of views.entries()) {
      const found = this.#take(view, marks[index]);
      if (found) kept.set(view.extent, found);
      else missed.set(view.extent, { ...view, mark: marks[index] });
    }
    const scan = async (extents: readonly PastExtent[]): Promise<readonly (readonly StepSeries[])[]> => {
      const evaluated = await this.#scan(sources, extents);
      for (const extent of extents) {
        const view = missed.get(extent);
        if (view) await this.#keep(view, await this.#markOf(view, sources), evaluated, extents[0]!.first);
      }
      return evaluated;
    };
    return kept.size === 0 ? await scan(this.#extents) : await this.#together(kept, scan);
  }

  /** What is kept, and what is scanned where that is not enough. */
  async #together(
    kept: ReadonlyMap<PastExtent, readonly KeptExtent[]>,
    scan: (extents: readonly PastExtent[]) => Promise<readonly (readonly StepSeries[])[]>,
  ): Promise<readonly (readonly StepSeries[])[]> {
    const { grid } = this.#options;
    const answers = this.#leaves.map(() => new SeriesOfParts(this.#options));
    const scanned = new Map(
      missingPieces(this.#extents.map((extent) => !kept.has(extent))).map(({ start, end }) => [start, end]),
    );
    for (let at = 0; at < this.#extents.length; ) {
      const extent = this.#extents[at]!;
      const end = scanned.get(at) ?? at;
      if (end > at) {
        const piece = this.#extents.slice(at, end);
        const steps = { first: extent.first, count: stepsOf(piece) };
        for (const [index, series] of (await scan(piece)).entries()) await answers[index]!.add(series, 0, steps);
        at = end;
        continue;
      }
      const asked = partOf(grid, extent.first, extent.count);
      for (const [index, one] of kept.get(extent)!.entries()) {
        await answers[index]!.add(one.series, stepsBetween(one, asked), extent);
      }
      this.#context.resultsCache.servedMs += Number((BigInt(extent.count) * grid.stepNs) / NS_PER_MS);
      at += 1;
    }
    return answers.map((answer) => answer.series());
  }

  #views(): readonly View[] {
    const { grid } = this.#options;
    const ids = this.#leaves.map((leaf) => idOf(this.#context.request.tenant, leaf, grid));
    return this.#extents.flatMap((extent) => {
      if (!extent.isPast) return [];
      const keys = ids.map((id) => `${id}:${this.#intervalNs}:${extent.interval}`);
      const asked = partOf(grid, extent.first, extent.count);
      const kept = this.#results.find(keys[0]!);
      const ahead = kept ? stepsBetween(kept, asked) : -1;
      const isWithin = kept && ahead >= 0 && ahead + asked.count <= kept.count;
      return [{ extent, keys, grid: isWithin ? { ...asked, startNs: kept.startNs, count: kept.count } : asked }];
    });
  }

  /** Entries that the steps of the query and of all views look at. @param asked those of the query */
  #rangeOf(asked: TimeRangeNs, views: readonly View[]): TimeRangeNs {
    let { startNs, endNs } = asked;
    for (const { grid } of views) {
      const range = this.#entriesOf(grid);
      if (range.startNs < startNs) startNs = range.startNs;
      if (range.endNs > endNs) endNs = range.endNs;
    }
    return { startNs, endNs };
  }

  #entriesOf(grid: StepGrid): TimeRangeNs {
    const { rangeNs, offsetNs } = this.#leaves[0]!.expr.range;
    return entryRangeOf(grid, rangeNs, offsetNs);
  }

  async #marks(
    sources: readonly TenantSources[],
    views: readonly Pick<View, 'grid'>[],
  ): Promise<readonly (string | undefined)[]> {
    const ranges = views.map(({ grid }) => this.#entriesOf(grid));
    return await sourceMarks(sources, ranges, this.#options.turns);
  }

  /** What is kept of an extent, if it holds for all leaves. */
  #take({ keys, grid }: View, mark: string | undefined): readonly KeptExtent[] | undefined {
    const { resultsCache } = this.#context;
    const kept = keys.flatMap((key) => {
      const found = this.#results.find(key);
      if (!found || found.mark !== mark || found.startNs !== grid.startNs || found.count !== grid.count) return [];
      return [found];
    });
    const isHit = kept.length === keys.length;
    resultsCache.requested += keys.length;
    for (const key of keys) resultsCache.bytesReceived += this.#results.used(key, isHit);
    if (!isHit) return undefined;
    resultsCache.found += keys.length;
    return kept;
  }

  #scan(
    sources: readonly TenantSources[],
    extents: readonly PastExtent[],
  ): Promise<readonly (readonly StepSeries[])[]> {
    const grid = partOf(this.#options.grid, extents[0]!.first, stepsOf(extents));
    return scanLeaves(this.#context, sources, this.#leaves, { ...this.#options, grid });
  }

  /** Of the steps that were asked for: the view's are more where what is kept of more does not hold. */
  async #markOf(
    { extent, grid, mark }: View & { readonly mark: string | undefined },
    sources: readonly TenantSources[],
  ): Promise<string | undefined> {
    if (grid.count === extent.count) return mark;
    const [own] = await this.#marks(sources, [{ grid: partOf(this.#options.grid, extent.first, extent.count) }]);
    return own;
  }

  /** @param evaluated of each leaf, from step `first` of the grid on */
  async #keep(
    { extent, keys }: View,
    mark: string | undefined,
    evaluated: readonly (readonly StepSeries[])[],
    first: number,
  ): Promise<void> {
    if (mark === undefined || this.#context.isPartial) return;
    const { resultsCache } = this.#context;
    const { startNs, count } = partOf(this.#options.grid, extent.first, extent.count);
    for (const [index, key] of keys.entries()) {
      const options = { turns: this.#options.turns, bytesMax: this.#results.extentBytesMax };
      const series = await partsOf(evaluated[index]!, extent.first - first, count, options);
      if (!series) continue;
      const bytes = this.#results.keep(key, { startNs, count, mark, series });
      resultsCache.bytesSent += bytes;
      if (bytes > 0) resultsCache.stored += 1;
    }
  }
}

/** Whose leaf, and at which steps, whatever they start at. */
const idOf = (tenant: string, { expr, group, hints }: LeafPlan, { startNs, stepNs }: StepGrid): string =>
  createHash('sha256')
    .update(JSON.stringify([tenant, printExpr(expr), group, hints, `${stepNs}`, `${startNs % stepNs}`]))
    .digest('base64');

const stepsOf = (extents: readonly PastExtent[]): number => extents.reduce((sum, { count }) => sum + count, 0);

/** From the first step of one to that of the other, which are at the same times. */
const stepsBetween = ({ startNs }: Pick<StepGrid, 'startNs'>, to: StepGrid): number =>
  Number((to.startNs - startNs) / to.stepNs);

/** Copies of the steps [from, from + count) of those series that have a point there. undefined: they have more than `bytesMax`. */
const partsOf = async (
  series: readonly StepSeries[],
  from: number,
  count: number,
  { turns, bytesMax }: { readonly turns: Turns; readonly bytesMax: number },
): Promise<readonly StepSeries[] | undefined> => {
  const parts: StepSeries[] = [];
  let bytes = 0;
  for (const [index, one] of series.entries()) {
    if (hasPoint(one, from, count)) {
      const { labels, values, present } = one;
      const part = { labels, values: values.slice(from, from + count), present: present.slice(from, from + count) };
      bytes += part.values.byteLength + part.present.byteLength;
      if (bytes > bytesMax) return undefined;
      parts.push(part);
    }
    if (index % SERIES_PER_LOOK === 0) await turns.breathe();
  }
  return parts;
};

/** One leaf's series over the whole grid, put together of parts. */
class SeriesOfParts {
  readonly #options: LeafOptions;
  readonly #series = new Map<string, StepSeries>();

  constructor(options: LeafOptions) {
    this.#options = options;
  }

  series(): readonly StepSeries[] {
    return [...this.#series.values()];
  }

  /**
   * @param from step of `part` at which the extent begins
   * @throws RefusedError INVALID_QUERY for too many series, as one scan of all steps would
   */
  async add(
    part: readonly StepSeries[],
    from: number,
    { first, count }: Pick<StepExtent, 'first' | 'count'>,
  ): Promise<void> {
    const { grid, turns } = this.#options;
    for (const [index, one] of part.entries()) {
      if (hasPoint(one, from, count)) {
        const series = this.#of(one.labels, grid.count);
        series.values.set(one.values.subarray(from, from + count), first);
        series.present.set(one.present.subarray(from, from + count), first);
      }
      if (index % SERIES_PER_LOOK === 0) await turns.breathe();
    }
  }

  #of(labels: readonly string[], stepCount: number): StepSeries {
    const key = keyOfLabels(labels);
    const known = this.#series.get(key);
    if (known) return known;
    checkSeriesCount(this.#series.size + 1, this.#options.seriesMax);
    if ((this.#series.size + 1) * stepCount > CELLS_MAX) throw tooManyCells();
    const made = newSeries(labels, stepCount);
    this.#series.set(key, made);
    return made;
  }
}
