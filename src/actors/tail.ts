import { parseLogExpr } from '../logql/parser.ts';
import type { Clock } from '../protocol/clock.ts';
import { paused } from '../protocol/paused.ts';
import { RefusedError } from '../protocol/refusal.ts';
import type { LogStream, QueryRequest, QueryResult } from '../query/query-messages.ts';
import type { MemorySource, MemoryStream } from '../query/query-source.ts';
import type { RunningTail, TailFrame, TailRequest } from './node-services.ts';
import { ShownEntries } from './shown-entries.ts';
import { TailBuffer } from './tail-buffer.ts';

export interface TailDeps {
  readonly clock: Clock;
  readonly memory: MemorySource;
  /** The whole answer of a query over all there is. @throws RefusedError */
  readonly queryAll: (request: QueryRequest, signal: AbortSignal) => Promise<QueryResult>;
  /** The same over these streams alone. */
  readonly queryStreams: (
    request: QueryRequest,
    streams: readonly MemoryStream[],
    signal: AbortSignal,
  ) => Promise<QueryResult>;
  readonly queryTimeoutMs: number;
}

/** How often what was appended is shown (Loki polls at about this rate). */
const INTERVAL_MS = 250;

/** What a slow reader may be behind: a second or two of one busy stream. */
const BUFFER_BYTES_MAX = 8 << 20;

/** Chosen: what a tail shows as it comes would ask the index four times a second, for requests that are about what came before. */
const DELETES_AGE_MS_MAX = 10_000;

/** Entries looked up after a gap: the newest. */
const MISSED_MAX = 1000;

const NS_PER_MS = 1_000_000n;
const TIME_MIN = -(2n ** 63n);
const TIME_MAX = 2n ** 63n - 1n;

/**
 * Shows the newest entries, then what is appended, as it comes. Live entries go through the same engine as queries do, over just what
 * was appended.
 * @throws RefusedError INVALID_QUERY
 */
export const startTail = (deps: TailDeps, request: TailRequest): RunningTail => {
  const { matchers } = parseLogExpr(request.query);
  const buffer = new TailBuffer(BUFFER_BYTES_MAX);
  const abort = new AbortController();
  const gaps = new Gaps();
  const unsubscribe = deps.memory.subscribe(request.tenant, matchers, {
    appended: (stream) => buffer.add(stream, deps.clock.monotonicMs()),
    dropped: (entries) => buffer.addDropped(entries),
    missed: (sinceMs) => gaps.add(sinceMs),
  });
  const cancel = () => {
    unsubscribe();
    abort.abort();
  };
  return { frames: framesOf(deps, request, { buffer, gaps }, abort.signal, cancel), cancel };
};

