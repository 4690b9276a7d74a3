import { setMaxListeners } from 'node:events';
import { ABORTED } from '../protocol/aborted.ts';
import type { Clock } from '../protocol/clock.ts';
import { Permits } from '../protocol/permits.ts';
import { type Refusal, RefusedError } from '../protocol/refusal.ts';
import type { TimeRangeNs } from '../protocol/time-range.ts';
import type { WorkerPool } from '../workers/worker-pool.ts';
import { CANCELLED, QUERY_DEADLINE } from './query-end.ts';
import { noCacheCounts, type QueryCaching, type QueryRequest, type QueryStatistics } from './query-messages.ts';
import type { QuerySources } from './query-source.ts';
import type { ResultsCache } from './results-cache.ts';
import type { HiddenEntries } from './scan/hidden-entries.ts';
import {
  addCounts,
  buffersOf,
  noCounts,
  type ScanCounts,
  type ScanResult,
  type ScanTask,
} from './scan/scan-messages.ts';
import type { ScanPlace } from './scan-places.ts';
import { ibytesText } from './size-text.ts';

/** Worker threads that run `scan-worker`. */
export type ScanPool = Pick<WorkerPool<ScanTask, ScanResult>, 'run' | 'size'>;

export interface QueryDeps {
  readonly scanPool: ScanPool;
  readonly clock: Clock;
  /** What of a tenant must not be shown of this range now; undefined: nothing is hidden. @throws RefusedError if that cannot be told */
  readonly hidden?:
    | ((tenant: string, range: TimeRangeNs, deletesAgeMsMax?: number) => Promise<HiddenEntries | undefined>)
    | undefined;
  /** Of a member of a cluster: the others that share scans now. */
  readonly places?: (() => readonly ScanPlace[]) | undefined;
  /** Undefined: nothing is kept. */
  readonly results?: ResultsCache | undefined;
}

/** Of what a query may read, the part until which it may read what may turn out to be in vain (chosen). */
const IN_VAIN_SHARE = 1 / 4;
/** Lines of a chunk, inflated: those of the default size have 4 to 12 MB. */
const CHUNK_LINE_BYTES = 16 << 20;

/** What the parts of one running query share: where to read, when to stop, what was read so far. */
export class QueryContext {
  readonly request: QueryRequest;
  readonly sources: QuerySources;
  readonly deps: QueryDeps;
  readonly counts: ScanCounts = noCounts();
  /** What its tasks need, wherever they run. */
  readonly permits: Permits;
  chunkRefs = 0;
  chunksDownloaded = 0;
  streamsInMemory = 0;
  chunksInMemory = 0;
  entriesReturned = 0;
  readonly resultsCache = noCacheCounts();
  readonly #missing = new Set<string>();
  readonly #startedMs: number;
  readonly #stop = new AbortController();
  /** Who waits for something now. A promise that they race against would hold what they got for as long as the query runs. */
  readonly #waiting = new Set<() => void>();
  #refusal: Refusal | undefined;
  readonly #cancelDeadline: () => void;
  readonly #outer: AbortSignal;
  readonly #onAbort = (): void => this.#end(CANCELLED);

