import { parseLogExpr } from '../logql/parser.ts';
import type { Clock } from '../protocol/clock.ts';
import type { LogStream, QueryRequest, QueryResult } from '../query/query-messages.ts';
import type { MemorySource, MemoryStream } from '../query/query-source.ts';
import type { RunningTail, TailFrame, TailRequest } from './node-services.ts';
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
  const unsubscribe = deps.memory.subscribe(request.tenant, matchers, (stream) =>
    buffer.add(stream, deps.clock.monotonicMs()),
  );
  const cancel = () => {
    unsubscribe();
    abort.abort();
  };
  return { frames: framesOf(deps, request, buffer, abort.signal, cancel), cancel };
};

async function* framesOf(
  deps: TailDeps,
  request: TailRequest,
  buffer: TailBuffer,
  signal: AbortSignal,
  cancel: () => void,
): AsyncGenerator<TailFrame> {
  try {
    const shown = await newestEntries(deps, request, signal);
    if (shown.length > 0) yield { streams: shown, dropped: [] };
    // What arrived while these were looked up may be among them.
    let known: ReadonlySet<string> | undefined = new Set(shown.map(entryKey));
    while (!signal.aborted) {
      await elapsed(deps.clock, INTERVAL_MS, signal);
      const arrived = buffer.take(deps.clock.monotonicMs() - request.delayMs);
      const dropped = buffer.takeDropped();
      if (arrived.length === 0 && dropped.length === 0) continue;
      const streams = await liveEntries(deps, request, arrived, signal);
      const fresh: readonly LogStream[] = known ? streams.filter((stream) => !known?.has(entryKey(stream))) : streams;
      if (request.delayMs === 0) known = undefined;
      if (fresh.length > 0 || dropped.length > 0) yield { streams: fresh, dropped };
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    cancel();
  }
}

const newestEntries = async (
  { clock, queryAll, queryTimeoutMs }: TailDeps,
  request: TailRequest,
  signal: AbortSignal,
): Promise<readonly LogStream[]> => {
  const endNs = BigInt(Math.ceil(clock.nowMs())) * NS_PER_MS + 1n;
  if (request.limit <= 0 || request.startNs >= endNs) return [];
  const query = { ...queryOf(request, queryTimeoutMs), startNs: request.startNs, endNs, limit: request.limit };
  return inTimeOrder(await queryAll({ ...query, direction: 'backward' }, signal));
};

const liveEntries = async (
  { queryStreams, queryTimeoutMs }: TailDeps,
  request: TailRequest,
  arrived: readonly MemoryStream[],
  signal: AbortSignal,
): Promise<readonly LogStream[]> => {
  if (arrived.length === 0) return [];
  return inTimeOrder(await queryStreams(queryOf(request, queryTimeoutMs), arrived, signal));
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
  return single.sort((left, right) => compareTimes(left.entries[0]?.timeNs ?? 0n, right.entries[0]?.timeNs ?? 0n));
};

const compareTimes = (left: bigint, right: bigint): number => (left < right ? -1 : left > right ? 1 : 0);

const entryKey = ({ labels, entries: [entry] }: LogStream): string =>
  JSON.stringify([labels, entry?.timeNs.toString(), entry?.line]);

const elapsed = (clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const done = () => {
      cancelTimer();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const cancelTimer = clock.after(delayMs, done);
    signal.addEventListener('abort', done, { once: true });
  });
