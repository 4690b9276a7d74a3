import { FairQueue } from '../protocol/fair-queue.ts';
import { RefusedError } from '../protocol/refusal.ts';

export interface QueryGateOptions {
  /** Queries that run at a time, of all tenants. */
  readonly runningMax: number;
  /** Of one tenant. */
  readonly runningPerTenantMax: number;
  /** Queries of one tenant that wait for their turn; one more is refused. */
  readonly waitingPerTenantMax: number;
  /** Asked whenever it could be somebody's turn: pushes suffer from what runs, so that no more than two of a tenant run at a time. */
  readonly mustSpare?: () => boolean;
}

/** Not one: a query that takes long must not hold up those behind it. Chosen. */
const SPARING_MAX = 2;

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
    this.#admit();
    // After that only those wait who may not run: while there is room, whose tenant has as many as it may.
    if (this.#runningCount < this.#options.runningMax && this.#mayRun(tenant)) {
      this.#begin(tenant);
      admitted();
      return () => this.#end(tenant);
    }
    if (this.#waiting.sizeOf(tenant) >= this.#waitingPerTenantMax) {
      throw new RefusedError({ code: 'OVERLOADED', text: 'too many outstanding requests', retryAfterMs: 1000 });
    }
    const turn: Admit = () => {
      this.#begin(tenant);
      admitted();
    };
    this.#waiting.add(tenant, turn);
    return () => {
      if (!this.#waiting.remove(tenant, turn)) this.#end(tenant);
    };
  }

  get #runningPerTenantMax(): number {
    const { runningPerTenantMax, mustSpare } = this.#options;
    return mustSpare?.() ? Math.min(SPARING_MAX, runningPerTenantMax) : runningPerTenantMax;
  }

  /** Of those that are held back for the sake of pushes so many more wait. */
  get #waitingPerTenantMax(): number {
    const { runningPerTenantMax, waitingPerTenantMax } = this.#options;
    return waitingPerTenantMax + runningPerTenantMax - this.#runningPerTenantMax;
  }

  #mayRun(tenant: string): boolean {
    return (this.#running.get(tenant) ?? 0) < this.#runningPerTenantMax;
  }

  /** Several, when what held them back is over. */
  #admit(): void {
    while (this.#runningCount < this.#options.runningMax) {
      const turn = this.#waiting.take((tenant) => this.#mayRun(tenant));
      if (!turn) return;
      turn();
    }
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
