import { setMaxListeners } from 'node:events';
import os from 'node:os';
import { type Transferable, Worker } from 'node:worker_threads';
import { FairQueue } from '../protocol/fair-queue.ts';
import { RefusedError } from '../protocol/refusal.ts';

export interface WorkerPoolOptions<Task = never> {
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
  /**
   * Weight of a task, 1 = worth a message of its own (the default). Lighter ones that wait together go and come back in one message: it
   * costs both sides 12 µs and, where cores are busy, a switch of threads.
   */
  readonly weightOf?: (task: Task) => number;
  /** Whose task it is: tenants take turns. Undefined: all are one. */
  readonly tenantOf?: (task: Task) => string;
}

/** Tasks in one message, whatever they weigh: their answers come together. */
export const TASKS_PER_MESSAGE_MAX = 32;

/** After a thread that could not be started: chosen, what it lacked (descriptors, processes) comes back seldom sooner. */
const START_REST_MS = 1000;

/** Chosen: a thread takes 0.3 s, some seconds where cores are busy. One that hangs would keep what waits for it waiting for ever. */
const START_MS_MAX = 60_000;

interface Waiting {
  readonly id: number;
  readonly whose: string;
  readonly task: unknown;
  readonly transfer: readonly Transferable[];
  readonly resolve: (result: never) => void;
  readonly reject: (error: Error) => void;
  /** Takes its listener off the caller's signal: a query's signal sees thousands of tasks. */
  detach: () => void;
  /** Its signal has fired. */
  isAbandoned: boolean;
}

interface Slot {
  readonly worker: Worker;
  /** It was started and takes messages: what is sent to one that cannot start is lost. */
  isReady: boolean;
  /** Of its start. */
  readonly deadline: NodeJS.Timeout;
  /** Of one message; empty = free. */
  running: readonly Waiting[];
  /** The thread is being ended: what is given to it now is lost, even if its last answer comes first. */
  isEnding: boolean;
}

const NONE: readonly Waiting[] = [];

const detach = (): void => undefined;

const isFree = ({ isReady, running, isEnding }: Slot): boolean => isReady && running.length === 0 && !isEnding;

/** What a worker answers: none at first, to say that it takes messages. `error.refusal` is kept when the worker threw a RefusedError. */
export type WorkerAnswer =
  | { readonly id: number; readonly ok: true; readonly result: unknown }
  | { readonly id: number; readonly ok: false; readonly message: string; readonly refusal?: RefusedError['refusal'] };

/**
 * Up to `size` worker threads, one message of tasks at a time each, tenants in turn and those of one first come first served. A thread starts when a task finds none free: it
 * takes 20 MB and 0.3 s of CPU, which a node that is never asked has better uses for. One that crashes fails its tasks; one that cannot be started fails
 * a message of tasks only if there is no other.
 * The plain pool costs 12 µs a message; ready-made pools 20–50 µs of CPU a task (measured).
 */
export class WorkerPool<Task, Result> {
  readonly #options: WorkerPoolOptions<Task>;
  readonly #slots: Slot[] = [];
  readonly #queue = new FairQueue<Waiting>();
  #nextId = 1;
  /** Monotonic: until then no thread is started if there is one. */
  #restsUntilMs = 0;
  #isClosed = false;

  constructor(options: WorkerPoolOptions<Task>) {
    this.#options = options;
  }

  /** Those that a thread is being started for are not among them. */
  get queued(): number {
    return Math.max(0, this.#queue.size - this.#starting);
  }

  get running(): number {
    return this.#slots.reduce((count, slot) => count + slot.running.length, Math.min(this.#queue.size, this.#starting));
  }

  get size(): number {
    return this.#options.size;
  }

  /** @throws RefusedError OVERLOADED when the queue is full, CANCELLED when closed or the signal fired before it started */
  run(task: Task, transfer: readonly Transferable[] = [], signal?: AbortSignal): Promise<Result> {
    return new Promise<Result>((resolve, reject) => {
      if (this.#isClosed || signal?.aborted) {
        reject(cancelled());
        return;
      }
      if (this.queued >= this.#options.queueMax) {
        reject(new RefusedError({ code: 'OVERLOADED', text: 'too many outstanding requests', retryAfterMs: 1000 }));
        return;
      }
      const whose = this.#options.tenantOf?.(task) ?? '';
      const waiting: Waiting = {
        id: this.#nextId,
        whose,
        task,
        transfer,
        resolve: resolve as never,
        reject,
        detach,
        isAbandoned: false,
      };
      this.#nextId += 1;
      this.#queue.add(whose, waiting);
      if (signal) this.#watch(signal, waiting);
      this.#dispatch();
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (let waiting = this.#queue.take(); waiting; waiting = this.#queue.take()) {
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
    waiting.isAbandoned = true;
    if (!this.#queue.remove(waiting.whose, waiting)) {
      this.#endSoon(waiting);
      return;
    }
    waiting.detach();
    waiting.reject(cancelled());
  }

  /** Ends the thread of a running task that nobody waits for, unless it comes to its end by itself. */
  #endSoon(waiting: Waiting): void {
    const { abortGraceMs } = this.#options;
    const slot = this.#slots.find(({ running }) => running.includes(waiting));
    if (abortGraceMs === undefined || !slot) return;
    const timer = setTimeout(() => {
      slot.isEnding = true;
      void slot.worker.terminate();
    }, abortGraceMs);
    timer.unref();
    waiting.detach = () => clearTimeout(timer);
  }

  get #starting(): number {
    return this.#slots.reduce((count, { isReady }) => count + (isReady ? 0 : 1), 0);
  }

  #dispatch(): void {
    for (let slot = this.#slots.find(isFree); slot && this.#queue.size > 0; slot = this.#slots.find(isFree)) {
      this.#start(slot, this.#takeMessage());
    }
    while (this.#queue.size > this.#starting && this.#mayStart) {
      try {
        this.#spawn();
      } catch (error) {
        // The machine has no thread to give.
        this.#failStart(error as Error);
      }
    }
  }

  get #mayStart(): boolean {
    const count = this.#slots.length;
    return count < this.#options.size && (count === 0 || performance.now() >= this.#restsUntilMs);
  }

