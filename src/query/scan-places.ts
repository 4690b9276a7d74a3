import type { PlannedSlice } from './plan-slices.ts';
import type { QueryContext } from './query-context.ts';
import type { MetricResult, ScanPlan } from './scan/scan-messages.ts';

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
  /** undefined: this node. */
  readonly place: ScanPlace | undefined;
  free: number;
}

/** Deals the tasks of one scan to this node's workers and those of others, as they become free. */
export class ScanPlaces {
  readonly #context: QueryContext;
  readonly #slots: readonly Slot[];
  readonly #runHere: (slices: readonly PlannedSlice[]) => Promise<MetricResult>;

  constructor(
    context: QueryContext,
    tasksPerWorker: number,
    runHere: (slices: readonly PlannedSlice[]) => Promise<MetricResult>,
  ) {
    const { scanPool, places } = context.deps;
    this.#context = context;
    this.#runHere = runHere;
    this.#slots = [
      { place: undefined, free: tasksPerWorker * scanPool.size },
      ...(places?.() ?? []).map((place) => ({ place, free: tasksPerWorker * place.workers })),
    ];
  }

  /** Tasks that may run at a time. */
  get tasksMax(): number {
    return this.#slots.reduce((sum, { free }) => sum + free, 0);
  }

  async run(plan: ScanPlan, slices: readonly PlannedSlice[]): Promise<MetricResult> {
    const slot = this.#slotFor(slices);
    slot.free -= 1;
    try {
      return slot.place ? await this.#runAt(slot.place, plan, slices) : await this.#runHere(slices);
    } finally {
      slot.free += 1;
    }
  }

  #slotFor(slices: readonly PlannedSlice[]): Slot {
    const home = this.#slots.find(({ place }) => place && slices.some((slice) => place.holds(slice)));
    if (home) return home;
    return this.#slots.reduce((best, slot) => (slot.free > best.free ? slot : best));
  }

  async #runAt(place: ScanPlace, plan: ScanPlan, slices: readonly PlannedSlice[]): Promise<MetricResult> {
    const context = this.#context;
    try {
      const { result, chunksDownloaded } = await context.orStop(place.run(plan, slices, context.signal));
      context.chunksDownloaded += chunksDownloaded;
      context.read(result.counts);
      return result;
    } catch (error) {
      if (!(error instanceof ScanPlaceError)) throw error;
      return await this.#runHere(slices);
    }
  }
}
