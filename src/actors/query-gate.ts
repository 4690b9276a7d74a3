import { FairQueue } from '../protocol/fair-queue.ts';
import { RefusedError } from '../protocol/refusal.ts';

export interface QueryGateOptions {
  /** Queries that run at a time, of all tenants. */
  readonly runningMax: number;
  /** Of one tenant. */
  readonly runningPerTenantMax: number;
  /** Queries of one tenant that wait for their turn; one more is refused. */
  readonly waitingPerTenantMax: number;
}

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
    const { runningMax, waitingPerTenantMax } = this.#options;
    // While there is room, only those wait whose tenant has as many as it may.
    if (this.#runningCount < runningMax && this.#mayRun(tenant)) {
      this.#begin(tenant);
      admitted();
      return () => this.#end(tenant);
    }
    if (this.#waiting.sizeOf(tenant) >= waitingPerTenantMax) {
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

  #mayRun(tenant: string): boolean {
    return (this.#running.get(tenant) ?? 0) < this.#options.runningPerTenantMax;
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
    if (this.#runningCount < this.#options.runningMax) this.#waiting.take((other) => this.#mayRun(other))?.();
  }
}
