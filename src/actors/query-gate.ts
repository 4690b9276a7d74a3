import type { Clock } from '../protocol/clock.ts';
import { FairQueue } from '../protocol/fair-queue.ts';
import { RefusedError } from '../protocol/refusal.ts';

export interface QueryGateOptions {
  /** Queries that run at a time, of all tenants. */
  readonly runningMax: number;
  /** Of one tenant. */
  readonly runningPerTenantMax: number;
  /** Queries of one tenant that wait for their turn; one more is refused. */
  readonly waitingPerTenantMax: number;
  readonly sparing?: Sparing;
}

/** When pushes suffer from what runs, so that no more than two of a tenant run at a time. */
interface Sparing {
  /** Asked whenever it could be somebody's turn. */
  readonly isDue: () => boolean;
  readonly clock: Pick<Clock, 'after'>;
}

/** Not one: a query that takes long must not hold up those behind it. Chosen. */
const SPARING_MAX = 2;

/** Nobody tells when pushes no longer suffer: who was held back for them is looked after so often. Chosen. */
const LOOK_MS = 250;

export interface GateFigures {
  readonly running: number;
  readonly waiting: number;
}

type Admit = () => void;

/**
 * Whose turn it is to query: tenants in turn, the queries of each first come first served, with bounds on what runs and on what waits. The queue's
 * deadline is the query's own.
 */
export class QueryGate {
  readonly #options: QueryGateOptions;
  readonly #running: Map<string, number> = new Map();
  readonly #waiting = new FairQueue<Admit>();
  #runningCount = 0;
  #isLooking = false;

  constructor(options: QueryGateOptions) {
    this.#options = options;
  }

  get figures(): GateFigures {
    return { running: this.#runningCount, waiting: this.#waiting.size };
  }

  /**
   * Calls `admitted` when it is this query's turn, maybe at once. Returns how to leave, running or still waiting; call it once.
   * @throws RefusedError OVERLOADED when too many wait
   */
  enter(tenant: string, admitted: Admit): () => void {
    const perTenantMax = this.#admit();
    // After that only those wait who may not run: while there is room, whose tenant has as many as it may.
    if (this.#runningCount < this.#options.runningMax && this.#mayRun(tenant, perTenantMax)) {
      this.#begin(tenant);
      admitted();
      return () => this.#end(tenant);
    }
    // Of those that are held back for the sake of pushes so many more wait.
    const { runningPerTenantMax, waitingPerTenantMax } = this.#options;
    if (this.#waiting.sizeOf(tenant) >= waitingPerTenantMax + runningPerTenantMax - perTenantMax) {
      throw new RefusedError({ code: 'OVERLOADED', text: 'too many outstanding requests', retryAfterMs: 1000 });
    }
    const turn: Admit = () => {
      this.#begin(tenant);
      admitted();
    };
    this.#waiting.add(tenant, turn);
    this.#lookLater(perTenantMax);
    return () => {
      if (!this.#waiting.remove(tenant, turn)) this.#end(tenant);
    };
  }

  get #runningPerTenantMax(): number {
    const { runningPerTenantMax, sparing } = this.#options;
    return sparing?.isDue() ? Math.min(SPARING_MAX, runningPerTenantMax) : runningPerTenantMax;
  }

  #mayRun(tenant: string, perTenantMax: number): boolean {
    return (this.#running.get(tenant) ?? 0) < perTenantMax;
  }

  /** Several, when what held them back is over. @returns how many of a tenant may run just now */
  #admit(): number {
    const perTenantMax = this.#runningPerTenantMax;
    while (this.#runningCount < this.#options.runningMax) {
      const turn = this.#waiting.take((tenant) => this.#mayRun(tenant, perTenantMax));
      if (!turn) break;
      turn();
    }
    this.#lookLater(perTenantMax);
    return perTenantMax;
  }

  /** Only while somebody waits and pushes suffer: else whoever leaves admits the next. */
  #lookLater(perTenantMax: number): void {
    const { sparing, runningPerTenantMax } = this.#options;
    if (!sparing || this.#isLooking || perTenantMax >= runningPerTenantMax || this.#waiting.size === 0) return;
    this.#isLooking = true;
    sparing.clock.after(LOOK_MS, () => {
      this.#isLooking = false;
      this.#admit();
    });
  }

  #begin(tenant: string): void {
    this.#runningCount += 1;
    this.#running.set(tenant, (this.#running.get(tenant) ?? 0) + 1);
  }

  #end(tenant: string): void {
    this.#runningCount -= 1;
    const left = (this.#running.get(tenant) ?? 0) - 1;
    if (left > 0) this.#running.set(tenant, left);
    else this.#running.delete(tenant);
    this.#admit();
  }
}
