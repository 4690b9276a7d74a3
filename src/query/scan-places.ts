import { Permits } from '../protocol/permits.ts';
import type { QueryContext } from './query-context.ts';
import type { MetricResult, ScanPlan } from './scan/scan-messages.ts';
import type { PlannedSlice } from './slice-plan.ts';

/** Workers of another node. */
export interface ScanPlace {
  readonly workers: number;
  /** The slice's memory lies there: sending the question is cheaper than fetching the data. */
  holds(slice: PlannedSlice): boolean;
  /**
   * Reads the chunks there and gives the partial aggregates.
   * @throws ScanPlaceError nothing came of it, for a reason that is not the query's: run it elsewhere
   */
  run(plan: ScanPlan, slices: readonly PlannedSlice[], signal: AbortSignal): Promise<PlacedResult>;
}

export interface PlacedResult {
  readonly result: MetricResult;
  readonly chunksDownloaded: number;
}

export class ScanPlaceError extends Error {
  constructor(text: string, options?: ErrorOptions) {
    super(text, options);
    this.name = 'ScanPlaceError';
  }
}

interface Slot {
  readonly tasksMax: number;
  readonly permits: Permits;
}

interface PlacedSlot extends Slot {
  readonly place: ScanPlace;
}

/** Deals the tasks of one scan to this node's workers and those of others, as they become free. */
export class ScanPlaces {
  readonly #context: QueryContext;
  readonly #here: Slot;
  readonly #others: readonly PlacedSlot[];
  readonly #runHere: (slices: readonly PlannedSlice[]) => Promise<MetricResult>;

  constructor(
    context: QueryContext,
    tasksPerWorker: number,
    runHere: (slices: readonly PlannedSlice[]) => Promise<MetricResult>,
  ) {
    const { scanPool, places } = context.deps;
    this.#context = context;
    this.#runHere = runHere;
    this.#here = slotOf(tasksPerWorker * scanPool.size);
    this.#others = (places?.() ?? []).map((place) => ({ place, ...slotOf(tasksPerWorker * place.workers) }));
  }

  /** Tasks that may run at a time. */
  get tasksMax(): number {
    return this.#others.reduce((sum, { tasksMax }) => sum + tasksMax, this.#here.tasksMax);
  }

  /** @throws RefusedError once the query is stopped, whoever's turn it is */
  run(plan: ScanPlan, slices: readonly PlannedSlice[]): Promise<MetricResult> {
    return this.#context.orStop(this.#run(plan, slices));
  }

  async #run(plan: ScanPlan, slices: readonly PlannedSlice[]): Promise<MetricResult> {
    const { signal } = this.#context;
    const other = this.#otherFor(slices);
    const result = other && (await other.permits.with(signal, () => this.#runAt(other.place, plan, slices)));
    return result ?? (await this.#here.permits.with(signal, () => this.#runHere(slices)));
  }

  /** undefined: this node. */
  #otherFor(slices: readonly PlannedSlice[]): PlacedSlot | undefined {
    const home = this.#others.find(({ place }) => slices.some((slice) => place.holds(slice)));
    // Where as many wait as run, loading the memory from there is no slower.
    if (home) return home.permits.free > 0 || home.permits.waiting < home.tasksMax ? home : undefined;
    let best: PlacedSlot | undefined;
    let free = this.#here.permits.free;
    for (const other of this.#others) {
      if (other.permits.free <= free) continue;
      best = other;
      free = other.permits.free;
    }
    return best;
  }

  /** undefined if nothing came of it there. */
  async #runAt(place: ScanPlace, plan: ScanPlan, slices: readonly PlannedSlice[]): Promise<MetricResult | undefined> {
    const context = this.#context;
    context.check();
    try {
      const { result, chunksDownloaded } = await context.orStop(place.run(plan, slices, context.signal));
      context.chunksDownloaded += chunksDownloaded;
      context.read(result.counts);
      return result;
    } catch (error) {
      if (!(error instanceof ScanPlaceError)) throw error;
      return undefined;
    }
  }
}

const slotOf = (tasksMax: number): Slot => ({ tasksMax, permits: new Permits(tasksMax) });
