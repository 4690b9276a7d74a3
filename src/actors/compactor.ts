import { dispatch, type Ref, spawn, start, stop } from 'nact';
import { newFigures, type PassOutcome } from '../compaction/compaction.ts';
import type { CompactionFigures } from '../compaction/table-compaction.ts';
import type { Clock } from '../protocol/clock.ts';
import { RefusedError } from '../protocol/refusal.ts';

export interface CompactorDeps {
  readonly clock: Clock;
  /** In [0, 1): nodes that start together do not compact together. */
  readonly chance: () => number;
  /** From the end of a pass to the begin of the next. */
  readonly intervalMs: number;
  readonly pass: (signal: AbortSignal) => Promise<PassOutcome>;
  readonly passed: (outcome: PassOutcome) => void;
  readonly report: (problem: string, error: unknown) => void;
}

export interface CompactorFigures extends CompactionFigures {
  readonly passes: number;
  readonly failures: number;
  /** 0 before the first. */
  readonly lastPassMs: number;
  readonly startedMs: number;
  readonly pending: number;
  readonly oldestPendingMs: number | undefined;
  /** Tenant → requests that were brought to their end here. */
  readonly processed: ReadonlyMap<string, number>;
}

type Ended = { readonly outcome: PassOutcome } | { readonly error: unknown };

type CompactorMessage =
  /** From the timer. */
  | { readonly type: 'due' }
  /** From an operator or a test: answered with the pass that begins now, or once the one that runs has ended. */
  | { readonly type: 'asked'; readonly reply: (ended: Ended) => void }
  /** The result of our own `begin`. */
  | { readonly type: 'ended'; readonly ended: Ended }
  | { readonly type: 'stop' };

interface CompactorState {
  readonly phase: 'resting' | 'running' | 'stopped';
  /** Who waits for the pass that runs, and for the one after it. */
  readonly asking: readonly ((ended: Ended) => void)[];
  readonly waiting: readonly ((ended: Ended) => void)[];
}

type CompactorEffect =
  | { readonly type: 'begin' }
  | { readonly type: 'rest' }
  | { readonly type: 'answer'; readonly replies: readonly ((ended: Ended) => void)[]; readonly ended: Ended };

interface CompactorStep {
  readonly state: CompactorState;
  readonly effects: readonly CompactorEffect[];
}

const STOPPED = { error: new RefusedError({ code: 'CANCELLED', text: 'the compactor was stopped' }) };

/** One pass at a time; between two of them it rests. No clock, no I/O. */
export const stepCompactor = (state: CompactorState, message: CompactorMessage): CompactorStep => {
  const { phase, asking, waiting } = state;
  switch (message.type) {
    case 'due':
      return phase === 'resting'
        ? { state: { ...state, phase: 'running' }, effects: [{ type: 'begin' }] }
        : { state, effects: [] };
    case 'asked':
      if (phase === 'stopped')
        return { state, effects: [{ type: 'answer', replies: [message.reply], ended: STOPPED }] };
      if (phase === 'running') return { state: { ...state, waiting: [...waiting, message.reply] }, effects: [] };
      return { state: { phase: 'running', asking: [message.reply], waiting }, effects: [{ type: 'begin' }] };
    case 'ended': {
      const answer: CompactorEffect = { type: 'answer', replies: asking, ended: message.ended };
      if (phase === 'stopped') return { state, effects: [] };
      if (waiting.length === 0)
        return { state: { phase: 'resting', asking: [], waiting }, effects: [answer, { type: 'rest' }] };
      return { state: { phase: 'running', asking: waiting, waiting: [] }, effects: [answer, { type: 'begin' }] };
    }
    case 'stop': {
      const answer: CompactorEffect = { type: 'answer', replies: [...asking, ...waiting], ended: STOPPED };
      return { state: { phase: 'stopped', asking: [], waiting: [] }, effects: [answer] };
    }
  }
};

