import { type Ref, start, stop } from 'nact';
import type { Clock } from '../protocol/clock.ts';
import { TurnBudget } from '../protocol/turn-budget.ts';
import { GroupRunner, type GroupRunnerDeps } from './group-runner.ts';
import { type GroupId, groupKey, isAlerting, type StoredGroup } from './rule-group.ts';
import type { GroupStatus } from './rule-status.ts';
import type { RuleStore } from './rule-store.ts';
import type { RulerFigures } from './ruler-figures.ts';

export interface RulerOptions {
  readonly pollMs: number;
  readonly defaultIntervalMs: number;
  /** Tenants whose rules are evaluated: all, unless some are named. */
  readonly enabledTenants: readonly string[];
  readonly disabledTenants: readonly string[];
}

export interface RulerDeps extends Pick<GroupRunnerDeps, 'ofRule' | 'evaluated' | 'report'> {
  readonly clock: Clock;
  readonly store: Pick<RuleStore, 'groups'>;
  /** Whether this node evaluates the group, as the ring is now. */
  readonly isHere: (group: GroupId) => boolean;
  /** Whether samples of recording rules go anywhere. */
  readonly writesSamples: boolean;
  readonly info: (fields: object, text: string) => void;
}

/** Chosen, as Loki's: how soon a node takes up what the ring gives it. */
const RING_MS = 5_000;
/** Chosen: hints that come together cost one look. */
const HINT_MS = 100;
/** Of each turn of the event loop, to begin and end groups. Chosen: there may be 10,000. */
const FOLLOW_MS = 2;

/** Knows all groups there are, and runs those that are this node's. */
export class Ruler {
  readonly #options: RulerOptions;
  readonly #deps: RulerDeps;
  readonly #system: Ref<never> = start() as Ref<never>;
  readonly #runners = new Map<string, GroupRunner>();
  readonly #stopping = new Set<Promise<void>>();
  #known: readonly StoredGroup[] = [];
  #cancelPoll: () => void = () => undefined;
  #cancelRing: () => void = () => undefined;
  readonly #turns: TurnBudget;
  #isLooking = false;
  #isFollowing = false;
  /** Groups or the ring have changed since it began to follow them. */
  #followsAgain = false;
  /** A look begins soon, or once the one that is under way has ended. */
  #isHinted = false;
  #stopped: Promise<void> | undefined;
  #phase: 'new' | 'running' | 'stopped' = 'new';

  constructor(options: RulerOptions, deps: RulerDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#turns = new TurnBudget(deps.clock, FOLLOW_MS);
  }

  start(): void {
    if (this.#phase !== 'new') return;
    this.#phase = 'running';
    this.#watchRing();
    void this.#poll();
  }

  /** Resolves when no evaluation is under way, however often it is called. */
  stop(): Promise<void> {
    this.#stopped ??= this.#end();
    return this.#stopped;
  }

  async #end(): Promise<void> {
    this.#phase = 'stopped';
    this.#cancelPoll();
    this.#cancelRing();
    for (const key of [...this.#runners.keys()]) this.#drop(key, false);
    // A look at the store that is under way comes to nothing.
    await Promise.all(this.#stopping);
    stop(this.#system);
  }

  /** Somebody has changed a group: looks soon instead of at the next poll. However many hints come during a look, one look follows it. */
  hint(): void {
    if (this.#phase !== 'running' || this.#isHinted) return;
    this.#isHinted = true;
    if (!this.#isLooking) this.#pollAfter(HINT_MS);
  }

  /** Of the tenant's groups that run here. */
  statuses(tenant: string): readonly GroupStatus[] {
    return [...this.#runners.values()].filter(({ about }) => about.tenant === tenant).map(({ status }) => status);
  }

  get figures(): RulerFigures['groups'] {
    return [...this.#runners.values()].map((runner) => ({
      ...runner.figures,
      tenant: runner.about.tenant,
      namespace: runner.about.namespace,
      name: runner.about.group,
    }));
  }

  #watchRing(): void {
    this.#cancelRing = this.#deps.clock.after(RING_MS, () => {
      void this.#follow();
      this.#watchRing();
    });
  }

  #pollAfter(ms: number): void {
    this.#cancelPoll();
    this.#cancelPoll = this.#deps.clock.after(ms, () => void this.#poll());
  }

  async #poll(): Promise<void> {
    this.#isHinted = false;
    this.#isLooking = true;
    await this.#look();
    this.#isLooking = false;
    if (this.#phase === 'running') this.#pollAfter(this.#isHinted ? HINT_MS : this.#options.pollMs);
  }

  /** What cannot be read now stays as it was known. */
  async #look(): Promise<void> {
    try {
      this.#known = await this.#deps.store.groups();
    } catch (error) {
      if (this.#phase === 'running')
        this.#deps.report('the rules cannot be read: those that were read before hold', error);
      return;
    }
    void this.#follow();
  }

  /** Runs what is here, and nothing else. One pass at a time: what changes during one costs one more. */
  async #follow(): Promise<void> {
    this.#followsAgain = true;
    if (this.#isFollowing) return;
    this.#isFollowing = true;
    while (this.#followsAgain && this.#phase === 'running') {
      this.#followsAgain = false;
      await this.#followKnown();
    }
    this.#isFollowing = false;
  }

  async #followKnown(): Promise<void> {
    const all = new Map(this.#known.map((stored) => [groupKey(stored), stored]));
    for (const key of new Set([...this.#runners.keys(), ...all.keys()])) {
      while (!this.#turns.hasTime()) await this.#turns.nextTurn();
      if (this.#phase !== 'running') return;
      this.#followOne(key, all.get(key));
    }
  }

  #followOne(key: string, stored: StoredGroup | undefined): void {
    const runner = this.#runners.get(key);
    if (!stored || !this.#isMine(stored)) this.#drop(key, stored === undefined);
    else if (!runner) this.#attempt(stored, () => this.#begin(key, stored));
    else if (stored.version !== runner.version) this.#attempt(stored, () => runner.change(stored));
  }

  #isMine(group: StoredGroup): boolean {
    const { enabledTenants, disabledTenants } = this.#options;
    if (enabledTenants.length > 0 && !enabledTenants.includes(group.tenant)) return false;
    return !disabledTenants.includes(group.tenant) && this.#deps.isHere(group);
  }

  #begin(key: string, stored: StoredGroup): void {
    const { clock, ofRule, evaluated, report, isHere, info, writesSamples } = this.#deps;
    const runner = new GroupRunner(stored, {
      clock,
      system: this.#system,
      defaultIntervalMs: this.#options.defaultIntervalMs,
      ofRule,
      isHere: () => isHere(stored),
      evaluated,
      report,
    });
    this.#runners.set(key, runner);
    if (writesSamples || stored.group.rules.every(isAlerting)) return;
    info(runner.about, 'rules are recorded and sent nowhere: ruler.remote_write is not enabled');
  }

  #drop(key: string, isGone: boolean): void {
    const runner = this.#runners.get(key);
    this.#runners.delete(key);
    if (!runner) return;
    const ending = runner.stop(isGone).finally(() => this.#stopping.delete(ending));
    this.#stopping.add(ending);
  }

  /** One group that cannot be run keeps none of the others. */
  #attempt({ tenant, namespace, name }: StoredGroup, work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#deps.report('a group of rules cannot be evaluated', error, { tenant, namespace, group: name });
    }
  }
}
