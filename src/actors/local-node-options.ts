/** What a node is made of, and what it tells of itself. */
import type { BlockEncoding } from '../chunk/block-encoding.ts';
import type { EncodedChunk } from '../chunk/chunk-object.ts';
import type { HeadMemorySource } from '../chunk/head-memory.ts';
import type { BlockData } from '../chunk/memory-format.ts';
import type { Log, LogFigures } from '../log/log.ts';
import type { Clock } from '../protocol/clock.ts';
import type { TenantLimits } from '../protocol/limits.ts';
import type { QueryRequest } from '../query/query-messages.ts';
import type { MemorySource, QuerySources } from '../query/query-source.ts';
import type { ResultsCacheFigures } from '../query/results-cache.ts';
import type { ChunkCacheFigures } from '../storage/cached-chunk-store.ts';
import type { IndexCacheFigures } from '../storage/cached-index-store.ts';
import type { ChunkStore } from '../storage/chunk-store.ts';
import type { IndexReader, SeriesReader } from '../storage/index-reader.ts';
import type { IndexStore } from '../storage/index-store.ts';
import type { SchemaConfig } from '../storage/schema-config.ts';
import type { ChunkTask, CutTask } from '../workers/cut-worker.ts';
import type { AppendBudgetOptions } from './append-budget.ts';
import type { AppendRouter } from './append-router.ts';
import type { CompactorFigures } from './compactor.ts';
import type { FlusherFigures } from './flusher.ts';
import type { LoggedSegments } from './logged-segments.ts';
import type { StreamMemory } from './memory-source.ts';
import type { QuerierDeps } from './querier.ts';
import type { GateFigures, QueryGateOptions } from './query-gate.ts';
import type { FlushRules } from './stream-state.ts';

/** Evaluates over given sources; see ExecuteQuery. */
export type ExecuteOver = (
  request: QueryRequest,
  sources: QuerySources,
  signal: AbortSignal,
) => ReturnType<QuerierDeps['execute']>;

export interface LocalNodeOptions {
  readonly nodeId: string;
  /** Of this process: higher than those of all before it. */
  readonly incarnation: number;
  readonly blockSize: number;
  readonly targetSize: number;
  readonly encoding: BlockEncoding;
  readonly level: number;
  readonly rules: FlushRules;
  readonly flushCheckMs: number;
  readonly flushConcurrencyMax: number;
  readonly flushTimeoutMs: number;
  /** Everything is stored before the node stops: where there is no log it must be. */
  readonly flushesAtStop: boolean;
  readonly flushBackOff: { readonly firstMs: number; readonly lastMs: number };
  readonly headBytesMax: number;
  readonly unflushedBytesMax: number;
  readonly append: AppendBudgetOptions;
  readonly labelCacheBytes: number;
  readonly cutConcurrencyMax: number;
  readonly gate: QueryGateOptions;
  readonly schema: SchemaConfig;
  readonly limits: TenantLimits;
}

export interface LocalNodeDeps {
  readonly clock: Clock;
  readonly chance: () => number;
  readonly chunks: ChunkStore;
  readonly index: IndexStore;
  readonly reader: IndexReader & SeriesReader;
  /** Both in worker threads. */
  readonly cut: (task: CutTask) => Promise<BlockData>;
  readonly encode: (task: ChunkTask) => Promise<EncodedChunk>;
  readonly execute: ExecuteOver;
  /** Undefined on a node that has no disk: what is acknowledged is lost with the process then. */
  readonly log: Log | undefined;
  /** Of a member of a cluster. */
  readonly router?: AppendRouter | undefined;
  /** Of a member of a cluster: what all members hold. */
  readonly clusterMemory?: ((local: StreamMemory) => ClusterWideMemory) | undefined;
  /** What the log has and no actor's memory. */
  readonly logged: LoggedSegments | undefined;
  /** Of all heads. */
  readonly memory: HeadMemorySource;
  readonly report: (problem: string, error: unknown, about?: object) => void;
}

export type ClusterWideMemory = MemorySource & Pick<StreamMemory, 'labelSets' | 'volumes'>;

export interface NodeFigures {
  readonly streams: number;
  readonly streamsCreated: number;
  readonly streamCrashes: number;
  readonly headBytes: number;
  /** Beyond it heads are cut early. */
  readonly headBytesMax: number;
  readonly unflushedBytes: number;
  /** Beyond it pushes are refused. */
  readonly unflushedBytesMax: number;
  readonly appendBytesInFlight: number;
  readonly pushesWaiting: number;
  readonly queries: GateFigures;
  readonly cutsPending: number;
  readonly flush: FlusherFigures;
  /** Unflushed segments that lie in the log only: of earlier processes, of other nodes. */
  readonly recoveredSegments: number;
  /** Bytes of blocks a plain one, lately; a guess until a block was cut. */
  readonly compressionRatio: number;
  readonly log: LogFigures | undefined;
  /** Where chunks come over the network and are kept for a while. */
  readonly chunkCache?: ChunkCacheFigures | undefined;
  /** Where index rows of past days are. */
  readonly indexCache?: IndexCacheFigures | undefined;
  /** Where parts of answers are kept. */
  readonly resultsCache?: ResultsCacheFigures | undefined;
  /** Where there is retention. */
  readonly compaction?: CompactorFigures | undefined;
}
