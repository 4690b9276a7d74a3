import { Permits } from '../protocol/permits.ts';
import type { QueryContext } from './query-context.ts';
import type { ReadBounds, ScanPlan, ScanResult } from './scan/scan-messages.ts';
import type { PlannedSlice } from './slice-plan.ts';

/** What one task reads. */
export interface ScanWork {
  readonly slices: readonly PlannedSlice[];
  /** Of a log scan, for each slice. */
  readonly bounds?: readonly ReadBounds[] | undefined;
}

/** Workers of another node. */
export interface ScanPlace {
  readonly workers: number;
  /** The slice's memory lies there: sending the question is cheaper than fetching the data. */
  holds(slice: PlannedSlice): boolean;
  /**
   * Reads the chunks there and gives the partial aggregates, or the entries that pass.
   * @throws ScanPlaceError nothing came of it, for a reason that is not the query's: run it elsewhere
   */
  run(plans: readonly ScanPlan[], work: ScanWork, signal: AbortSignal): Promise<PlacedResult>;
}

export interface PlacedResult {
  readonly result: ScanResult;
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
export class ScanPlaces<Result extends ScanResult> {
  /** Of all nodes. */
  readonly workers: number;
  readonly #context: QueryContext;
  readonly #here: Slot;
  readonly #others: readonly PlacedSlot[];
  readonly #runHere: (work: ScanWork) => Promise<Result>;

  constructor(context: QueryContext, tasksPerWorker: number, runHere: (work: ScanWork) => Promise<Result>) {
    const { scanPool, places } = context.deps;
    this.#context = context;
    this.#runHere = runHere;
    this.#here = slotOf(tasksPerWorker * scanPool.size);
    this.#others = (places?.() ?? []).map((place) => ({ place, ...slotOf(tasksPerWorker * place.workers) }));
    this.workers = this.#others.reduce((sum, { place }) => sum + place.workers, scanPool.size);
  }

  /** Tasks that may run at a time. */
  get tasksMax(): number {
    const all = this.#others.reduce((sum, { tasksMax }) => sum + tasksMax, this.#here.tasksMax);
    return Math.min(all, this.#context.tasksMax);
  }

  /** @param isNear what it reads is here already, unless another place holds it @throws RefusedError once the query is stopped, whoever's turn it is */
  run(plans: readonly ScanPlan[], work: ScanWork, isNear = false): Promise<Result> {
    return this.#permitted(() => this.#run(plans, work, isNear));
  }

  /** In this node's turn, whoever holds what it reads. @throws as `run` */
  runHere(work: ScanWork): Promise<Result> {
    const { signal } = this.#context;
    return this.#permitted(() => this.#here.permits.with(signal, () => this.#runHere(work)));
  }

  async #permitted(work: () => Promise<Result>): Promise<Result> {
    const { permits, signal } = this.#context;
    // Before anything is begun.
    this.#context.check();
    return await this.#context.orStop(permits.with(signal, work));
  }

  async #run(plans: readonly ScanPlan[], work: ScanWork, isNear: boolean): Promise<Result> {
    const { signal } = this.#context;
    const other = this.#otherFor(work.slices, isNear);
    const result = other && (await other.permits.with(signal, () => this.#runAt(other.place, plans, work)));
    return result ?? (await this.#here.permits.with(signal, () => this.#runHere(work)));
  }

  /** undefined: this node. */
  #otherFor(slices: readonly PlannedSlice[], isNear: boolean): PlacedSlot | undefined {
    const home = this.#others.find(({ place }) => slices.some((slice) => place.holds(slice)));
    // Where as many wait as run, loading the memory from there is no slower.
    if (home) return home.permits.free > 0 || home.permits.waiting < home.tasksMax ? home : undefined;
    if (isNear) return undefined;
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
  async #runAt(place: ScanPlace, plans: readonly ScanPlan[], work: ScanWork): Promise<Result | undefined> {
    const context = this.#context;
    context.check();
    try {
      const { result, chunksDownloaded } = await context.orStop(place.run(plans, work, context.signal));
      context.chunksDownloaded += chunksDownloaded;
      context.read(result.counts);
      // Of the plans' kind.
      return result as Result;
    } catch (error) {
      if (!(error instanceof ScanPlaceError)) throw error;
      return undefined;
    }
  }
}

const slotOf = (tasksMax: number): Slot => ({ tasksMax, permits: new Permits(tasksMax) });
