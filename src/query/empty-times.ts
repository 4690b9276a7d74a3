import { createHash } from 'node:crypto';
import type { LogExpr } from '../logql/ast.ts';
import { printExpr } from '../logql/print.ts';
import { readsClock } from '../logql/reads-clock.ts';
import type { TimeRangeNs } from '../protocol/time-range.ts';
import type { QueryContext } from './query-context.ts';
import type { ResultsCache } from './results-cache.ts';
import { type ReadSources, sourceMarks } from './source-marks.ts';
import { extentsOf, intervalOf, partOf } from './step-extents.ts';
import type { StepGrid } from './step-windows.ts';
import type { Turns } from './turns.ts';

const NS_PER_MS = 1_000_000n;

/** Times of one interval that a query asks for, a step a nanosecond. */
interface AskedTimes {
  readonly key: string;
  readonly asked: StepGrid;
  /** What is kept, if that is about all of them. */
  readonly kept: (StepGrid & { readonly mark: string }) | undefined;
}

/**
 * Times at which a log query is known to find nothing, from when it found nothing at all. They are known as parts of metric queries are (cached-leaves.ts): as long
 * as the index names the chunks that were read then, and memory has nothing there.
 */
export class EmptyTimes {
  readonly #context: QueryContext;
  readonly #results: ResultsCache;
  readonly #range: TimeRangeNs;
  /** Old enough to be kept, in their order. */
  readonly #times: readonly AskedTimes[];
  /** Those that hold nothing, from `left` on. */
  readonly #known = new Set<AskedTimes>();

  private constructor(context: QueryContext, results: ResultsCache, range: TimeRangeNs, times: readonly AskedTimes[]) {
    this.#context = context;
    this.#results = results;
    this.#range = range;
    this.#times = times;
  }

  /** @param range both ends included @returns undefined: nothing may be kept */
  static of(context: QueryContext, expr: LogExpr, range: TimeRangeNs): EmptyTimes | undefined {
    const { results, clock } = context.deps;
    const { caching } = context;
    const { tenant } = context.request;
    if (readsClock(expr.stages)) return undefined;
    const count = Number(range.endNs - range.startNs + 1n);
    if (!results || !caching || caching.intervalMs <= 0 || count > Number.MAX_SAFE_INTEGER) return undefined;
    const id = createHash('sha256')
      .update(JSON.stringify([tenant, printExpr(expr)]))
      .digest('base64');
    const keptUntilNs = BigInt(Math.floor(clock.nowMs() - caching.freshnessMs)) * NS_PER_MS;
    const grid = { startNs: range.startNs, stepNs: 1n, count };
    const times: AskedTimes[] = [];
    const intervalNs = intervalOf(grid, caching.intervalMs);
    for (const extent of extentsOf(grid, intervalNs)) {
      const asked = partOf(grid, extent.first, extent.count);
      if (rangeOf(asked).endNs > keptUntilNs) break;
      const key = `${id}:${intervalNs}:${extent.interval}`;
      const found = results.find(key);
      const kept = found && { ...found, stepNs: 1n };
      times.push({ key, asked, kept: kept && isWithin(asked, kept) ? kept : undefined });
    }
    return times.length > 0 ? new EmptyTimes(context, results, range, times) : undefined;
  }

  /** What is to be asked of memory and index: the range, and what is kept of the intervals at its ends. */
  get gathered(): TimeRangeNs {
    let { startNs, endNs } = this.#range;
    for (const { kept } of this.#times) {
      if (!kept) continue;
      const range = rangeOf(kept);
      if (range.startNs < startNs) startNs = range.startNs;
      if (range.endNs > endNs) endNs = range.endNs;
    }
    return { startNs, endNs };
  }

  /** The range without the times at its begin and at its end that are known to hold nothing. undefined: nothing is left. */
  async left(sources: readonly ReadSources[], turns: Turns): Promise<TimeRangeNs | undefined> {
    await this.#look(sources, turns);
    let { startNs, endNs } = this.#range;
    for (const times of this.#times) {
      if (!this.#known.has(times)) break;
      startNs = rangeOf(times.asked).endNs + 1n;
    }
    for (const times of this.#times.toReversed()) {
      const range = rangeOf(times.asked);
      if (startNs > endNs || range.endNs !== endNs || !this.#known.has(times)) break;
      endNs = range.startNs - 1n;
    }
    return startNs > endNs ? undefined : { startNs, endNs };
  }

  /** The query found nothing. Call it after `left`. */
  async keep(sources: readonly ReadSources[], turns: Turns): Promise<void> {
    const { resultsCache, isPartial } = this.#context;
    const found = this.#times.filter((times) => !this.#known.has(times));
    if (isPartial || found.length === 0) return;
    const ranges = found.map(({ asked }) => rangeOf(asked));
    for (const [index, mark] of (await sourceMarks(sources, ranges, turns)).entries()) {
      const { key, asked } = found[index]!;
      if (mark === undefined) continue;
      const bytes = this.#results.keep(key, { startNs: asked.startNs, count: asked.count, mark, series: [] });
      resultsCache.bytesSent += bytes;
      if (bytes > 0) resultsCache.stored += 1;
    }
  }

  async #look(sources: readonly ReadSources[], turns: Turns): Promise<void> {
    const { resultsCache } = this.#context;
    const ranges = this.#times.flatMap(({ kept }) => (kept ? [rangeOf(kept)] : []));
    const marks = ranges.length > 0 ? await sourceMarks(sources, ranges, turns) : [];
    let looked = 0;
    for (const times of this.#times) {
      const { key, asked, kept } = times;
      const isHit = kept !== undefined && marks[looked++] === kept.mark;
      resultsCache.requested += 1;
      resultsCache.bytesReceived += this.#results.used(key, isHit);
      if (!isHit) continue;
      this.#known.add(times);
      resultsCache.found += 1;
      resultsCache.servedMs += Number(BigInt(asked.count) / NS_PER_MS);
    }
  }
}

/** Both ends included. */
const rangeOf = ({ startNs, count }: Pick<StepGrid, 'startNs' | 'count'>): TimeRangeNs => ({
  startNs,
  endNs: startNs + BigInt(count) - 1n,
});

const isWithin = (inner: StepGrid, outer: StepGrid): boolean => {
  const [one, other] = [rangeOf(inner), rangeOf(outer)];
  return one.startNs >= other.startNs && one.endNs <= other.endNs;
};
