import { Permits } from '../protocol/permits.ts';
import { RefusedError } from '../protocol/refusal.ts';
import { RetryBudget, type RetryDeps, type RetryRule } from './retry-budget.ts';

/** How many, how long, how often. Times in ms. */
export interface CallLimits {
  readonly runningMax: number;
  readonly waitingMax: number;
  /** Of one request. */
  readonly attemptMs: number;
  /** Of a call: the wait for its turn, its requests and the pauses between them. */
  readonly totalMs: number;
  readonly retries: RetryRule;
}

export interface RetriedCallsDeps extends RetryDeps {
  /** Keeps the process alive until the answer is called: the clock's timers do not, and in a pause there may be no connection. */
  readonly holdProcess?: () => () => void;
}

export interface Attempt {
  /** Ends the request. */
  readonly signal: AbortSignal;
  /** An earlier request of the call may have had its effect, though its answer was lost. */
  readonly isRepeated: boolean;
}

/** A request that failed: `isRetryable` says whether the same one may succeed later. */
export class CallError extends Error {
  readonly isRetryable: boolean;
  /** Of HTTP; undefined if there was no answer. */
  readonly status: number | undefined;

  constructor(text: string, isRetryable: boolean, status?: number, options?: ErrorOptions) {
    super(text, options);
    this.isRetryable = isRetryable;
    this.status = status;
  }
}

/**
 * Runs calls to a store over the network: bounded in number, each with a deadline, its requests repeated within a budget. A call keeps its place during the pauses, so that a store in trouble gets no more requests than one that is well.
 */
export class RetriedCalls {
  readonly #deps: RetriedCallsDeps;
  readonly #limits: CallLimits;
  readonly #permits: Permits;
  readonly #running = new Set<Promise<unknown>>();
  /** What ends each of the calls. */
  readonly #endings = new Set<AbortController>();
  #letGo: (() => void) | undefined;
  #state: 'open' | 'finishing' | 'closed' = 'open';

  constructor(limits: CallLimits, deps: RetriedCallsDeps) {
    this.#deps = deps;
    this.#limits = limits;
    const { runningMax, waitingMax } = limits;
    this.#permits = new Permits(runningMax, { waitingMax, text: `too many calls wait for the store: ${waitingMax}` });
  }

  /**
   * @param what for the error: `write to bucket b`
   * @throws RefusedError STORAGE_UNAVAILABLE with the last cause; OVERLOADED if too many calls wait; whatever else `attempt` throws, but a CallError
   */
  async run<Answer>(what: string, attempt: (attempt: Attempt) => Promise<Answer>): Promise<Answer> {
    const running = this.#run(what, attempt);
    if (this.#running.size === 0) this.#letGo = this.#deps.holdProcess?.();
    this.#running.add(running);
    try {
      return await running;
    } finally {
      this.#running.delete(running);
      if (this.#running.size === 0) this.#letGo?.();
    }
  }

  /** Refuses what waits and what comes. @param stopsRequests otherwise it waits for requests that are under way */
  async close(stopsRequests: boolean): Promise<void> {
    this.#state = stopsRequests ? 'closed' : 'finishing';
    for (const ending of this.#endings) ending.abort(closed());
    await Promise.allSettled(this.#running);
  }

  async #run<Answer>(what: string, attempt: (attempt: Attempt) => Promise<Answer>): Promise<Answer> {
    const { clock } = this.#deps;
    const { totalMs } = this.#limits;
    const ending = new AbortController();
    const cancelDeadline = clock.after(totalMs, () => ending.abort(noAnswer(totalMs)));
    this.#endings.add(ending);
    const budget = new RetryBudget(this.#deps, totalMs, this.#limits.retries);
    let attempts = 0;
    const inTurn = async (): Promise<Answer> => {
      for (;;) {
        ending.signal.throwIfAborted();
        attempts += 1;
        try {
          return await this.#once(attempt, attempts > 1, ending.signal);
        } catch (error) {
          const isRetryable = error instanceof CallError && error.isRetryable;
          if (!isRetryable || !(await budget.wait(ending.signal))) throw error;
        }
      }
    };
    try {
      if (this.#state !== 'open') throw closed();
      return await this.#permits.with(ending.signal, inTurn);
    } catch (error) {
      throw error instanceof CallError ? refused(what, error, attempts) : error;
    } finally {
      cancelDeadline();
      this.#endings.delete(ending);
    }
  }

  /** One request with its own deadline; what comes of it later is nobody's business. */
  #once<Answer>(
    attempt: (attempt: Attempt) => Promise<Answer>,
    isRepeated: boolean,
    ending: AbortSignal,
  ): Promise<Answer> {
    const { attemptMs } = this.#limits;
    const stopping = new AbortController();
    return new Promise<Answer>((resolve, reject) => {
      const forget = (): void => {
        cancel();
        ending.removeEventListener('abort', end);
      };
      const stop = (reason: unknown): void => {
        forget();
        reject(reason);
        stopping.abort(reason);
      };
      const end = (): void => {
        if (this.#state !== 'finishing') stop(ending.reason);
      };
      const cancel = this.#deps.clock.after(attemptMs, () => stop(noAnswer(attemptMs)));
      ending.addEventListener('abort', end);
      attempt({ signal: stopping.signal, isRepeated }).then(resolve, reject).finally(forget);
    });
  }
}

const closed = (): CallError => new CallError('the chunk store is closed', false);

const noAnswer = (ms: number): CallError => new CallError(`no answer within ${ms} ms`, true);

const refused = (what: string, cause: CallError, attempts: number): RefusedError => {
  const tries = attempts > 1 ? ` (${attempts} attempts)` : '';
  return new RefusedError({ code: 'STORAGE_UNAVAILABLE', text: `cannot ${what}: ${cause.message}${tries}` }, { cause });
};
