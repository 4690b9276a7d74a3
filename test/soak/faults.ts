/** Kills, stops and outages in a seeded order, until it is over. */
import type { OutageKind, StoreName } from './faulty-stores.ts';
import type { NodeKeeper } from './node-keeper.ts';

export interface FaultOptions {
  /** Between two faults. */
  readonly pauseMsMin: number;
  readonly pauseMsMax: number;
  /** Nothing but kills. */
  readonly isKillsOnly: boolean;
  /** Before a fault: resolves once the node has taken something since its last start, or does not. */
  readonly untilBusy: () => Promise<void>;
}

export interface FaultFigures {
  kills: number;
  /** Kills of a process that was not ready yet. */
  earlyKills: number;
  stops: number;
  /** By store and kind. */
  readonly outages: Map<string, number>;
}

const STOP_SHARE = 0.15;
const OUTAGE_SHARE = 0.45;
const EARLY_KILL_SHARE = 0.2;
const EARLY_KILL_MS = 600;
const OUTAGE_MS_MIN = 300;
const OUTAGE_MS_MAX = 5_000;
const KINDS: readonly OutageKind[] = ['refuse', 'hang', 'lose-answer'];
const STORES: readonly StoreName[] = ['chunks', 'index'];

export class Faults {
  readonly figures: FaultFigures = { kills: 0, earlyKills: 0, stops: 0, outages: new Map() };
  readonly #keeper: NodeKeeper;
  readonly #random: () => number;
  readonly #options: FaultOptions;

  constructor(keeper: NodeKeeper, random: () => number, options: FaultOptions) {
    this.#keeper = keeper;
    this.#random = random;
    this.#options = options;
  }

  get outageCount(): number {
    return [...this.figures.outages.values()].reduce((sum, count) => sum + count, 0);
  }

  /** Leaves a node that runs. */
  async run(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      await this.#options.untilBusy();
      await this.#pause(this.#options.pauseMsMin, this.#options.pauseMsMax);
      if (isOver()) return;
      const chance = this.#options.isKillsOnly ? 1 : this.#random();
      // A short run has one of each kind, too.
      if (chance < STOP_SHARE) await this.#stop();
      else if (chance < STOP_SHARE + OUTAGE_SHARE || (this.outageCount === 0 && this.#keeper.node?.isFaulty))
        this.#outage();
      else await this.#kill();
    }
  }

  async #stop(): Promise<void> {
    this.figures.stops += 1;
    await this.#keeper.stop();
    await this.#keeper.start();
  }

  async #kill(): Promise<void> {
    this.figures.kills += 1;
    await this.#keeper.kill();
    while (this.#random() < EARLY_KILL_SHARE) {
      const started = this.#keeper.start();
      await this.#pause(0, EARLY_KILL_MS);
      this.figures.earlyKills += 1;
      this.figures.kills += 1;
      await this.#keeper.kill();
      await started;
    }
    await this.#keeper.start();
  }

  #outage(): void {
    const store = this.#pick(STORES);
    const kind = this.#pick(KINDS);
    const ms = OUTAGE_MS_MIN + Math.floor(this.#random() * (OUTAGE_MS_MAX - OUTAGE_MS_MIN));
    if (!this.#keeper.outage({ store, kind, ms })) return;
    const name = `${store} ${kind}`;
    this.figures.outages.set(name, (this.figures.outages.get(name) ?? 0) + 1);
  }

  #pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.#random() * from.length)] as T;
  }

  #pause(minMs: number, maxMs: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, minMs + this.#random() * (maxMs - minMs)));
  }
}
