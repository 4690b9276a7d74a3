import type { ChunkCache } from './chunk-cache.ts';
import { readsEnds } from './fetch-chunk.ts';
import type { LinesAtHand } from './lines-at-hand.ts';
import { loadMemory } from './load-memory.ts';
import type { QueryContext } from './query-context.ts';
import type { LogRead, LogResult, ReadBounds, ScanPlan } from './scan/scan-messages.ts';
import type { SkipTest } from './scan/skip-test.ts';
import { ScanPlaces, type ScanWork } from './scan-places.ts';
import type { PlannedSlice } from './slice-plan.ts';

/** One running, one ready. */
const TASKS_PER_WORKER = 2;

/**
 * Runs the reads of one log query and tenant: here, where chunks are kept for the next read of them, or at another node of the cluster, which fetches its own
 * and sends what passed.
 */
export class LogReads {
  readonly #context: QueryContext;
  readonly plan: ScanPlan;
  /** Of the query. */
  readonly atHand: LinesAtHand;
  /** As of `fetchChunk`. */
  readonly readsEnds: boolean;
  readonly #places: ScanPlaces<LogResult>;
  readonly #cache: ChunkCache;

  /** @param cache of the query @param mayPass as of the plan */
  constructor(
    context: QueryContext,
    plan: ScanPlan,
    cache: ChunkCache,
    { atHand, mayPass }: { readonly atHand: LinesAtHand; readonly mayPass: SkipTest | undefined },
  ) {
    this.#context = context;
    this.plan = plan;
    this.atHand = atHand;
    this.readsEnds = readsEnds(context, mayPass);
    this.#cache = cache;
    this.#places = new ScanPlaces(context, TASKS_PER_WORKER, (work) => this.#runHere(work));
  }

  /** Reads that keep all workers of all nodes busy. */
  get tasksMax(): number {
    return this.#places.tasksMax;
  }

  /** Of all nodes. */
  get workers(): number {
    return this.#places.workers;
  }

  /** @throws RefusedError */
  run(work: ScanWork): Promise<LogResult> {
    // Streams of a few lines that are read together lie in the memory of several nodes.
    const isTogether = work.slices.length > 1 && work.slices.some(({ memory }) => memory.length > 0);
    if (isTogether) return this.#places.runHere(work);
    // Its memory is not worth sending around, and a chunk that is here is not worth fetching again.
    const isNear = work.slices.every((slice) => slice.refs.length === 0 || this.isNear(slice));
    return this.#places.run([this.plan], work, isNear);
  }

  /** A chunk of it is kept here. */
  isNear({ refs }: PlannedSlice): boolean {
    return refs.some(({ key }) => this.#cache.has(key));
  }

  async #runHere({ slices, bounds = [] }: ScanWork): Promise<LogResult> {
    const reads = await Promise.all(slices.map((slice, index) => this.#fetched(slice, bounds[index] as ReadBounds)));
    const result = (await this.#context.runTask({ kind: 'log', plan: this.plan, reads })) as LogResult;
    for (const { chunks } of result.ends) for (const chunk of chunks) this.#cache.put(chunk);
    return result;
  }

  async #fetched({ startNs, endNs, memory, refs }: PlannedSlice, bounds: ReadBounds): Promise<LogRead> {
    const chunks = await Promise.all(refs.map((ref) => this.#cache.take(ref)));
    return { slice: { startNs, endNs, memory: await loadMemory(this.#context, memory), chunks }, ...bounds };
  }
}
