import { dispatch, type Ref, spawn, stop } from 'nact';
import { ABORTED } from '../protocol/aborted.ts';
import type { Clock } from '../protocol/clock.ts';
import { type Refusal, RefusedError } from '../protocol/refusal.ts';
import type { QueryCommand, QueryEvent, QueryRequest } from '../query/query-messages.ts';
import type { QueryGate } from './query-gate.ts';
import { newQueryState, type QueryActorMessage, type QueryEffect, type QueryState, stepQuery } from './query-state.ts';

/** Takes a query's events, in order; must not block. */
export type QueryReader = (event: QueryEvent) => void;

/** Evaluates a request: events in order, the last one `done`; throws RefusedError for what is refused; stops when the signal fires. */
export type ExecuteQuery = (request: QueryRequest, signal: AbortSignal) => AsyncIterable<QueryEvent>;

export interface QuerierDeps {
  /** Where query actors hang. */
  readonly parent: Ref<never>;
  readonly clock: Clock;
  readonly gate: QueryGate;
  readonly execute: ExecuteQuery;
  /** Reports what should not have happened. */
  readonly report: (problem: string, error: unknown) => void;
}

/**
 * Spawns the actor of one query. It sends `entries`, `series` and `scalar` only against credits (`pull`), at most one event ahead of
 * them, and ends with exactly one `done` or `failed`: by itself, on `cancel`, or at the request's deadline.
 */
export const spawnQuery = (deps: QuerierDeps, request: QueryRequest, reader: QueryReader): Ref<QueryCommand> => {
  const shell = new QueryShell(deps, request, reader);
  return shell.ref;
};

class QueryShell {
  readonly ref: Ref<QueryActorMessage>;
  readonly #deps: QuerierDeps;
  readonly #reader: QueryReader;
  readonly #request: QueryRequest;
  readonly #abort = new AbortController();
  #events: AsyncIterator<QueryEvent> | undefined;
  #leaveGate: (() => void) | undefined;
  readonly #cancelDeadline: () => void;

  constructor(deps: QuerierDeps, request: QueryRequest, reader: QueryReader) {
    this.#deps = deps;
    this.#request = request;
    this.#reader = reader;
    this.ref = spawn(
      deps.parent,
      (state: QueryState, message: QueryActorMessage) => this.#handle(state, message),
      undefined,
      { initialState: newQueryState(), onCrash: (_message, error, context) => this.#crashed(error, context.resume) },
    );
    this.#cancelDeadline = deps.clock.after(request.limits.timeoutMs, () => this.#tell({ type: 'deadline' }));
    this.#enterGate();
  }

  #enterGate(): void {
    try {
      this.#leaveGate = this.#deps.gate.enter(this.#request.tenant, () => this.#tell({ type: 'admitted' }));
    } catch (error) {
      this.#tell({ type: 'broken', refusal: this.#refusalOf(error) });
    }
  }

  #tell(message: QueryActorMessage): void {
    dispatch(this.ref, message);
  }

  #handle(state: QueryState, message: QueryActorMessage): QueryState {
    const next = stepQuery(state, message);
    for (const effect of next.effects) this.#perform(effect);
    return next.state;
  }

  #perform(effect: QueryEffect): void {
    switch (effect.type) {
      case 'produce':
        void this.#produce();
        return;
      case 'deliver':
        this.#reader(effect.event);
        return;
      case 'end':
        this.#end();
        return;
    }
  }

  async #produce(): Promise<void> {
    try {
      this.#events ??= this.#deps.execute(this.#request, this.#abort.signal)[Symbol.asyncIterator]();
      const { value, done } = await this.#events.next();
      this.#tell({ type: 'produced', event: done ? undefined : value });
    } catch (error) {
      this.#tell({ type: 'broken', refusal: this.#refusalOf(error) });
    }
  }

  #refusalOf(error: unknown): Refusal {
    if (error instanceof RefusedError) return error.refusal;
    this.#deps.report('a query failed', error);
    return { code: 'INTERNAL', text: error instanceof Error ? error.message : String(error) };
  }

  /** The reader threw: nobody is left to tell, so the query is over. */
  #crashed<Decision>(error: unknown, resume: Decision): Decision {
    this.#deps.report('the reader of a query failed', error);
    this.#end();
    return resume;
  }

  #end(): void {
    this.#cancelDeadline();
    this.#abort.abort(ABORTED);
    this.#leaveGate?.();
    this.#leaveGate = undefined;
    stop(this.ref);
    this.#events?.return?.().catch((error: unknown) => this.#deps.report('a query did not end cleanly', error));
  }
}
