import type { Clock } from '../protocol/clock.ts';
import { RetryBudget, type RetryRule } from '../storage/retry-budget.ts';

export interface DeliveryOptions<Item> {
  /** Items of a lane that may wait. Beyond it the oldest go: newer ones say more. */
  readonly waitingMax: number;
  /** Items sent together. */
  readonly batchMax: number;
  /** All tries of a batch and the pauses between them, in ms. */
  readonly totalMs: number;
  readonly retries: RetryRule;
  /** One try. `again`: it failed, and may not the next time. @throws never */
  readonly deliver: (lane: string, items: readonly Item[], signal: AbortSignal) => Promise<Delivery>;
}

export type Delivery = 'delivered' | 'refused' | 'again';

export interface DeliveryFigures {
  readonly waiting: number;
  readonly delivered: number;
  readonly retried: number;
  /** Refused, or all tries failed. */
  readonly failed: number;
  /** No room. */
  readonly dropped: number;
}

interface Lane<Item> {
  items: Item[];
  inFlight: number;
}

/** Sends items to receivers that may be slow or away: in order within a lane, and no lane waits for another. Everything is bounded: room, tries, time. */
export class DeliveryQueue<Item> {
  readonly #options: DeliveryOptions<Item>;
  readonly #clock: Clock;
  readonly #chance: () => number;
  readonly #lanes = new Map<string, Lane<Item>>();
  readonly #running = new Set<Promise<void>>();
  readonly #abort = new AbortController();
  #figures = { delivered: 0, retried: 0, failed: 0, dropped: 0 };

  constructor(
    options: DeliveryOptions<Item>,
    { clock, chance }: { readonly clock: Clock; readonly chance: () => number },
  ) {
    this.#options = options;
    this.#clock = clock;
    this.#chance = chance;
  }

  get figures(): DeliveryFigures {
    let waiting = 0;
    for (const { items, inFlight } of this.#lanes.values()) waiting += items.length + inFlight;
    return { ...this.#figures, waiting };
  }

  add(lane: string, items: readonly Item[]): void {
    if (items.length === 0 || this.#abort.signal.aborted) return;
    const known = this.#lanes.get(lane);
    const waiting: Item[] = known?.items ?? [];
    for (const item of items) waiting.push(item);
    const surplus = waiting.length - this.#options.waitingMax;
    if (surplus > 0) {
      waiting.splice(0, surplus);
      this.#figures.dropped += surplus;
    }
    if (known) return;
    const opened = { items: waiting, inFlight: 0 };
    this.#lanes.set(lane, opened);
    const running = this.#run(lane, opened).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** Lets what waits go out until the deadline, then drops it. */
  async close(deadlineMs: number): Promise<void> {
    const cancel = this.#clock.after(deadlineMs, () => this.#abort.abort(new Error('the node stops')));
    await Promise.all(this.#running);
    cancel();
    this.#abort.abort(new Error('the node has stopped'));
  }

  async #run(name: string, lane: Lane<Item>): Promise<void> {
    while (lane.items.length > 0) {
      const batch = lane.items.splice(0, this.#options.batchMax);
      lane.inFlight = batch.length;
      const isDelivered = !this.#abort.signal.aborted && (await this.#deliver(name, batch));
      lane.inFlight = 0;
      this.#figures[isDelivered ? 'delivered' : 'failed'] += batch.length;
    }
    this.#lanes.delete(name);
  }

  async #deliver(lane: string, batch: readonly Item[]): Promise<boolean> {
    const { totalMs, retries, deliver } = this.#options;
    const { signal } = this.#abort;
    const retried = (): void => {
      this.#figures.retried += batch.length;
    };
    const budget = new RetryBudget({ clock: this.#clock, chance: this.#chance, retried }, totalMs, retries);
    for (;;) {
      const outcome = await deliver(lane, batch, signal);
      if (outcome !== 'again') return outcome === 'delivered';
      if (!(await budget.wait(signal))) return false;
    }
  }
}
