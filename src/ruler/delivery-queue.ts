import type { Clock } from '../protocol/clock.ts';
import { RetryBudget, type RetryRule } from '../storage/retry-budget.ts';

export interface DeliveryOptions<Item> {
  /** Items of a lane that may wait. Beyond it the oldest go: newer ones say more. */
  readonly waitingMax: number;
  /** Items sent together. */
  readonly batchMax: number;
  /** As `bytesOf` counts them; the same goes as with `waitingMax` and `batchMax`, but one item is sent whatever it has. */
  readonly waitingBytesMax: number;
  readonly batchBytesMax: number;
  /** About what an item takes in a request; the same whenever it is asked. */
  readonly bytesOf: (item: Item) => number;
  /** All tries of a batch and the pauses between them, in ms. */
  readonly totalMs: number;
  readonly retries: RetryRule;
  /** One try. `again`: it failed, and may not the next time. What it throws is reported, and the items are refused. */
  readonly deliver: (lane: string, items: readonly Item[], signal: AbortSignal) => Promise<Delivery>;
}

export interface DeliveryDeps {
  readonly clock: Clock;
  readonly chance: () => number;
  readonly report: (problem: string, error: unknown, about?: object) => void;
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
  /** Of `items`. */
  bytes: number;
  inFlight: number;
}

/** Sends items to receivers that may be slow or away: in order within a lane, and no lane waits for another. Everything is bounded: room, tries, time. */
export class DeliveryQueue<Item> {
  readonly #options: DeliveryOptions<Item>;
  readonly #clock: Clock;
  readonly #chance: () => number;
  readonly #report: DeliveryDeps['report'];
  readonly #lanes = new Map<string, Lane<Item>>();
  readonly #running = new Set<Promise<void>>();
  readonly #abort = new AbortController();
  #figures = { delivered: 0, retried: 0, failed: 0, dropped: 0 };

  constructor(options: DeliveryOptions<Item>, { clock, chance, report }: DeliveryDeps) {
    this.#options = options;
    this.#clock = clock;
    this.#chance = chance;
    this.#report = report;
  }

  get figures(): DeliveryFigures {
    let waiting = 0;
    for (const { items, inFlight } of this.#lanes.values()) waiting += items.length + inFlight;
    return { ...this.#figures, waiting };
  }

  add(lane: string, items: readonly Item[]): void {
    if (items.length === 0 || this.#abort.signal.aborted) return;
    const known = this.#lanes.get(lane);
    const opened = known ?? { items: [], bytes: 0, inFlight: 0 };
    for (const item of items) {
      opened.items.push(item);
      opened.bytes += this.#options.bytesOf(item);
    }
    this.#dropSurplus(opened);
    if (known) return;
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

  #dropSurplus(lane: Lane<Item>): void {
    const { waitingMax, waitingBytesMax, bytesOf } = this.#options;
    let surplus = 0;
    for (const item of lane.items) {
      if (lane.items.length - surplus <= waitingMax && lane.bytes <= waitingBytesMax) break;
      lane.bytes -= bytesOf(item);
      surplus++;
    }
    lane.items.splice(0, surplus);
    this.#figures.dropped += surplus;
  }

  #takeBatch(lane: Lane<Item>): readonly Item[] {
    const { batchMax, batchBytesMax, bytesOf } = this.#options;
    let count = 0;
    let bytes = 0;
    for (const item of lane.items) {
      const next = bytes + bytesOf(item);
      if (count === batchMax || (count > 0 && next > batchBytesMax)) break;
      bytes = next;
      count++;
    }
    lane.bytes -= bytes;
    return lane.items.splice(0, count);
  }

  async #run(name: string, lane: Lane<Item>): Promise<void> {
    try {
      while (lane.items.length > 0) {
        const batch = this.#takeBatch(lane);
        lane.inFlight = batch.length;
        const isDelivered = !this.#abort.signal.aborted && (await this.#delivered(name, batch));
        lane.inFlight = 0;
        this.#figures[isDelivered ? 'delivered' : 'failed'] += batch.length;
      }
    } finally {
      this.#lanes.delete(name);
    }
  }

  /** An error that left here would end the process: nobody waits for a lane. */
  async #delivered(lane: string, batch: readonly Item[]): Promise<boolean> {
    try {
      return await this.#deliver(lane, batch);
    } catch (error) {
      this.#report('alerts or samples cannot be sent', error, { tenant: lane, count: batch.length });
      return false;
    }
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
