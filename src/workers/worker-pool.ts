import { setMaxListeners } from 'node:events';
import os from 'node:os';
import { type Transferable, Worker } from 'node:worker_threads';
import { RefusedError } from '../protocol/refusal.ts';

export interface WorkerPoolOptions {
  /** Entry without extension, relative to this folder: `cut-worker`. */
  readonly entry: string;
  readonly size: number;
  /** Tasks waiting beyond those running; past it `run` refuses OVERLOADED. */
  readonly queueMax: number;
  readonly workerData?: unknown;
  /**
   * Size of each thread's young generation. A small one lets go of shared memory soon: V8 does not count it, and keeps what a task
   * brought until the next collection.
   */
  readonly youngGenerationMb?: number;
  /**
   * How long a running task may go on once its signal has fired, in ms. Past it its thread is ended and replaced, so that nobody's query
   * keeps a thread that others wait for. Undefined: running tasks are left to end.
   */
  readonly abortGraceMs?: number;
}

interface Waiting {
  readonly id: number;
  readonly task: unknown;
  readonly transfer: readonly Transferable[];
  readonly resolve: (result: never) => void;
  readonly reject: (error: Error) => void;
  /** Takes its listener off the caller's signal: a query's signal sees thousands of tasks. */
  detach: () => void;
}

interface Slot {
  worker: Worker;
  running: Waiting | undefined;
}

const detach = (): void => undefined;

/** What a worker answers. `error.refusal` is kept when the worker threw a RefusedError. */
export type WorkerAnswer =
  | { readonly id: number; readonly ok: true; readonly result: unknown }
  | { readonly id: number; readonly ok: false; readonly message: string; readonly refusal?: RefusedError['refusal'] };

/**
 * A fixed set of worker threads, one task at a time each, first come first served. A crashed worker fails its task and is replaced.
 * The plain pool costs 12 µs a message; ready-made pools 20–50 µs of CPU a task (measured).
 */
export class WorkerPool<Task, Result> {
  readonly #options: WorkerPoolOptions;
  readonly #slots: Slot[] = [];
  readonly #queue: Waiting[] = [];
  #nextId = 1;
  #isClosed = false;

  constructor(options: WorkerPoolOptions) {
    this.#options = options;
    for (let index = 0; index < options.size; index += 1) {
      const slot = { running: undefined } as unknown as Slot;
      slot.worker = this.#spawn(slot);
      this.#slots.push(slot);
    }
  }

  get queued(): number {
    return this.#queue.length;
  }

  get running(): number {
    return this.#slots.reduce((count, slot) => count + (slot.running ? 1 : 0), 0);
  }

  get size(): number {
    return this.#slots.length;
  }

  /** @throws RefusedError OVERLOADED when the queue is full, CANCELLED when closed or the signal fired before it started */
  run(task: Task, transfer: readonly Transferable[] = [], signal?: AbortSignal): Promise<Result> {
    return new Promise<Result>((resolve, reject) => {
      if (this.#isClosed || signal?.aborted) {
        reject(cancelled());
        return;
      }
      if (this.#queue.length >= this.#options.queueMax) {
        reject(new RefusedError({ code: 'OVERLOADED', text: 'too many outstanding requests', retryAfterMs: 1000 }));
        return;
      }
      const waiting: Waiting = { id: this.#nextId, task, transfer, resolve: resolve as never, reject, detach };
      this.#nextId += 1;
      this.#queue.push(waiting);
      if (signal) this.#watch(signal, waiting);
      this.#dispatch();
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const waiting of this.#queue.splice(0)) {
      waiting.detach();
      waiting.reject(cancelled());
    }
    await Promise.all(this.#slots.map((slot) => slot.worker.terminate()));
  }

  #watch(signal: AbortSignal, waiting: Waiting): void {
    const abandon = (): void => this.#abandon(waiting);
    setMaxListeners(0, signal);
    signal.addEventListener('abort', abandon, { once: true });
    waiting.detach = () => signal.removeEventListener('abort', abandon);
  }

  #abandon(waiting: Waiting): void {
    const index = this.#queue.indexOf(waiting);
    if (index < 0) {
      this.#endSoon(waiting);
      return;
    }
    this.#queue.splice(index, 1);
    waiting.detach();
    waiting.reject(cancelled());
  }

  /** Ends the thread of a running task that nobody waits for, unless it comes to its end by itself. */
  #endSoon(waiting: Waiting): void {
    const { abortGraceMs } = this.#options;
    const slot = this.#slots.find(({ running }) => running === waiting);
    if (abortGraceMs === undefined || !slot) return;
    const { worker } = slot;
    const timer = setTimeout(() => void worker.terminate(), abortGraceMs);
    timer.unref();
    waiting.detach = () => clearTimeout(timer);
  }