/** The actor that removes what is past its retention or asked to be deleted: pass after pass, for as long as the node runs. */
export class Compactor {
  readonly #deps: CompactorDeps;
  readonly #system: Ref<never> = start() as Ref<never>;
  readonly #ref: Ref<CompactorMessage>;
  readonly #abort = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #cancelTimer: () => void = () => undefined;
  #total = newFigures();
  #passes = 0;
  #failures = 0;
  #lastPassMs = 0;
  readonly #startedMs: number;
  #last: Pick<PassOutcome, 'pending' | 'oldestPendingMs'> = { pending: 0, oldestPendingMs: undefined };
  readonly #processed = new Map<string, number>();

  constructor(deps: CompactorDeps) {
    this.#deps = deps;
    this.#startedMs = deps.clock.nowMs();
    this.#ref = spawn(
      this.#system,
      (state: CompactorState, message: CompactorMessage) => {
        const next = stepCompactor(state, message);
        for (const effect of next.effects) this.#perform(effect);
        return next.state;
      },
      'compactor',
      {
        initialState: { phase: 'resting', asking: [], waiting: [] } as CompactorState,
        onCrash: (_message, error, context) => {
          deps.report('the compactor failed', error);
          return context.resume;
        },
      },
    );
    this.#rest(deps.chance());
  }

  get figures(): CompactorFigures {
    return {
      ...this.#total,
      ...this.#last,
      passes: this.#passes,
      failures: this.#failures,
      lastPassMs: this.#lastPassMs,
      startedMs: this.#startedMs,
      processed: this.#processed,
    };
  }

  /** A whole pass that begins after this call. @throws what it failed with; RefusedError CANCELLED once it is stopped */
  async compact(): Promise<PassOutcome> {
    const ended = await new Promise<Ended>((resolve) => dispatch(this.#ref, { type: 'asked', reply: resolve }));
    if ('error' in ended) throw ended.error;
    return ended.outcome;
  }

  /** Resolves when nothing of it touches the stores any more; what a pass was at, the next one goes on with. */
  async stop(): Promise<void> {
    this.#cancelTimer();
    dispatch(this.#ref, { type: 'stop' });
    this.#abort.abort(STOPPED.error);
    await this.#running;
    stop(this.#system);
  }

  #perform(effect: CompactorEffect): void {
    switch (effect.type) {
      case 'begin':
        this.#cancelTimer();
        this.#running = this.#pass();
        return;
      case 'rest':
        this.#rest(1);
        return;
      case 'answer':
        for (const reply of effect.replies) reply(effect.ended);
        return;
    }
  }

  #rest(share: number): void {
    if (this.#abort.signal.aborted) return;
    this.#cancelTimer = this.#deps.clock.after(share * this.#deps.intervalMs, () =>
      dispatch(this.#ref, { type: 'due' }),
    );
  }

  async #pass(): Promise<void> {
    const { pass, passed, report, clock } = this.#deps;
    const { signal } = this.#abort;
    let ended: Ended;
    try {
      signal.throwIfAborted();
      const outcome = await pass(signal);
      this.#count(outcome);
      this.#lastPassMs = clock.nowMs();
      passed(outcome);
      ended = { outcome };
    } catch (error) {
      if (!signal.aborted) {
        this.#failures += 1;
        report('a compaction did not come to its end; the next one goes on', error);
      }
      ended = { error };
    }
    dispatch(this.#ref, { type: 'ended', ended });
  }

  #count({ pending, oldestPendingMs, processed, ...figures }: PassOutcome): void {
    this.#passes += 1;
    this.#last = { pending, oldestPendingMs };
    const total = { ...this.#total };
    for (const name of Object.keys(total) as (keyof CompactionFigures)[]) total[name] += figures[name];
    this.#total = total;
    for (const { tenant } of processed) this.#processed.set(tenant, (this.#processed.get(tenant) ?? 0) + 1);
  }
}
