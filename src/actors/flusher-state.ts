/**
 * Which sealed segments go to the store now, and whose index rows are written together. Pure: bounded concurrency, per stream in
 * order, failed ones again after a back-off, nothing is ever dropped.
 *
 *   enqueued → ready (its stream's first) → running → placed (object durable) → settled ok: gone, the stream's next is ready
 *                ↑                            └───────────────┴───── settled not ok: waits, then `retry`
 *                └──────────────────────────────────────────────────────────────┘
 *
 * Rows go to random places of the index, so a commit of many costs little more than one of few (measured: 5,000 chunks in groups of 16
 * cost 150 µs of CPU each, in groups of 64 80 µs). Placed jobs wait for each other: at most ROWS_DELAY_MS, and never for nothing.
 */

/** Chosen: about 1,000 operations, half of what the index commits at once. */
const ROWS_TOGETHER_MAX = 128;

/** Chosen: at 2,000 chunks per second about 100 share a commit. */
const ROWS_DELAY_MS = 50;

/** Jobs whose rows wait or are being written. Chosen: several commits of a slow disk; their segments are in memory anyway. */
const PLACED_MAX = 1_024;

export interface FlushJob {
  /** Jobs of one stream run one after another, in the order they came. Compared by identity. */
  readonly stream: object;
}

export type FlusherMessage<Job extends FlushJob> =
  | { readonly type: 'enqueue'; readonly job: Job }
  /** The object of a started job is durable, its rows are not written. */
  | { readonly type: 'placed'; readonly job: Job }
  /** Rows have waited for each other long enough. */
  | { readonly type: 'rows-due' }
  /** The end of a started job. `chance` in [0, 1) spreads the retries. */
  | { readonly type: 'settled'; readonly job: Job; readonly ok: boolean; readonly chance: number }
  /** The back-off of a stream is over. */
  | { readonly type: 'retry'; readonly stream: object };

export type FlusherEffect<Job extends FlushJob> =
  | { readonly type: 'start'; readonly job: Job }
  | { readonly type: 'write-rows'; readonly jobs: readonly Job[] }
  | { readonly type: 'rows-later'; readonly delayMs: number }
  | { readonly type: 'retry-later'; readonly stream: object; readonly delayMs: number };

interface StreamJobs<Job> {
  readonly jobs: Job[];
  failures: number;
}

export interface FlusherState<Job extends FlushJob> {
  readonly concurrencyMax: number;
  readonly backOff: { readonly firstMs: number; readonly lastMs: number };
  readonly streams: Map<object, StreamJobs<Job>>;
  /** Streams whose first job may start, in order. */
  readonly ready: Set<object>;
  /** Started and not yet placed: what the concurrency bounds. */
  running: number;
  /** Placed and not yet settled. */
  readonly placed: Set<Job>;
  /** Those of them whose rows wait for others. */
  waiting: Job[];
}

export const newFlusherState = <Job extends FlushJob>(
  concurrencyMax: number,
  backOff: { readonly firstMs: number; readonly lastMs: number },
): FlusherState<Job> => ({
  concurrencyMax,
  backOff,
  streams: new Map(),
  ready: new Set(),
  running: 0,
  placed: new Set(),
  waiting: [],
});

/** One message in, the effects out; the state is changed in place, nobody else holds it. */
export const stepFlusher = <Job extends FlushJob>(
  state: FlusherState<Job>,
  message: FlusherMessage<Job>,
): readonly FlusherEffect<Job>[] => {
  switch (message.type) {
    case 'enqueue':
      enqueue(state, message.job);
      return startReady(state);
    case 'placed':
      return place(state, message.job);
    case 'rows-due':
      return writeRows(state);
    case 'settled': {
      if (!state.placed.delete(message.job)) state.running -= 1;
      const after = message.ok ? finish(state, message.job) : backOff(state, message);
      return [...after, ...startReady(state), ...writeRowsIfLast(state)];
    }
    case 'retry':
      if (state.streams.has(message.stream)) state.ready.add(message.stream);
      return startReady(state);
  }
};

const enqueue = <Job extends FlushJob>(state: FlusherState<Job>, job: Job): void => {
  const waiting = state.streams.get(job.stream);
  if (waiting) {
    waiting.jobs.push(job);
    return;
  }
  state.streams.set(job.stream, { jobs: [job], failures: 0 });
  state.ready.add(job.stream);
};

const place = <Job extends FlushJob>(state: FlusherState<Job>, job: Job): readonly FlusherEffect<Job>[] => {
  state.running -= 1;
  state.placed.add(job);
  state.waiting.push(job);
  const started = startReady(state);
  if (state.waiting.length >= ROWS_TOGETHER_MAX) return [...started, ...writeRows(state)];
  const effects = [...started, ...writeRowsIfLast(state)];
  if (state.waiting.length === 1) effects.push({ type: 'rows-later', delayMs: ROWS_DELAY_MS });
  return effects;
};

/** Nothing runs that could join those who wait. */
const writeRowsIfLast = <Job extends FlushJob>(state: FlusherState<Job>): readonly FlusherEffect<Job>[] =>
  state.running === 0 ? writeRows(state) : [];

const writeRows = <Job extends FlushJob>(state: FlusherState<Job>): readonly FlusherEffect<Job>[] => {
  if (state.waiting.length === 0) return [];
  const jobs = state.waiting;
  state.waiting = [];
  return [{ type: 'write-rows', jobs }];
};

const finish = <Job extends FlushJob>(state: FlusherState<Job>, job: Job): readonly FlusherEffect<Job>[] => {
  const stream = state.streams.get(job.stream);
  if (!stream) return [];
  stream.jobs.shift();
  stream.failures = 0;
  if (stream.jobs.length > 0) state.ready.add(job.stream);
  else state.streams.delete(job.stream);
  return [];
};

const backOff = <Job extends FlushJob>(
  state: FlusherState<Job>,
  { job, chance }: { readonly job: Job; readonly chance: number },
): readonly FlusherEffect<Job>[] => {
  const stream = state.streams.get(job.stream);
  if (!stream) return [];
  // 2 ** 30 is over any limit; larger powers would lose the jitter in rounding.
  const fullMs = Math.min(state.backOff.lastMs, state.backOff.firstMs * 2 ** Math.min(30, stream.failures));
  stream.failures += 1;
  return [{ type: 'retry-later', stream: job.stream, delayMs: Math.round(fullMs * (0.5 + chance / 2)) }];
};

const startReady = <Job extends FlushJob>(state: FlusherState<Job>): readonly FlusherEffect<Job>[] => {
  const effects: FlusherEffect<Job>[] = [];
  for (const stream of state.ready) {
    if (state.running >= state.concurrencyMax || state.running + state.placed.size >= PLACED_MAX) break;
    state.ready.delete(stream);
    const job = state.streams.get(stream)?.jobs[0];
    if (!job) continue;
    state.running += 1;
    effects.push({ type: 'start', job });
  }
  return effects;
};