  #dispatch(): void {
    for (const slot of this.#slots) {
      while (!slot.running) {
        const next = this.#queue.shift();
        if (!next) return;
        this.#start(slot, next);
      }
    }
  }

  #start(slot: Slot, next: Waiting): void {
    slot.running = next;
    try {
      slot.worker.postMessage({ id: next.id, task: next.task }, next.transfer);
    } catch (error) {
      // A task that cannot be cloned: the worker never saw it, and takes another.
      slot.running = undefined;
      next.detach();
      next.reject(error as Error);
    }
  }

  #spawn(slot: Slot): Worker {
    const { entry, workerData, youngGenerationMb } = this.#options;
    const resourceLimits = youngGenerationMb === undefined ? {} : { maxYoungGenerationSizeMb: youngGenerationMb };
    const worker = new Worker(workerEntry(entry), { workerData, resourceLimits });
    worker.unref();
    worker.on('message', (answer: WorkerAnswer) => this.#settle(slot, answer));
    worker.on('error', (error) => this.#replace(slot, worker, error));
    worker.on('exit', (code) => this.#replace(slot, worker, new Error(`it ended with exit code ${code}`)));
    return worker;
  }

  #settle(slot: Slot, answer: WorkerAnswer): void {
    const waiting = slot.running;
    if (!waiting || waiting.id !== answer.id) return;
    slot.running = undefined;
    waiting.detach();
    if (answer.ok) waiting.resolve(answer.result as never);
    else waiting.reject(answer.refusal ? new RefusedError(answer.refusal) : new Error(answer.message));
    this.#dispatch();
  }

  /** Once for a worker: an error is followed by the exit. */
  #replace(slot: Slot, worker: Worker, error: Error): void {
    if (slot.worker !== worker) return;
    const waiting = slot.running;
    slot.running = undefined;
    waiting?.detach();
    if (this.#isClosed) {
      waiting?.reject(cancelled());
      return;
    }
    waiting?.reject(new Error(`worker ${this.#options.entry} crashed: ${error.message}`, { cause: error }));
    slot.worker = this.#spawn(slot);
    this.#dispatch();
  }
}

const cancelled = (): RefusedError => new RefusedError({ code: 'CANCELLED', text: 'the work was cancelled' });

/**
 * The built package has .js beside this file. Under tsx the sources run as they are, and since Node 20 a thread does not inherit the
 * loader that `--import tsx` put into the main one: it registers its own first.
 */
const workerEntry = (entry: string): URL => {
  if (!import.meta.url.endsWith('.ts')) return new URL(`./${entry}.js`, import.meta.url);
  const source = new URL(`./${entry}.ts`, import.meta.url);
  const loader = import.meta.resolve('tsx/esm/api');
  const bootstrap = `import { register } from '${loader}'; register(); await import('${source}');`;
  return new URL(`data:text/javascript,${encodeURIComponent(bootstrap)}`);
};

/** Worker threads to start on this machine for work that may use every core. */
export const coreCount = (): number => Math.max(1, os.availableParallelism());
