import { dispatch, type Ref, spawn, stop } from 'nact';
import type { Clock } from '../protocol/clock.ts';
import { missedSince, nextTime, offsetOf } from './group-schedule.ts';
import { type GroupEffect, type GroupMessage, type GroupState, NEW_GROUP, stepGroup } from './group-state.ts';
import { groupKey, type StoredGroup } from './rule-group.ts';
import { RuleRunner, type RuleRunnerDeps } from './rule-runner.ts';
import { type GroupStatus, intervalOf } from './rule-status.ts';

export interface GroupRunnerDeps {
  readonly clock: Clock;
  readonly system: Ref<never>;
  readonly defaultIntervalMs: number;
  readonly ofRule: (group: StoredGroup) => RuleRunnerDeps;
  /** Asked before each evaluation: another node may have it by now. */
  readonly isHere: () => boolean;
  readonly evaluated: (ms: number, isFine: boolean) => void;
  readonly report: (problem: string, error: unknown, about?: object) => void;
}

export interface GroupFigures {
  readonly evaluations: number;
  readonly failures: number;
  readonly iterations: number;
  readonly missed: number;
  readonly intervalMs: number;
  /** In ms since 1970; 0: never. */
  readonly lastEvaluationMs: number;
  readonly evaluationMs: number;
  readonly rules: number;
}

/** Chosen: a timer of node cannot wait for longer than 24 days. */
const TIMER_MS_MAX = 3_600_000;

/** The actor of a group of rules: evaluates them in their order, each time it is due, for as long as it is this node's. */
export class GroupRunner {
  readonly #deps: GroupRunnerDeps;
  readonly #ref: Ref<GroupMessage>;
  readonly #abort = new AbortController();
  #stored: StoredGroup;
  #next: StoredGroup;
  #rules: readonly RuleRunner[];
  #cancelTimer: () => void = () => undefined;
  #running: Promise<void> = Promise.resolve();
  #dueMs = 0;
  #lastEvaluationMs = 0;
  #evaluationMs = 0;
  readonly #counts = { evaluations: 0, failures: 0, iterations: 0, missed: 0 };