  constructor(request: QueryRequest, sources: QuerySources, deps: QueryDeps, signal: AbortSignal) {
    this.request = request;
    this.sources = sources;
    this.deps = deps;
    this.permits = new Permits(this.tasksMax);
    this.#startedMs = deps.clock.monotonicMs();
    // One for each task and each member that is asked.
    setMaxListeners(0, this.#stop.signal);
    this.#outer = signal;
    const { timeoutMs } = request.limits;
    this.#cancelDeadline =
      timeoutMs > 0 ? deps.clock.after(timeoutMs, () => this.#end(QUERY_DEADLINE)) : () => undefined;
    if (signal.aborted) this.#onAbort();
    signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** undefined: nothing is kept. What is kept is of all streams, and knows of no entries that this query alone leaves out. */
  get caching(): QueryCaching | undefined {
    const { caching, shard, deletes = [] } = this.request;
    return shard || deletes.length > 0 ? undefined : caching;
  }

  /** undefined where the answer must be whole. */
  get onMissing(): ((reason: string) => void) | undefined {
    return this.request.allowsPartial ? (reason) => this.lacks(reason) : undefined;
  }

  /** The answer is short for this reason. */
  lacks(reason: string): void {
    this.#missing.add(reason);
  }

  /** Something that may hold entries could not be asked. */
  get isPartial(): boolean {
    return this.#missing.size > 0;
  }

  /** Tasks that may run at a time. */
  get tasksMax(): number {
    return this.request.limits.tasksMax ?? Number.POSITIVE_INFINITY;
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** @throws RefusedError once the query is cancelled or past its deadline */
  check(): void {
    if (this.#refusal) throw new RefusedError(this.#refusal);
  }

  /** `work`, or the refusal as soon as the query is stopped: nobody waits for what nobody wants. */
  async orStop<T>(work: Promise<T>): Promise<T> {
    // Whether it is waited for or not: a failure nobody handles ends the process.
    work.catch(() => undefined);
    this.check();
    let stop = (): void => undefined;
    try {
      return await new Promise<T>((resolve, reject) => {
        stop = () => reject(new RefusedError(this.#refusal ?? CANCELLED));
        this.#waiting.add(stop);
        work.then(resolve, reject);
      });
    } catch (error) {
      // A task that was taken off the queue reports that; the reason is ours to tell.
      this.check();
      throw error;
    } finally {
      this.#waiting.delete(stop);
    }
  }

  /** Asked before memory and store are: what is deleted meanwhile may show. */
  async hiddenIn(tenant: string, range: TimeRangeNs): Promise<HiddenEntries | undefined> {
    const { hidden } = this.deps;
    const { deletes = [], deletesAgeMsMax } = this.request;
    const found = hidden && (await this.orStop(hidden(tenant, range, deletesAgeMsMax)));
    if (deletes.length === 0) return found;
    return { deletes: [...(found?.deletes ?? []), ...deletes], retention: found?.retention ?? [] };
  }

  async runTask(task: ScanTask): Promise<ScanResult> {
    const slices = task.kind === 'metric' ? task.slices : task.reads.map(({ slice }) => slice);
    const chunks = slices.flatMap((slice) => slice.chunks);
    const result = await this.orStop(this.deps.scanPool.run(task, buffersOf(chunks), this.signal));
    this.read(result.counts);
    return result;
  }

  /** A task read so much. @throws RefusedError over the limit */
  read(counts: ScanCounts): void {
    addCounts(this.counts, counts);
    this.#checkBytes();
  }

  statistics(): QueryStatistics {
    const { counts } = this;
    return {
      ...counts,
      bytesProcessed: counts.decompressedBytes + counts.headBytes,
      linesProcessed: counts.decompressedLines + counts.headLines,
      entriesReturned: this.entriesReturned,
      chunkRefs: this.chunkRefs,
      chunksDownloaded: this.chunksDownloaded,
      streamsInMemory: this.streamsInMemory,
      chunksInMemory: this.chunksInMemory,
      resultsCache: { ...this.resultsCache },
      executionMs: this.deps.clock.monotonicMs() - this.#startedMs,
      ...(this.#missing.size > 0 && { missing: [...this.#missing] }),
    };
  }

  /** Stops what still runs and lets go of timers. Call it however the query ends. */
  close(): void {
    this.#cancelDeadline();
    this.#outer.removeEventListener('abort', this.#onAbort);
    this.#end(CANCELLED);
  }

  #end(refusal: Refusal): void {
    this.#refusal ??= refusal;
    this.#stop.abort(ABORTED);
    for (const stop of this.#waiting) stop();
  }

  /** Whether so many chunks, with those being read, may be in vain: nobody counts the bytes, or they are few of those that may be read. */
  mayReadInVain(chunks: number): boolean {
    const { bytesReadMax, querierBytesReadMax = 0 } = this.request.limits;
    const bytes = this.#bytesRead + chunks * CHUNK_LINE_BYTES;
    return [bytesReadMax, querierBytesReadMax].every((most) => most === 0 || bytes <= most * IN_VAIN_SHARE);
  }

  get #bytesRead(): number {
    return this.counts.decompressedBytes + this.counts.headBytes;
  }

  #checkBytes(): void {
    const { bytesReadMax, querierBytesReadMax = 0 } = this.request.limits;
    const bytes = this.#bytesRead;
    if (bytesReadMax > 0 && bytes > bytesReadMax) {
      this.#refuse(
        `the query would read too many bytes ${sizesText(bytes, bytesReadMax)}; ` +
          'consider adding more specific stream selectors or reduce the time range of the query',
      );
    }
    if (querierBytesReadMax > 0 && bytes > querierBytesReadMax) {
      this.#refuse(
        `query too large to execute on a single querier: ${sizesText(bytes, querierBytesReadMax)}; ` +
          'consider adding more specific stream selectors, reduce the time range of the query, or adjust parallelization settings',
      );
    }
  }

  /** All of the query: what still runs is in vain. @throws RefusedError */
  #refuse(text: string): never {
    const refusal = { code: 'INVALID_QUERY', text } as const;
    this.#end(refusal);
    throw new RefusedError(refusal);
  }
}

const sizesText = (bytes: number, bytesMax: number): string =>
  `(query: ${ibytesText(bytes)}, limit: ${ibytesText(bytesMax)})`;
