import { segmentIdOf } from '../chunk/memory-format.ts';
import type { Log } from '../log/log.ts';
import type { Clock } from '../protocol/clock.ts';
import type { IndexStore, SegmentName, StreamSegment } from '../storage/index-store.ts';

export interface CommitTidierDeps {
  readonly clock: Clock;
  readonly index: IndexStore;
  /** Undefined on a node that has none. */
  readonly log: Log | undefined;
  readonly report: (problem: string, error: unknown) => void;
}

/** Chosen: a disk that comes back later than this may store its entries twice, and never shows them twice. */
export const COMMIT_KEPT_MS = 14 * 86_400_000;

/** Chosen: nobody waits for it, and each run reads all commits there are. */
const PERIOD_MS = 3_600_000;

/** Forgotten in one write: index rows of flushes wait no longer than for one of their own. */
const FORGOTTEN_TOGETHER_MAX = 500;

/** Forgets commits of segments that were on two disks once no disk can be expected to have them unflushed. */
export class CommitTidier {
  readonly #deps: CommitTidierDeps;
  #cancel: () => void = () => undefined;
  #isStopped = false;

  constructor(deps: CommitTidierDeps) {
    this.#deps = deps;
    this.#schedule();
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancel();
  }

  async tidy(): Promise<void> {
    const { clock, index } = this.#deps;
    const oldestMs = clock.nowMs() - COMMIT_KEPT_MS;
    let old: StreamSegment[] = [];
    for await (const { stream, segment, committedMs } of index.commits()) {
      if (committedMs >= oldestMs || this.#isNeededHere(segment)) continue;
      old.push({ stream, segment });
      if (old.length < FORGOTTEN_TOGETHER_MAX) continue;
      if (this.#isStopped) return;
      await index.forget(old);
      old = [];
    }
    if (old.length > 0 && !this.#isStopped) await index.forget(old);
  }

  /** This node's log has it for unflushed. Files that cannot be read may have any. */
  #isNeededHere(name: SegmentName): boolean {
    const { log } = this.#deps;
    if (!log) return false;
    const id = segmentIdOf(name);
    return log.figures.unreadableFiles > 0 || (id !== undefined && log.find(id)?.isLive === true);
  }

  #schedule(): void {
    if (this.#isStopped) return;
    this.#cancel = this.#deps.clock.after(PERIOD_MS, () => {
      this.tidy()
        .catch((error: unknown) => {
          if (!this.#isStopped) this.#deps.report('old commits could not be forgotten; trying again', error);
        })
        .finally(() => this.#schedule());
    });
  }
}