  /** Its tasks are left to the other threads, if there are any. */
  #failStart(error: Error): void {
    this.#restsUntilMs = performance.now() + START_REST_MS;
    if (this.#slots.length === 0) this.#fail(this.#takeMessage(), `could not be started: ${error.message}`, error);
  }

  /** The tasks that wait first, as many as make a message. */
  #takeMessage(): readonly Waiting[] {
    const { weightOf = () => 1 } = this.#options;
    const message: Waiting[] = [];
    let weight = 0;
    for (let next = this.#queue.peek(); next; next = this.#queue.peek()) {
      weight += weightOf(next.task as Task);
      if (message.length > 0 && (weight > 1 || message.length === TASKS_PER_MESSAGE_MAX)) break;
      message.push(next);
      this.#queue.take();
    }
    return message;
  }

  #start(slot: Slot, next: readonly Waiting[]): void {
    slot.running = next;
    try {
      const transfer = next.flatMap((waiting) => waiting.transfer);
      slot.worker.postMessage(
        next.map(({ id, task }) => ({ id, task })),
        transfer,
      );
    } catch (error) {
      // A task that cannot be cloned: the worker never saw the message, and takes another.
      slot.running = NONE;
      for (const waiting of next) {
        waiting.detach();
        waiting.reject(error as Error);
      }
    }
  }

  /** @throws an error of the system */
  #spawn(): void {
    const { entry, workerData, youngGenerationMb: maxYoungGenerationSizeMb } = this.#options;
    const resourceLimits = maxYoungGenerationSizeMb === undefined ? {} : { maxYoungGenerationSizeMb };
    const worker = new Worker(workerEntry(entry), { workerData, resourceLimits });
    const deadline = setTimeout(() => this.#giveUpStart(slot), START_MS_MAX);
    deadline.unref();
    const slot: Slot = { worker, isReady: false, deadline, running: NONE, isEnding: false };
    worker.unref();
    worker.on('message', (answers: readonly WorkerAnswer[]) => this.#settle(slot, answers));
    worker.on('error', (error) => this.#remove(slot, error));
    worker.on('exit', (code) => this.#remove(slot, new Error(`it ended with exit code ${code}`)));
    this.#slots.push(slot);
  }

  /** Its end is not waited for: whatever it hangs in may hold that up too. */
  #giveUpStart(slot: Slot): void {
    void slot.worker.terminate();
    this.#remove(slot, new Error(`it was not ready within ${START_MS_MAX} ms`));
  }

  /** The answers of a message, in the order of its tasks; none: the thread takes messages from now on. */
  #settle(slot: Slot, answers: readonly WorkerAnswer[]): void {
    const { running, deadline } = slot;
    slot.isReady = true;
    clearTimeout(deadline);
    if (running[0]?.id !== answers[0]?.id) return;
    slot.running = NONE;
    for (const [index, waiting] of running.entries()) {
      waiting.detach();
      const answer = answers[index];
      if (!answer) waiting.reject(new Error('the worker left out an answer'));
      else if (answer.ok) waiting.resolve(answer.result as never);
      else waiting.reject(answer.refusal ? new RefusedError(answer.refusal) : new Error(answer.message));
    }
    this.#dispatch();
  }

  /** Once for a worker: an error is followed by the exit. */
  #remove(slot: Slot, error: Error): void {
    const index = this.#slots.indexOf(slot);
    if (index < 0) return;
    this.#slots.splice(index, 1);
    const { running, deadline } = slot;
    clearTimeout(deadline);
    slot.running = NONE;
    this.#fail(running, `crashed: ${error.message}`, error);
    if (this.#isClosed) return;
    if (!slot.isReady) this.#failStart(error);
    this.#dispatch();
  }

  #fail(tasks: readonly Waiting[], why: string, cause: Error): void {
    for (const { detach, reject, isAbandoned } of tasks) {
      detach();
      if (this.#isClosed || isAbandoned) reject(cancelled());
      else reject(new Error(`worker ${this.#options.entry} ${why}`, { cause }));
    }
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