  constructor(stored: StoredGroup, deps: GroupRunnerDeps) {
    this.#deps = deps;
    this.#stored = stored;
    this.#next = stored;
    this.#rules = this.#rulesOf(stored);
    this.#ref = spawn(
      deps.system,
      (state: GroupState, message: GroupMessage) => {
        const next = stepGroup(state, message);
        for (const effect of next.effects) this.#perform(effect);
        return next.state;
      },
      undefined,
      {
        initialState: NEW_GROUP,
        onCrash: (_message, error, context) => {
          deps.report('the actor of a group of rules failed', error, this.about);
          return context.resume;
        },
      },
    ) as Ref<GroupMessage>;
    this.#rest();
  }

  get about(): { readonly tenant: string; readonly namespace: string; readonly group: string } {
    const { tenant, namespace, name } = this.#stored;
    return { tenant, namespace, group: name };
  }

  /** Of what it evaluates, or will from the next time on. */
  get version(): string {
    return this.#next.version;
  }

  /** Cheap: of each group, at each scrape. */
  get figures(): GroupFigures {
    return {
      ...this.#counts,
      intervalMs: this.#intervalMs,
      lastEvaluationMs: this.#lastEvaluationMs,
      evaluationMs: this.#evaluationMs,
      rules: this.#rules.length,
    };
  }

  get status(): GroupStatus {
    const { namespace, name, group } = this.#stored;
    return {
      namespace,
      name,
      intervalMs: this.#intervalMs,
      limit: group.limit,
      lastEvaluationMs: this.#lastEvaluationMs,
      evaluationMs: this.#evaluationMs,
      rules: this.#rules.map(({ status }) => status),
    };
  }

  change(stored: StoredGroup): void {
    this.#next = stored;
    dispatch(this.#ref, { type: 'changed' });
  }

  /** Resolves when nothing of it is under way. @param isGone the group is evaluated nowhere any more: its series end */
  async stop(isGone = false): Promise<void> {
    this.#cancelTimer();
    dispatch(this.#ref, { type: 'stop' });
    this.#abort.abort(new Error('the group is not evaluated here any more'));
    await this.#running;
    stop(this.#ref);
    if (isGone) for (const rule of this.#rules) rule.retire(this.#retiredMs);
  }

  get #intervalMs(): number {
    return intervalOf(this.#stored.group, this.#deps.defaultIntervalMs);
  }

  /** When its series end if they do now: on their own time, which may lie back. */
  get #retiredMs(): number {
    return this.#deps.clock.nowMs() - this.#stored.group.queryOffsetMs;
  }

  #perform(effect: GroupEffect): void {
    switch (effect.type) {
      case 'evaluate':
        this.#running = this.#evaluate(effect.atMs);
        return;
      case 'take':
        this.#take();
        return;
      case 'rest':
        this.#rest();
        return;
      case 'end':
        this.#cancelTimer();
        return;
    }
  }

  #rulesOf(stored: StoredGroup): readonly RuleRunner[] {
    const deps = this.#deps.ofRule(stored);
    return stored.group.rules.map((rule) => new RuleRunner(rule, stored.group.labels, deps));
  }

  /** Rules that stay keep what they have come to; the series of those that go end. */
  #take(): void {
    if (this.#stored === this.#next) return;
    const before = new Map<string, RuleRunner[]>();
    for (const rule of this.#rules) before.set(rule.identity, [...(before.get(rule.identity) ?? []), rule]);
    const rules = this.#rulesOf(this.#next);
    for (const rule of rules) {
      const same = before.get(rule.identity)?.shift();
      if (same) rule.takeOver(same);
    }
    for (const gone of [...before.values()].flat()) gone.retire(this.#retiredMs);
    this.#rules = rules;
    this.#stored = this.#next;
  }

  #rest(): void {
    const { clock } = this.#deps;
    this.#cancelTimer();
    if (this.#abort.signal.aborted) return;
    const intervalMs = this.#intervalMs;
    this.#dueMs = nextTime(clock.nowMs(), intervalMs, offsetOf(this.#stored, intervalMs));
    this.#wait();
  }

  #wait(): void {
    const { clock } = this.#deps;
    const leftMs = this.#dueMs - clock.nowMs();
    this.#cancelTimer = clock.after(Math.max(0, Math.min(leftMs, TIMER_MS_MAX)), () => {
      const stillMs = this.#dueMs - clock.nowMs();
      // The clock was set back: what was due next is far away by now.
      if (stillMs > this.#intervalMs) this.#rest();
      else if (stillMs > 0) this.#wait();
      else dispatch(this.#ref, { type: 'due', atMs: this.#dueMs });
    });
  }

  async #evaluate(atMs: number): Promise<void> {
    try {
      if (this.#deps.isHere()) await this.#evaluateRules(atMs);
    } catch (error) {
      this.#deps.report('a group of rules could not be evaluated', error, this.about);
    } finally {
      dispatch(this.#ref, { type: 'evaluated' });
    }
  }

  async #evaluateRules(atMs: number): Promise<void> {
    const { clock, evaluated } = this.#deps;
    const { signal } = this.#abort;
    const { queryOffsetMs, limit } = this.#stored.group;
    const startMs = clock.monotonicMs();
    for (const rule of this.#rules) {
      const ruleStartMs = clock.monotonicMs();
      const isFine = await rule.evaluate({ timeMs: atMs - queryOffsetMs, limit, signal });
      if (signal.aborted) return;
      evaluated(clock.monotonicMs() - ruleStartMs, isFine);
      this.#counts.evaluations += 1;
      if (!isFine) this.#counts.failures += 1;
    }
    this.#lastEvaluationMs = atMs;
    this.#evaluationMs = clock.monotonicMs() - startMs;
    this.#counts.iterations += 1;
    this.#counts.missed += missedSince(atMs, clock.nowMs(), this.#intervalMs);
  }

  /** For the ring. */
  get key(): string {
    return groupKey(this.#stored);
  }
}
