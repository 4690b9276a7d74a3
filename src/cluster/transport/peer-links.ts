import type { Clock } from '../../protocol/clock.ts';
import { type Link, SilentLinkError } from './link.ts';
import { DEADLINE_MS_MAX, type LinkOptions } from './link-options.ts';
import { type CallOptions, type PeerAddress, PeerError } from './peers.ts';

interface Waiter {
  resolve(link: Link): void;
  reject(error: PeerError): void;
}

export interface PeerLinksDeps {
  readonly clock: Clock;
  readonly options: LinkOptions;
  /** Starts one attempt; its end is told by `linked` or `connectFailed`. */
  connect(to: PeerAddress): void;
}

/**
 * The links to one process. One of them is asked; another may be ending.
 *
 * When both sides open one at the same time, both keep the one that the lower nodeId opened, and the other retires: what is under way on
 * it ends there, so nothing is lost.
 */
export class PeerLinks {
  #to: PeerAddress;
  readonly #selfId: string;
  readonly #deps: PeerLinksDeps;
  readonly #links = new Set<Link>();
  readonly #waiters = new Set<Waiter>();
  #current: Link | undefined;
  #isConnecting = false;
  #failures = 0;
  #lastError: Error | undefined;
  #wantedMs = Number.NEGATIVE_INFINITY;
  #stopBackoff: (() => void) | undefined;
  #isClosed = false;
  hadLink = false;

  constructor(to: PeerAddress, selfId: string, deps: PeerLinksDeps) {
    this.#to = to;
    this.#selfId = selfId;
    this.#deps = deps;
  }

  get address(): PeerAddress {
    return this.#to;
  }

  get links(): ReadonlySet<Link> {
    return this.#links;
  }

  /** Nothing to remember: it may be thrown away. */
  get isForgettable(): boolean {
    return !this.hadLink && this.#links.size === 0 && !this.#isConnecting && this.#stopBackoff === undefined;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** The link to ask, if there is one. */
  openLink(): Link | undefined {
    this.#wantedMs = this.#deps.clock.monotonicMs();
    return this.#current;
  }

  /**
   * Waits for at most the first attempt to connect: once that failed, calls fail at once, until an attempt of ours in the background or
   * one of theirs succeeds.
   * @throws PeerError UNREACHABLE
   */
  whenOpen(to: PeerAddress, { deadlineMs, signal }: CallOptions): Promise<Link> {
    this.#wantedMs = this.#deps.clock.monotonicMs();
    if (this.#current) return Promise.resolve(this.#current);
    if (this.#isClosed) return Promise.reject(this.#unreachable('it was closed here'));
    if (this.#failures > 0) return Promise.reject(this.#unreachable('it was tried just now'));
    this.#to = to;
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        this.#waiters.delete(waiter);
        stopTimer();
        signal?.removeEventListener('abort', giveUp);
      };
      const waiter: Waiter = {
        resolve: (link) => {
          settle();
          resolve(link);
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      };
      const giveUp = (): void => waiter.reject(this.#unreachable('the caller gave up'));
      const stopTimer = this.#deps.clock.after(Math.min(DEADLINE_MS_MAX, deadlineMs), () =>
        waiter.reject(this.#unreachable(`no link within ${deadlineMs} ms`)),
      );
      signal?.addEventListener('abort', giveUp, { once: true });
      this.#waiters.add(waiter);
      this.#connect();
    });
  }

  /** A link of theirs or ours is up. */
  linked(link: Link): void {
    if (link.isOpener) this.#isConnecting = false;
    this.#failures = 0;
    this.#stopBackoff?.();
    this.#stopBackoff = undefined;
    this.#links.add(link);
    this.hadLink = true;
    const other = this.#current;
    const isKept = !other || this.#isPreferred(link, other);
    if (isKept) this.#current = link;
    for (const { resolve } of [...this.#waiters]) resolve(isKept ? link : other);
    if (isKept) other?.retire();
    else link.retire();
  }

  connectFailed(error: Error): void {
    this.#isConnecting = false;
    this.#lastError = error;
    if (!this.#current) this.#failed();
  }

  retired(link: Link): void {
    if (this.#current === link) this.#current = undefined;
  }

  closed(link: Link, error: Error | undefined): void {
    this.#links.delete(link);
    if (this.#current !== link) return;
    this.#current = undefined;
    this.#lastError = error;
    // A new attempt is likely to hang as well: calls shall not wait for it.
    if (error instanceof SilentLinkError) this.#failed();
  }

  /** Opens no more, and lets what is under way end. */
  close(reason: string): void {
    this.#isClosed = true;
    this.#stopBackoff?.();
    this.#stopBackoff = undefined;
    for (const { reject } of [...this.#waiters]) reject(this.#unreachable(reason));
    for (const link of [...this.#links]) link.retire();
  }

  /** Cuts what there is. */
  break(error: Error): void {
    this.close(error.message);
    for (const link of [...this.#links]) link.break(error);
  }

  #isPreferred(link: Link, other: Link): boolean {
    // Not opened at the same time: the other side opened this one, so it does not ask over the older any more.
    if (link.isOpener === other.isOpener || other.ageMs > this.#deps.options.connectTimeoutMs) return true;
    return link.isOpener === this.#selfId < this.#to.nodeId;
  }

  #connect(): void {
    if (this.#isConnecting || this.#isClosed) return;
    this.#isConnecting = true;
    this.#deps.connect(this.#to);
  }

  #failed(): void {
    this.#failures += 1;
    for (const { reject } of [...this.#waiters]) reject(this.#unreachable('no link'));
    const { clock, options } = this.#deps;
    if (this.#isClosed) return;
    if (clock.monotonicMs() - this.#wantedMs > options.wantedMs) {
      this.#failures = 0;
      return;
    }
    const delayMs = Math.min(options.backoffMsMax, options.backoffMsMin * 2 ** (this.#failures - 1));
    this.#stopBackoff?.();
    this.#stopBackoff = clock.after(delayMs, () => {
      this.#stopBackoff = undefined;
      this.#connect();
    });
  }

  #unreachable(why: string): PeerError {
    const cause = this.#lastError;
    const text = `${this.#to.nodeId} (${this.#to.address}) cannot be reached: ${why}${cause ? `: ${cause.message}` : ''}`;
    return new PeerError('UNREACHABLE', text, { cause });
  }
}
