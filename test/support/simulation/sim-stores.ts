/** The outside of a process in a simulation: its disk, the stores and the membership store as it reaches them. */
import { MembershipError } from '../../../src/cluster/membership/membership-error.ts';
import type { MembershipStore, WatchHandlers } from '../../../src/cluster/membership/membership-store.ts';
import type { LogFile, LogFiles } from '../../../src/log/log-files.ts';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import type { ChunkStore } from '../../../src/storage/chunk-store.ts';
import type { IndexStore, SegmentName } from '../../../src/storage/index-store.ts';
import { MemoryChunkStore } from '../stores/memory-chunk-store.ts';
import { MemoryIndexStore } from '../stores/memory-index-store.ts';
import type { ProcessClock } from './virtual-time.ts';

export type StoreFault = 'refuse' | 'hang' | 'lose-answer';

/** A store that all nodes share, and what goes wrong with it now. */
export class SimStore {
  readonly #chance: () => number;
  fault: StoreFault | undefined;
  /** Of calls that the fault strikes. */
  share = 1;

  constructor(chance: () => number) {
    this.#chance = chance;
  }

  heal(): void {
    this.fault = undefined;
  }

  async call<Result>(clock: ProcessClock, isWrite: boolean, work: () => Promise<Result>): Promise<Result> {
    const fault = this.#chance() < this.share ? this.fault : undefined;
    const delayMs = 1 + this.#chance() * 5;
    return await clock.later(delayMs, async () => {
      if (fault === 'refuse') throw unavailable();
      // For as long as anybody waits.
      if (fault === 'hang' && !isWrite) throw unavailable();
      const result = await work();
      if (fault === 'hang') return await clock.later(3_000 + this.#chance() * 10_000, async () => result);
      if (fault === 'lose-answer' && isWrite) throw unavailable();
      return result;
    });
  }
}

const unavailable = (): RefusedError => new RefusedError({ code: 'STORAGE_UNAVAILABLE', text: 'outage' });

export class SharedStores {
  readonly chunks = new MemoryChunkStore();
  readonly index = new MemoryIndexStore();
  readonly chunkStore: SimStore;
  readonly indexStore: SimStore;
  /** Where each segment was ever committed: never in two. */
  readonly chunkOfSegment = new Map<SegmentName, string>();
  readonly broken: string[] = [];

  constructor(chance: () => number, nowMs: () => number) {
    this.chunkStore = new SimStore(chance);
    this.indexStore = new SimStore(chance);
    this.index.nowMs = nowMs;
  }

  chunksFor(clock: ProcessClock): ChunkStore {
    const { chunks, chunkStore: store } = this;
    return {
      put: (key, bytes) => store.call(clock, true, () => chunks.put(key, bytes)),
      get: (key) => store.call(clock, false, () => chunks.get(key)),
      getRange: (key, range, version) => store.call(clock, false, () => chunks.getRange(key, range, version)),
      state: (key) => store.call(clock, false, () => chunks.state(key)),
      delete: (key) => store.call(clock, true, () => chunks.delete(key)),
      list: (prefix) => chunks.list(prefix),
      close: async () => undefined,
    };
  }

  indexFor(clock: ProcessClock): IndexStore {
    const { index, indexStore: store } = this;
    return {
      write: (entries) => store.call(clock, true, () => index.write(entries)),
      commit: (segments, key, entries, shared) =>
        store.call(clock, true, async () => {
          const before = await index.commit(segments, key, entries, shared);
          if (before.size === 0) for (const segment of segments) this.#committed(segment, key);
          return before;
        }),
      committed: (segment) => store.call(clock, false, () => index.committed(segment)),
      commits: () => index.commits(),
      forget: (segments) => store.call(clock, true, () => index.forget(segments)),
      unsettled: (keys) => store.call(clock, false, () => index.unsettled(keys)),
      delete: (entries) => store.call(clock, true, () => index.delete(entries)),
      scan: async (lookups, visit) => {
        await store.call(clock, false, async () => undefined);
        await index.scan(lookups, visit);
      },
      rows: (table, rangeEnd) => index.rows(table, rangeEnd),
      tables: () => store.call(clock, false, () => index.tables()),
      close: async () => undefined,
    };
  }

  heal(): void {
    this.chunkStore.heal();
    this.indexStore.heal();
  }

  /** I4. */
  #committed(segment: SegmentName, key: string): void {
    const known = this.chunkOfSegment.get(segment);
    if (known !== undefined) this.broken.push(`I4: segment ${segment} is in ${known} and in ${key}`);
    this.chunkOfSegment.set(segment, key);
  }
}

/** A process's way to the membership store. */
export class SimMembership implements MembershipStore {
  readonly #clock: ProcessClock;
  readonly #store: MembershipStore;
  readonly #chance: () => number;
  readonly #faults: MembershipFaults;
  readonly #ttlMs: number;
  readonly #marginMs: number;
  /** As the sender of keep-alives counts it: nothing may be acknowledged after it. */
  fenceMs = Number.NEGATIVE_INFINITY;

  constructor(
    clock: ProcessClock,
    store: MembershipStore,
    chance: () => number,
    faults: MembershipFaults,
    lease: { readonly ttlMs: number; readonly marginMs: number },
  ) {
    this.#clock = clock;
    this.#store = store;
    this.#chance = chance;
    this.#faults = faults;
    this.#ttlMs = lease.ttlMs;
    this.#marginMs = lease.marginMs;
  }

