/**
 * Which sealed segments go to the store now. Pure: bounded concurrency, per stream in order, failed ones again after a back-off,
 * nothing is ever dropped.
 *
 *   enqueued → ready (its stream's first) → running → settled ok: gone, the stream's next is ready
 *                ↑                            └──── settled not ok: waits, then `retry`
 *                └──────────────────────────────────────────────────────────────┘
 */
export interface FlushJob {
  /** Jobs of one stream run one after another, in the order they came. Compared by identity. */
  readonly stream: object;
}

export type FlusherMessage<Job extends FlushJob> =
  | { readonly type: 'enqueue'; readonly job: Job }
  /** The end of a started job. `chance` in [0, 1) spreads the retries. */
  | { readonly type: 'settled'; readonly job: Job; readonly ok: boolean; readonly chance: number }
  /** The back-off of a stream is over. */
  | { readonly type: 'retry'; readonly stream: object };

export type FlusherEffect<Job extends FlushJob> =
  | { readonly type: 'start'; readonly job: Job }
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
  running: number;
}

export const newFlusherState = <Job extends FlushJob>(
  concurrencyMax: number,
  backOff: { readonly firstMs: number; readonly lastMs: number },
): FlusherState<Job> => ({ concurrencyMax, backOff, streams: new Map(), ready: new Set(), running: 0 });

/** One message in, the effects out; the state is changed in place, nobody else holds it. */
export const stepFlusher = <Job extends FlushJob>(
  state: FlusherState<Job>,
  message: FlusherMessage<Job>,
): readonly FlusherEffect<Job>[] => {
  switch (message.type) {
    case 'enqueue':
      enqueue(state, message.job);
      return startReady(state);
    case 'settled':
      state.running -= 1;
      return [...(message.ok ? finish(state, message.job) : backOff(state, message)), ...startReady(state)];
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
    if (state.running >= state.concurrencyMax) break;
    state.ready.delete(stream);
    const job = state.streams.get(stream)?.jobs[0];
    if (!job) continue;
    state.running += 1;
    effects.push({ type: 'start', job });
  }
  return effects;
};
