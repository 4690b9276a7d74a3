import { RefusedError } from '../protocol/refusal.ts';

export interface QueryGateOptions {
  /** Queries of one tenant that run at a time. */
  readonly runningMax: number;
  /** Queries of one tenant that wait for their turn; one more is refused. */
  readonly waitingMax: number;
  /** Asked whenever it could be somebody's turn: pushes suffer from what runs, so that no more than two of a tenant run at a time. */
  readonly mustSpare?: () => boolean;
}

/** Not one: a query that takes long must not hold up those behind it. Chosen. */
const SPARING_MAX = 2;

export interface QueryGateFigures {
  readonly running: number;
  readonly waiting: number;
}

interface TenantQueries {
  running: number;
  readonly waiting: Set<() => void>;
}

/** Whose turn it is to query: per tenant a bound on what runs and on what waits. The queue's deadline is the query's own. */
export class QueryGate {
  readonly #options: QueryGateOptions;
  readonly #tenants: Map<string, TenantQueries> = new Map();

  constructor(options: QueryGateOptions) {
    this.#options = options;
  }

  /** Of all tenants. */
  get figures(): QueryGateFigures {
    let [running, waiting] = [0, 0];
    for (const queries of this.#tenants.values()) {
      running += queries.running;
      waiting += queries.waiting.size;
    }
    return { running, waiting };
  }

  /**
   * Calls `admitted` when it is this query's turn, maybe at once. Returns how to leave, running or still waiting; call it once.
   * @throws RefusedError OVERLOADED when too many wait
   */
  enter(tenant: string, admitted: () => void): () => void {
    const queries = this.#tenants.get(tenant) ?? { running: 0, waiting: new Set() };
    this.#tenants.set(tenant, queries);
    const { runningMax, waitingMax } = this.#options;
    // Of those that are held back for others' sake so many more wait.
    if (queries.running + queries.waiting.size >= runningMax + waitingMax) {
      throw new RefusedError({ code: 'OVERLOADED', text: 'too many outstanding requests', retryAfterMs: 1000 });
    }
    const turn = () => admitted();
    queries.waiting.add(turn);
    this.#admit(queries);
    return () => {
      if (!queries.waiting.delete(turn)) this.#leave(tenant, queries);
    };
  }

  get #runningMax(): number {
    const { runningMax, mustSpare } = this.#options;
    return mustSpare?.() ? Math.min(SPARING_MAX, runningMax) : runningMax;
  }

  /** First come, first served. */
  #admit(queries: TenantQueries): void {
    for (const turn of queries.waiting) {
      if (queries.running >= this.#runningMax) return;
      queries.waiting.delete(turn);
      queries.running += 1;
      turn();
    }
  }

  #leave(tenant: string, queries: TenantQueries): void {
    queries.running -= 1;
    this.#admit(queries);
    if (queries.running === 0 && queries.waiting.size === 0) this.#tenants.delete(tenant);
  }
}