  range(prefix: string, deadlineMs: number) {
    return this.#call(deadlineMs, () => this.#store.range(prefix, deadlineMs));
  }

  transaction(...[guards, operations, deadlineMs]: Parameters<MembershipStore['transaction']>) {
    return this.#call(deadlineMs, () => this.#store.transaction(guards, operations, deadlineMs));
  }

  async grant(ttlMs: number, deadlineMs: number) {
    const sentMs = this.#clock.monotonicMs();
    const lease = await this.#call(deadlineMs, () => this.#store.grant(ttlMs, deadlineMs));
    this.fenceMs = sentMs + this.#ttlMs - this.#marginMs;
    return lease;
  }

  async keepAlive(lease: string, deadlineMs: number) {
    const sentMs = this.#clock.monotonicMs();
    const reply = await this.#call(deadlineMs, () => this.#store.keepAlive(lease, deadlineMs));
    this.fenceMs = Math.max(this.fenceMs, sentMs + this.#ttlMs - this.#marginMs);
    return reply;
  }

  revoke(lease: string, deadlineMs: number) {
    return this.#call(deadlineMs, () => this.#store.revoke(lease, deadlineMs));
  }

  watch(prefix: string, from: number, handlers: WatchHandlers): () => void {
    let isOver = false;
    let lastMs = 0;
    // In order, however late: whichever of their timers fires brings the oldest.
    const waiting: (() => void)[] = [];
    const arrive = (): void => {
      if (isOver) return;
      if (this.#faults.isAway) this.#clock.after(100, arrive);
      else waiting.shift()?.();
    };
    const isSilent = this.#faults.silentWatchShare > 0 && this.#chance() < this.#faults.silentWatchShare;
    let hasMissed = false;
    const later = (tell: () => void): void => {
      hasMissed ||= isSilent && this.#faults.silentWatchShare > 0;
      // For good: a watch may fall silent, but none may leave out an event and go on with later ones (WatchHandlers).
      if (hasMissed) return;
      const nowMs = this.#clock.monotonicMs();
      lastMs = Math.max(lastMs, nowMs + 0.5 + this.#chance() * this.#faults.watchLagMs);
      waiting.push(tell);
      this.#clock.after(lastMs - nowMs, arrive);
    };
    const cancel = this.#store.watch(prefix, from, {
      onEvents: (revision, events) => later(() => handlers.onEvents(revision, events)),
      onProgress: (revision) => later(() => handlers.onProgress(revision)),
      onReset: () => later(() => handlers.onReset()),
    });
    return () => {
      isOver = true;
      cancel();
    };
  }

  async close(): Promise<void> {}

  #call<Result>(deadlineMs: number, work: () => Promise<Result>): Promise<Result> {
    const faults = this.#faults;
    const clock = this.#clock;
    const isLost = this.#chance() < faults.lossShare;
    const isAnswerLost = this.#chance() < faults.lossShare;
    const [there, back] = [0.5 + this.#chance() * 3, this.#chance() * 3];
    return new Promise((resolve, reject) => {
      const late = (): void =>
        reject(new MembershipError({ code: 'DEADLINE_EXCEEDED', text: 'no answer of the membership store' }));
      const cancel = clock.after(deadlineMs, late);
      clock.after(there, () => {
        if (faults.isAway || isLost) return;
        const settle = (how: () => void): void => {
          clock.after(back, () => {
            if (faults.isAway || isAnswerLost) return;
            cancel();
            how();
          });
        };
        work().then(
          (result) => settle(() => resolve(result)),
          (error: unknown) => settle(() => reject(error)),
        );
      });
    });
  }
}

export interface MembershipFaults {
  isAway: boolean;
  lossShare: number;
  watchLagMs: number;
  silentWatchShare: number;
}

export const calmMembership = (): MembershipFaults => ({
  isAway: false,
  lossShare: 0,
  watchLagMs: 5,
  silentWatchShare: 0,
});

/** A disk takes its time; a process that is gone hears nothing of it. */
export const slowFiles = (clock: ProcessClock, chance: () => number, inner: LogFiles): LogFiles => {
  const slow = <Result>(work: () => Promise<Result>): Promise<Result> => clock.later(chance() * 2, work);
  const slowFile = (file: LogFile): LogFile => ({
    size: () => file.size(),
    read: (offset, into) => file.read(offset, into),
    write: async (offset, bytes, isSynced) => {
      await slow(() => file.write(offset, bytes, false));
      if (isSynced) await slow(() => file.datasync());
    },
    datasync: () => slow(() => file.datasync()),
    truncate: (size) => slow(() => file.truncate(size)),
    close: () => file.close(),
  });
  return {
    list: () => slow(() => inner.list()),
    open: async (name, mode) => slowFile(await slow(() => inner.open(name, mode))),
    rename: (from, to) => slow(() => inner.rename(from, to)),
    unlink: (name) => slow(() => inner.unlink(name)),
    syncFolder: () => slow(() => inner.syncFolder()),
    space: () => inner.space(),
    close: async () => undefined,
  };
};
