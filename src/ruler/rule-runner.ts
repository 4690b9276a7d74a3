import type { Clock } from '../protocol/clock.ts';
import type { TurnBudget } from '../protocol/turn-budget.ts';
import type { AlertSurroundings } from './alert-template.ts';
import {
  type Alert,
  type AlertSample,
  type Alerts,
  alertSample,
  alertSamples,
  alertsToSend,
  type CompiledAlertingRule,
  compileAlertingRule,
  stepAlerts,
} from './alerting-rule.ts';
import { recordedSamples } from './recording-rule.ts';
import { isAlerting, type NamedTexts, type Rule, ruleName } from './rule-group.ts';
import type { RuleStatus } from './rule-status.ts';
import { labelKey, type Sample } from './sample.ts';
import { staleMarkers, type TimedSample, timed } from './write-request.ts';

/** How a rule's expression is asked, and where what comes of it goes: of one tenant. */
export interface RuleRunnerDeps {
  readonly clock: Clock;
  /** The samples of the expression at a time. @throws RefusedError */
  readonly query: (expr: string, timeMs: number, signal: AbortSignal) => Promise<readonly Sample[]>;
  readonly surroundings: AlertSurroundings;
  /** Of all rules of the node. */
  readonly turns: TurnBudget;
  readonly resendDelayMs: number;
  /** Alerts that Alertmanagers should hear of. */
  readonly alert: (expr: string, alerts: readonly Alert[]) => void;
  readonly write: (samples: readonly TimedSample[]) => void;
  readonly report: (problem: string, error: unknown, about?: object) => void;
}

export interface EvaluationContext {
  readonly timeMs: number;
  readonly limit: number;
  readonly signal: AbortSignal;
}

/** Chosen: evaluations that ask how things stood before. */
const RESTORE_TRIES_MAX = 3;

/** One rule of a group as it is evaluated again and again. What it has come to stays if an evaluation fails. */
export class RuleRunner {
  readonly rule: Rule;
  readonly #groupLabels: NamedTexts;
  readonly #deps: RuleRunnerDeps;
  /** At the first evaluation: templates of all groups that a node takes up would hold up the event loop. */
  #compiled: CompiledAlertingRule | undefined;
  #alerts: Alerts = new Map();
  /** What was active before this node evaluated the rule is asked for until there is an answer. */
  #isRestored: boolean;
  #restoreTries = 0;
  #series: ReadonlyMap<string, readonly string[]> = new Map();
  #health: RuleStatus['health'] = 'unknown';
  #lastError = '';
  #lastEvaluationMs = 0;
  #evaluationMs = 0;

  constructor(rule: Rule, groupLabels: NamedTexts, deps: RuleRunnerDeps) {
    this.rule = rule;
    this.#groupLabels = groupLabels;
    this.#deps = deps;
    this.#isRestored = rule.forMs === 0;
  }

  /** Rules that are this one, but for what may change without another history: by their name and labels, as Prometheus has it. */
  get identity(): string {
    return JSON.stringify([isAlerting(this.rule), ruleName(this.rule), Object.entries(this.rule.labels).sort()]);
  }

  /** Goes on where another one of the same identity was. */
  takeOver(before: RuleRunner): void {
    this.#alerts = before.#alerts;
    this.#isRestored ||= before.#isRestored;
    this.#series = before.#series;
    this.#health = before.#health;
    this.#lastError = before.#lastError;
    this.#lastEvaluationMs = before.#lastEvaluationMs;
    this.#evaluationMs = before.#evaluationMs;
  }

