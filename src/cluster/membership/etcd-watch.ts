import type { IKeyValue, IWatchResponse, Range, WatchClient } from 'etcd3';
import type { Clock } from '../../protocol/clock.ts';
import type { KeyEvent, KeyValue, WatchHandlers } from './membership-store.ts';
import { Backoff } from './waiting.ts';

export interface EtcdWatchOptions {
  readonly client: WatchClient;
  readonly clock: Clock;
  readonly random: () => number;
  readonly range: Range;
  readonly from: number;
  readonly handlers: WatchHandlers;
}

type Stream = Awaited<ReturnType<WatchClient['watch']>>;

const RECONNECT_FIRST_MS = 50;
const RECONNECT_LAST_MS = 500;

/**
 * One watch of etcd, over as many streams as it takes. It goes on behind the last revision it told, never behind the one in a reply's
 * header: that is the store's, also while a watch that was behind still gets what it missed, and in the reply that only says the watch is
 * there. The client package's watcher goes by it, so a connection lost at that moment costs it events.
 */
export class EtcdWatch {
  readonly #options: EtcdWatchOptions;
  readonly #backoff: Backoff;
  #nextRevision: number;
  #stream: Stream | undefined;
  #isCancelled = false;

  constructor(options: EtcdWatchOptions) {
    this.#options = options;
    this.#backoff = new Backoff(RECONNECT_FIRST_MS, RECONNECT_LAST_MS, options.random);
    this.#nextRevision = options.from;
    this.#connect();
  }

  cancel(): void {
    this.#isCancelled = true;
    this.#stream?.cancel();
  }

  #connect(): void {
    if (this.#isCancelled) return;
    this.#options.client.watch().then(
      (stream) => this.#use(stream),
      () => this.#connectLater(),
    );
  }

  #use(stream: Stream): void {
    if (this.#isCancelled) {
      stream.on('error', () => undefined);
      stream.cancel();
      return;
    }
    this.#stream = stream;
    let isOver = false;
    const over = (): void => {
      if (isOver) return;
      isOver = true;
      stream.cancel();
      this.#connectLater();
    };
    stream.on('data', (response: IWatchResponse) => {
      if (isOver || this.#isCancelled) return;
      if (response.canceled) {
        isOver = true;
        this.#refused(response, stream);
      } else this.#receive(response);
    });
    stream.on('error', over);
    stream.on('end', over);
    const { start, end } = this.#options.range;
    stream.write({
      create_request: { key: start, range_end: end, start_revision: this.#nextRevision, progress_notify: true },
    });
  }

  /** Compacted, or what we asked for makes no sense to etcd: the caller reads anew. */
  #refused(response: IWatchResponse, stream: Stream): void {
    stream.cancel();
    if (Number(response.compact_revision) === 0 && isPassing(response.cancel_reason)) {
      this.#connectLater();
      return;
    }
    this.#isCancelled = true;
    this.#options.handlers.onReset();
  }

  #receive(response: IWatchResponse): void {
    if (response.created) return;
    this.#backoff.reset();
    if (response.events.length === 0) {
      // A progress notice; etcd sends it only to a watch that is not behind.
      const revision = Number(response.header.revision);
      this.#nextRevision = Math.max(this.#nextRevision, revision + 1);
      this.#options.handlers.onProgress(revision);
      return;
    }
    const byRevision = new Map<number, KeyEvent[]>();
    for (const { type, kv } of response.events) {
      const revision = Number(kv.mod_revision);
      const event: KeyEvent =
        type === 'Delete' ? { type: 'delete', key: kv.key.toString() } : { type: 'put', entry: keyValueOf(kv) };
      const events = byRevision.get(revision);
      if (events) events.push(event);
      else byRevision.set(revision, [event]);
    }
    for (const [revision, events] of byRevision) {
      // Told before, if etcd repeats itself after a reconnect.
      if (revision < this.#nextRevision || this.#isCancelled) continue;
      this.#nextRevision = revision + 1;
      this.#options.handlers.onEvents(revision, events);
    }
  }

  #connectLater(): void {
    this.#stream = undefined;
    if (!this.#isCancelled) this.#options.clock.after(this.#backoff.nextMs(), () => this.#connect());
  }
}

/** A server that lost its leader, or stops, ends watches too; they go on elsewhere. */
const isPassing = (reason: string): boolean => reason.includes('no leader') || reason.includes('server stopped');

export const keyValueOf = (entry: IKeyValue): KeyValue => ({
  key: entry.key.toString(),
  value: entry.value.toString(),
  createRevision: Number(entry.create_revision),
  modRevision: Number(entry.mod_revision),
  ...(entry.lease !== '0' && { lease: entry.lease }),
});
