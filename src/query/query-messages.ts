/** The query actor's protocol: what a Node program sends and gets. See docs/query-actor.md. */
import type { FingerprintShard } from '../protocol/fingerprint-shard.ts';
import type { Refusal } from '../protocol/refusal.ts';
import type { DeletedEntries } from './scan/hidden-entries.ts';

export interface QueryRequest {
  /** One, or several joined by `|`: their streams have the label `__tenant_id__` then. */
  readonly tenant: string;
  /** LogQL text. */
  readonly query: string;
  /** Log queries: [startNs, endNs). Metric queries: evaluation times startNs, startNs + stepNs, … ≤ endNs. Instant: startNs = endNs. */
  readonly startNs: bigint;
  readonly endNs: bigint;
  readonly stepNs: bigint;
  readonly isInstant: boolean;
  /** Log queries: entries over all streams. */
  readonly limit: number;
  readonly direction: 'forward' | 'backward';
  /** Log queries: after a kept entry skip those closer than this; 0 = keep all. */
  readonly intervalNs: bigint;
  /** Keep stream, structured metadata and parsed labels apart in log results. */
  readonly categorizeLabels: boolean;
  readonly limits: QueryLimits;
  /** Metric queries over a range: parts of the answer may be those of an earlier query, if nothing has changed since. Absent: none. */
  readonly caching?: QueryCaching;
  /** In a cluster: answer from those members that can be asked, and say in `missing` what may lack. Default: such a query is refused. */
  readonly allowsPartial?: boolean;
  /** Only streams of this part. Absent: all. */
  readonly shard?: FingerprintShard | undefined;
  /** Entries that are not shown, besides those that the tenant's own delete requests hide. */
  readonly deletes?: readonly DeletedEntries[];
  /** Delete requests may be known from so long ago. Default: every one that was answered before the query began is heeded. */
  readonly deletesAgeMsMax?: number;
}

/** What is kept of answers. */
export interface QueryCaching {
  /** Answers are kept in parts of so many ms each. */
  readonly intervalMs: number;
  /** Steps of the last so many ms are not kept. */
  readonly freshnessMs: number;
}

export interface QueryLimits {
  readonly timeoutMs: number;
  /** 0 = unlimited */
  readonly bytesReadMax: number;
  /** What one querier may read of it: here all. Absent or 0 = unlimited. */
  readonly querierBytesReadMax?: number;
  readonly seriesMax: number;
  /** Stored chunks that one of its selectors may match, of each tenant. Absent or 0 = unlimited. */
  readonly chunksMax?: number;
  /** Above `seriesMax` the answer is cut, and `missing` says so. Default: such a query is refused. */
  readonly cutsSeries?: boolean;
  /** Its tasks that run at a time, on all nodes. Absent = as many as keep all workers busy; 0 = no queries. */
  readonly tasksMax?: number;
}

/** One log entry of an answer. */
export interface LogEntry {
  readonly timeNs: bigint;
  readonly line: string;
  /** Only with categorizeLabels: flat pairs. */
  readonly metadata?: readonly string[];
  readonly parsed?: readonly string[];
}

/** Entries with equal final labels (stream labels with categorizeLabels), in the requested direction. */
export interface LogStream {
  readonly labels: readonly string[];
  readonly entries: readonly LogEntry[];
}

export interface MetricSeries {
  /** Flat sorted pairs. */
  readonly labels: readonly string[];
  /** Evaluation times in ms. */
  readonly timesMs: readonly number[];
  readonly values: readonly number[];
}

/** What a query had of a cache, as Loki's `stats.cache` counts it. */
export interface CacheCounts {
  requested: number;
  found: number;
  stored: number;
  bytesReceived: number;
  bytesSent: number;
  /** Time of the query that the cache answered for. */
  servedMs: number;
}

export const noCacheCounts = (): CacheCounts => ({
  requested: 0,
  found: 0,
  stored: 0,
  bytesReceived: 0,
  bytesSent: 0,
  servedMs: 0,
});

export interface QueryStatistics {
  readonly bytesProcessed: number;
  readonly linesProcessed: number;
  readonly entriesReturned: number;
  readonly chunkRefs: number;
  readonly chunksDownloaded: number;
  readonly decompressedBytes: number;
  readonly decompressedLines: number;
  readonly compressedBytes: number;
  readonly headBytes: number;
  readonly headLines: number;
  readonly duplicates: number;
  /** Blocks in the time range: inflated, and ruled out by their skip filter (docs/chunk-format.md). */
  readonly blocksInflated: number;
  readonly blocksSkipped: number;
  readonly streamsInMemory: number;
  readonly chunksInMemory: number;
  readonly resultsCache: Readonly<CacheCounts>;
  readonly executionMs: number;
  /** Why the answer may be short: only where the request allows that. */
  readonly missing?: readonly string[];
}

/** Of an answer for which nothing was read. */
export const NO_STATISTICS: QueryStatistics = {
  bytesProcessed: 0,
  linesProcessed: 0,
  entriesReturned: 0,
  chunkRefs: 0,
  chunksDownloaded: 0,
  decompressedBytes: 0,
  decompressedLines: 0,
  compressedBytes: 0,
  headBytes: 0,
  headLines: 0,
  duplicates: 0,
  blocksInflated: 0,
  blocksSkipped: 0,
  streamsInMemory: 0,
  chunksInMemory: 0,
  resultsCache: noCacheCounts(),
  executionMs: 0,
};

export type QueryResult =
  | { readonly type: 'streams'; readonly streams: readonly LogStream[]; readonly statistics: QueryStatistics }
  | { readonly type: 'matrix'; readonly series: readonly MetricSeries[]; readonly statistics: QueryStatistics }
  | { readonly type: 'vector'; readonly series: readonly MetricSeries[]; readonly statistics: QueryStatistics }
  | { readonly type: 'scalar'; readonly timeMs: number; readonly value: number; readonly statistics: QueryStatistics };

/** To the query actor. */
export type QueryCommand =
  /** From whoever spawned it, after it took earlier results: `credits` more entry batches may be sent. */
  | { readonly type: 'pull'; readonly credits: number }
  /** Stop now; the answer is `failed` with CANCELLED, once. */
  | { readonly type: 'cancel' };

/** From the query actor to its reader. `entries` and `series` come only against credits; exactly one `done` or `failed` ends it. */
export type QueryEvent =
  | { readonly type: 'entries'; readonly streams: readonly LogStream[] }
  | { readonly type: 'series'; readonly resultType: 'matrix' | 'vector'; readonly series: readonly MetricSeries[] }
  | { readonly type: 'scalar'; readonly timeMs: number; readonly value: number }
  | { readonly type: 'done'; readonly statistics: QueryStatistics }
  | { readonly type: 'failed'; readonly refusal: Refusal };