  get status(): RuleStatus {
    const active = [...this.#alerts.values()].filter(({ state }) => state !== 'inactive');
    return {
      rule: { ...this.rule, labels: { ...this.#groupLabels, ...this.rule.labels } },
      health: this.#health,
      lastError: this.#lastError,
      lastEvaluationMs: this.#lastEvaluationMs,
      evaluationMs: this.#evaluationMs,
      // Numbers such as infinity have no JSON.
      alerts: active.map(({ value, ...alert }) => ({ ...alert, value: String(value) })),
    };
  }

  /** False if it failed. Where the signal ends it, nothing has changed. */
  async evaluate(context: EvaluationContext): Promise<boolean> {
    const { clock } = this.#deps;
    const startMs = clock.monotonicMs();
    let error: string | undefined;
    try {
      await this.#evaluate(context);
    } catch (failure) {
      error = failure instanceof Error ? failure.message : String(failure);
    }
    if (context.signal.aborted) return true;
    this.#lastEvaluationMs = context.timeMs;
    this.#evaluationMs = clock.monotonicMs() - startMs;
    this.#health = error === undefined ? 'ok' : 'err';
    this.#lastError = error ?? '';
    return error === undefined;
  }

  /** It is evaluated nowhere any more: its series end. */
  retire(timeMs: number): void {
    this.#deps.write(staleMarkers(this.#series, new Map(), timeMs));
    this.#series = new Map();
  }

  async #evaluate({ timeMs, limit, signal }: EvaluationContext): Promise<void> {
    const { query } = this.#deps;
    const samples = await query(this.rule.expr, timeMs, signal);
    if (!isAlerting(this.rule)) {
      this.#write(recordedSamples(this.rule, this.#groupLabels, samples, limit), timeMs);
      return;
    }
    if (!this.#compiled) {
      while (!this.#deps.turns.hasTime()) await this.#deps.turns.nextTurn();
      this.#compiled = compileAlertingRule(this.rule, this.#groupLabels);
    }
    const compiled = this.#compiled;
    const made = await this.#made(compiled, samples, signal);
    const { isDone, activeSinceMs } = await this.#restore(compiled, samples, timeMs, signal);
    signal.throwIfAborted();
    const { resendDelayMs, alert } = this.#deps;
    const before = activeSinceMs ? withStarts(this.#alerts, activeSinceMs) : this.#alerts;
    const alerts = stepAlerts(this.rule, before, { samples: made, nowMs: timeMs, limit, activeSinceMs });
    const told = alertsToSend(alerts, timeMs, resendDelayMs);
    this.#alerts = told.alerts;
    this.#isRestored = isDone;
    if (told.due.length > 0) alert(this.rule.expr, told.due);
    this.#write(alertSamples(alerts), timeMs);
  }

  /**
   * A node that is new to the rule asks how things stood `for` ago: who was active then, and is now, has been so since then. Without an answer alerts go on from now, and the
   * next evaluation asks again.
   */
  async #restore(
    compiled: CompiledAlertingRule,
    samples: readonly Sample[],
    timeMs: number,
    signal: AbortSignal,
  ): Promise<{ readonly isDone: boolean; readonly activeSinceMs?: ReadonlyMap<string, number> }> {
    if (this.#isRestored || samples.length === 0) return { isDone: true };
    const thenMs = timeMs - this.rule.forMs;
    try {
      const then = await this.#made(compiled, await this.#deps.query(this.rule.expr, thenMs, signal), signal);
      return { isDone: true, activeSinceMs: new Map(then.map(({ labels }) => [labelKey(labels), thenMs])) };
    } catch (error) {
      signal.throwIfAborted();
      this.#restoreTries += 1;
      this.#deps.report('since when alerts are active cannot be known: they count from now', error, {
        rule: ruleName(this.rule),
      });
      return { isDone: this.#restoreTries >= RESTORE_TRIES_MAX };
    }
  }

  /** In slices of the event loop: texts of 500 alerts may take seconds. */
  async #made(
    compiled: CompiledAlertingRule,
    samples: readonly Sample[],
    signal: AbortSignal,
  ): Promise<readonly AlertSample[]> {
    const { turns, surroundings } = this.#deps;
    const made: AlertSample[] = [];
    for (const sample of samples) {
      while (!turns.hasTime()) await turns.nextTurn();
      signal.throwIfAborted();
      made.push(alertSample(compiled, sample, surroundings));
    }
    return made;
  }

  #write(samples: readonly Sample[], timeMs: number): void {
    const series = new Map(samples.map(({ labels }) => [labelKey(labels), labels]));
    this.#deps.write([...timed(samples, timeMs), ...staleMarkers(this.#series, series, timeMs)]);
    this.#series = series;
  }
}

/** Those that are pending have been active for longer, where that is known by now. */
const withStarts = (alerts: Alerts, sinceMs: ReadonlyMap<string, number>): Alerts =>
  new Map(
    [...alerts].map(([key, alert]) => {
      const activeAtMs = alert.state === 'pending' ? sinceMs.get(key) : undefined;
      return [key, activeAtMs === undefined ? alert : { ...alert, activeAtMs: Math.min(activeAtMs, alert.activeAtMs) }];
    }),
  );