async function* framesOf(
  deps: TailDeps,
  request: TailRequest,
  { buffer, gaps }: { readonly buffer: TailBuffer; readonly gaps: Gaps },
  signal: AbortSignal,
  cancel: () => void,
): AsyncGenerator<TailFrame> {
  try {
    // What arrives while others are looked up may be among them.
    const shown = new ShownEntries();
    const newest = shown.fresh(await entriesSince(deps, request, request, signal));
    const missing = new MissingEntries(deps, request, newest);
    if (newest.length > 0) yield { streams: newest, dropped: [] };
    while (!signal.aborted) {
      await paused(deps.clock, INTERVAL_MS, signal);
      // Live entries do not wait for what was missed: a look-up may take as long as a query.
      missing.look(gaps, signal);
      const arrived = buffer.take(deps.clock.monotonicMs() - request.delayMs);
      const dropped = buffer.takeDropped();
      const live = await liveEntries(deps, request, arrived, signal);
      const missed = missing.take();
      const isHeld = gaps.areOpen || missing.isLooking || missed.length > 0;
      const streams = shown.fresh(missed.length > 0 ? [...missed, ...live].sort(byTime) : live, isHeld);
      if (streams.length > 0 || dropped.length > 0) yield { streams, dropped };
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    cancel();
  }
}

/** Chosen: before what was missed is looked for again. */
const LOOKUP_REST_MS = 1_000;
const LOOKUP_REST_MS_MAX = 30_000;

/** The earliest time from which on something may have been missed. */
class Gaps {
  #sinceMs: number | undefined;

  get areOpen(): boolean {
    return this.#sinceMs !== undefined;
  }

  add(sinceMs: number): void {
    this.#sinceMs = Math.min(this.#sinceMs ?? sinceMs, sinceMs);
  }

  take(): number | undefined {
    const sinceMs = this.#sinceMs;
    this.#sinceMs = undefined;
    return sinceMs;
  }
}

/** Entries that nobody told of are looked up. */
class MissingEntries {
  readonly #deps: TailDeps;
  readonly #request: TailRequest;
  /** What is older was left out at the start, or was never asked for. */
  readonly #oldestNs: bigint;
  #restMs = 0;
  /** Monotonic: after a failure nobody is asked for a while, longer each time. */
  #dueMs = 0;
  #isLooking = false;
  #found: readonly LogStream[] = [];
  #failure: { readonly error: unknown } | undefined;

  /** @param newest what was shown at the start */
  constructor(deps: TailDeps, request: TailRequest, newest: readonly LogStream[]) {
    this.#deps = deps;
    this.#request = request;
    const [oldest] = newest;
    const isCut = newest.length >= request.limit;
    this.#oldestNs = isCut ? (oldest?.entries[0]?.timeNs ?? request.startNs) + 1n : request.startNs;
  }

  get isLooking(): boolean {
    return this.#isLooking;
  }

  /** Begins to look up what the gaps name, one look-up at a time. */
  look(gaps: Gaps, signal: AbortSignal): void {
    if (this.#isLooking || this.#deps.clock.monotonicMs() < this.#dueMs) return;
    const sinceMs = gaps.take();
    if (sinceMs === undefined) return;
    this.#isLooking = true;
    this.#since(sinceMs, signal)
      .then(
        (found) => {
          // Looked for again: what is missed now is not for ever.
          if (!found) gaps.add(sinceMs);
          else this.#found = [...this.#found, ...found];
        },
        (error: unknown) => {
          this.#failure = { error };
        },
      )
      .finally(() => {
        this.#isLooking = false;
      });
  }

  /** What has been found since it was last asked. @throws what a look-up failed with for good */
  take(): readonly LogStream[] {
    if (this.#failure) throw this.#failure.error;
    const found = this.#found;
    this.#found = [];
    return found;
  }

  /** By their times; undefined if that cannot be found out now. */
  async #since(sinceMs: number, signal: AbortSignal): Promise<readonly LogStream[] | undefined> {
    const sinceNs = BigInt(Math.floor(sinceMs)) * NS_PER_MS;
    const startNs = sinceNs > this.#oldestNs ? sinceNs : this.#oldestNs;
    const limit = Math.max(this.#request.limit, MISSED_MAX);
    try {
      const found = await entriesSince(this.#deps, this.#request, { startNs, limit, allowsPartial: true }, signal);
      this.#restMs = 0;
      return found;
    } catch (error) {
      if (!(error instanceof RefusedError) || signal.aborted) throw error;
      this.#restMs = Math.min(LOOKUP_REST_MS_MAX, Math.max(LOOKUP_REST_MS, 2 * this.#restMs));
      this.#dueMs = this.#deps.clock.monotonicMs() + this.#restMs;
      return undefined;
    }
  }
}

/** The newest of memory and store since then. */
const entriesSince = async (
  { clock, queryAll, queryTimeoutMs }: TailDeps,
  request: TailRequest,
  { startNs, limit, allowsPartial = false }: Pick<QueryRequest, 'startNs' | 'limit' | 'allowsPartial'>,
  signal: AbortSignal,
): Promise<readonly LogStream[]> => {
  const endNs = BigInt(Math.ceil(clock.nowMs())) * NS_PER_MS + 1n;
  if (limit <= 0 || startNs >= endNs) return [];
  const query = { ...queryOf(request, queryTimeoutMs), startNs, endNs, limit, allowsPartial };
  return inTimeOrder(await queryAll({ ...query, direction: 'backward' }, signal));
};

const liveEntries = async (
  { queryStreams, queryTimeoutMs }: TailDeps,
  request: TailRequest,
  arrived: readonly MemoryStream[],
  signal: AbortSignal,
): Promise<readonly LogStream[]> => {
  if (arrived.length === 0) return [];
  const query = { ...queryOf(request, queryTimeoutMs), deletesAgeMsMax: DELETES_AGE_MS_MAX };
  return inTimeOrder(await queryStreams(query, arrived, signal));
};

const queryOf = (request: TailRequest, timeoutMs: number): QueryRequest => ({
  tenant: request.tenant,
  query: request.query,
  startNs: TIME_MIN,
  endNs: TIME_MAX,
  stepNs: 0n,
  isInstant: false,
  limit: Number.MAX_SAFE_INTEGER,
  direction: 'forward',
  intervalNs: 0n,
  categorizeLabels: request.categorizeLabels ?? false,
  limits: { timeoutMs, bytesReadMax: 0, seriesMax: 0 },
});

/** One element per entry, oldest first over all streams. */
const inTimeOrder = (result: QueryResult): readonly LogStream[] => {
  if (result.type !== 'streams') return [];
  const single = result.streams.flatMap(({ labels, entries }) =>
    entries.map((entry) => ({ labels, entries: [entry] })),
  );
  return single.sort(byTime);
};

const byTime = (left: LogStream, right: LogStream): number =>
  compareTimes(left.entries[0]?.timeNs ?? 0n, right.entries[0]?.timeNs ?? 0n);

const compareTimes = (left: bigint, right: bigint): number => (left < right ? -1 : left > right ? 1 : 0);
