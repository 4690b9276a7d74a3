import type { View } from '../view.ts';
import { MemberKeys } from './member-keys.ts';
import { isUnknownOutcome, MembershipError, textOf } from './membership-error.ts';
import type { MembershipSettings } from './membership-options.ts';
import { ViewState } from './view-state.ts';
import { Backoff, delay, Shared, withDeadline } from './waiting.ts';

const RETRY_FIRST_MS = 50;
const RETRY_LAST_MS = 1_000;

/** Keeps the view by a watch, and reads it anew when asked to or when the watch lost something. */
export class ViewReader {
  readonly keys: MemberKeys;
  readonly #settings: MembershipSettings;
  readonly #state: ViewState;
  readonly #listeners = new Set<(view: View) => void>();
  readonly #reading: Shared<boolean>;
  #cancelWatch: (() => void) | undefined;
  #cancelLater: (() => void) | undefined;
  #cancelSilentCheck: (() => void) | undefined;
  #isStopped = false;

  constructor(settings: MembershipSettings) {
    this.keys = new MemberKeys(settings.cluster);
    this.#settings = settings;
    this.#state = new ViewState(this.keys);
    this.#reading = new Shared(() => this.#read());
  }

  get view(): View {
    return this.#state.view;
  }

  get knownThrough(): number {
    return this.#state.knownThrough;
  }

  onChange(listener: (view: View) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The first reading, and the watch behind it. @throws MembershipError DEADLINE_EXCEEDED */
  async start(deadlineMs: number): Promise<void> {
    await this.fresh(deadlineMs);
    this.#watch();
  }

  /** @throws MembershipError DEADLINE_EXCEEDED */
  async fresh(deadlineMs: number): Promise<View> {
    await this.#readWithin(deadlineMs);
    return this.view;
  }

  /** @throws MembershipError DEADLINE_EXCEEDED, UNAVAILABLE if the store has not come so far itself */
  async catchUp(revision: number, deadlineMs: number): Promise<View> {
    if (this.knownThrough >= revision) return this.view;
    await this.#readWithin(deadlineMs);
    if (this.knownThrough >= revision) return this.view;
    const text = `revision ${revision} lies ahead of the membership store's ${this.knownThrough}`;
    throw new MembershipError({ code: 'UNAVAILABLE', text });
  }

  /**
   * The store has come to `revision`, as a keep-alive says. That proves nothing about what the watch missed: if it is still behind some time
   * later, the range tells.
   */
  expect(revision: number): void {
    if (revision <= this.knownThrough || this.#cancelSilentCheck || this.#isStopped) return;
    this.#cancelSilentCheck = this.#settings.clock.after(this.#settings.watchSilentMs, () => {
      this.#cancelSilentCheck = undefined;
      if (revision <= this.knownThrough || this.#isStopped) return;
      this.#reading.run().then(
        (isNews) => {
          // Others may use the store too: only what was missed speaks against the watch.
          if (!isNews || this.#isStopped) return;
          this.#settings.onProblem('the watch of the membership store fell silent; it is made anew');
          this.#watch();
        },
        // The next keep-alive asks again.
        () => undefined,
      );
    });
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancelWatch?.();
    this.#cancelLater?.();
    this.#cancelSilentCheck?.();
    this.#listeners.clear();
  }

  async #read(): Promise<boolean> {
    const { store, callDeadlineMs } = this.#settings;
    const before = this.knownThrough;
    const reply = await store.range(this.keys.prefix, callDeadlineMs);
    if (reply.revision < before) {
      // Emptied, or another one: what it has says nothing about what was known.
      const text = `the membership store is at revision ${reply.revision}, and was at ${before}`;
      throw new MembershipError({ code: 'UNAVAILABLE', text });
    }
    const isNews = this.#state.applyRange(reply);
    if (isNews) this.#tell();
    return isNews;
  }

  #readWithin(deadlineMs: number): Promise<void> {
    const { clock, random } = this.#settings;
    const endMs = clock.monotonicMs() + deadlineMs;
    const backoff = new Backoff(RETRY_FIRST_MS, RETRY_LAST_MS, random);
    const read = async (): Promise<void> => {
      for (;;) {
        try {
          await this.#reading.run();
          return;
        } catch (error) {
          if (!isUnknownOutcome(error) || clock.monotonicMs() >= endMs || this.#isStopped) throw error;
        }
        await delay(clock, backoff.nextMs());
      }
    };
    return withDeadline(clock, deadlineMs, 'the view', read());
  }

  #watch(): void {
    this.#cancelWatch?.();
    if (this.#isStopped) return;
    this.#cancelWatch = this.#settings.store.watch(this.keys.prefix, this.knownThrough + 1, {
      onEvents: (revision, events) => {
        if (this.#state.applyEvents(revision, events)) this.#tell();
      },
      onProgress: (revision) => this.#state.applyProgress(revision),
      onReset: () => this.#startOver(new Backoff(RETRY_FIRST_MS, RETRY_LAST_MS, this.#settings.random)),
    });
  }

  #startOver(backoff: Backoff): void {
    if (this.#isStopped) return;
    this.#reading.run().then(
      () => this.#watch(),
      () => {
        this.#cancelLater = this.#settings.clock.after(backoff.nextMs(), () => this.#startOver(backoff));
      },
    );
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(this.view);
      } catch (error) {
        this.#settings.onProblem(`a listener of the view failed: ${textOf(error)}`);
      }
    }
  }
}
