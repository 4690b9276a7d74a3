import type { BlockEncoding } from '../chunk/block-encoding.ts';
import type { BlockData } from '../chunk/memory-format.ts';
import type { HeadCut } from '../chunk/segment.ts';
import type { Clock } from '../protocol/clock.ts';
import { Line } from '../protocol/line.ts';
import type { CutTask } from '../workers/cut-worker.ts';
import type { AppendBudget } from './append-budget.ts';
import type { HeldSegment, StreamCell } from './stream-cell.ts';
import { cutBytes, type StreamMessage } from './stream-state.ts';

export interface CutterDeps {
  readonly clock: Clock;
  /** Compresses in a worker thread. */
  readonly run: (task: CutTask) => Promise<BlockData>;
  /** Tasks given to the workers at a time: enough to keep them busy, few enough for the pool's queue. */
  readonly concurrencyMax: number;
  readonly encoding: BlockEncoding;
  readonly level: number;
  /** Heads that wait count here, so that pushes wait for them. */
  readonly budget: AppendBudget;
  readonly tell: (cell: StreamCell, message: StreamMessage) => void;
  readonly report: (problem: string, error: unknown) => void;
}

interface Waiting {
  readonly cell: StreamCell;
  readonly held: HeldSegment;
  readonly cut: HeadCut;
}

/** A worker that failed is tried again after this. */
const RETRY_MS = 1000;

/**
 * Sends heads to the cut workers and their blocks back to the streams, first come first served. Each head is plain data over shared
 * memory, so nothing is copied; a failure loses nothing: the head stays with its segment and is tried again.
 */
export class Cutter {
  readonly #deps: CutterDeps;
  readonly #waiting = new Line<Waiting>();
  #running = 0;
  #isStopped = false;

  constructor(deps: CutterDeps) {
    this.#deps = deps;
  }

  get pending(): number {
    return this.#waiting.size + this.#running;
  }

  /** Nobody needs the blocks any more: what fails from here on was cancelled. */
  stop(): void {
    this.#isStopped = true;
    this.#waiting.clear();
  }

  cut(cell: StreamCell, held: HeldSegment, cut: HeadCut): void {
    this.#deps.budget.hold(cutBytes(cut));
    this.#enqueue({ cell, held, cut });
  }

  cutAgain(cell: StreamCell, held: HeldSegment, cut: HeadCut): void {
    this.#deps.clock.after(RETRY_MS, () => this.#enqueue({ cell, held, cut }));
  }

  #enqueue(waiting: Waiting): void {
    if (this.#isStopped) return;
    this.#waiting.push(waiting);
    this.#startMore();
  }

  #startMore(): void {
    while (this.#running < this.#deps.concurrencyMax) {
      const next = this.#waiting.shift();
      if (!next) return;
      this.#running += 1;
      void this.#run(next);
    }
  }

  async #run({ cell, held, cut }: Waiting): Promise<void> {
    const { run, encoding, level, budget, tell, report } = this.#deps;
    try {
      const withMetadataSections = held.version === 4;
      const block = await run({ kind: 'cut', head: cut.head, encoding, level, withMetadataSections });
      budget.release(cutBytes(cut));
      tell(cell, { type: 'cut-done', held, cut, block });
    } catch (error) {
      if (this.#isStopped) return;
      report('a block could not be cut', error);
      tell(cell, { type: 'cut-failed', held, cut });
    } finally {
      this.#running -= 1;
      this.#startMore();
    }
  }
}
