/** The composition root of a node: alone in opening stores and starting threads. */
import path from 'node:path';
import type { Ref } from 'nact';
import type { Compactor } from './actors/compactor.ts';
import { LocalNode } from './actors/local-node.ts';
import type { LocalNodeDeps, NodeFigures } from './actors/local-node-options.ts';
import type { LoggedSegments } from './actors/logged-segments.ts';
import type { NodeServices } from './actors/node-services.ts';
import type { QueryReader } from './actors/querier.ts';
import type { StreamMoves } from './actors/stream-moves.ts';
import type { EncodedChunk } from './chunk/chunk-object.ts';
import { HeadMemory } from './chunk/head-memory.ts';
import type { BlockData } from './chunk/memory-format.ts';
import { chunkStoreOf } from './chunk-store-of.ts';
import type { MembershipStore } from './cluster/membership/membership-store.ts';
import type { Config } from './config.ts';
import { BYTES_PER_MB } from './config-storage.ts';
import { systemCpuWait } from './cpu-wait.ts';
import { type IndexStoreDeps, indexStoreOf, type OpenIndex } from './index-store-of.ts';
import type { Log } from './log/log.ts';
import type { LogFiles } from './log/log-files.ts';
import { NodeLogFiles } from './log/node-log-files.ts';
import type { ClusterMember } from './member/member.ts';
import type { MessageSizes } from './member/offered-parts.ts';
import { type StartedMember, type StartMemberDeps, type StartPeers, startMember } from './member/start-member.ts';
import { compactionOf, type NodeCompaction } from './node-compaction.ts';
import { type NodeIdentity, newUid, nextIdentity } from './node-identity.ts';
import { type NodeLogDeps, openNodeLog } from './node-log.ts';
import { localNodeOptions } from './node-options.ts';
import { type NodeRuler, rulerOf } from './node-ruler.ts';
import { type NodeWorkers, startWorkers } from './node-workers.ts';
import { ProblemLog } from './problem-log.ts';
import type { Clock } from './protocol/clock.ts';
import { RefusedError } from './protocol/refusal.ts';
import { queryEvents } from './query/execute-query.ts';
import type { QueryCommand, QueryRequest } from './query/query-messages.ts';
import { ResultsCache } from './query/results-cache.ts';
import type { RewrittenChunk } from './query/scan/rewrite-chunk.ts';
import { CachedChunkStore } from './storage/cached-chunk-store.ts';
import type { ChunkStore } from './storage/chunk-store.ts';
import { FolderLock } from './storage/folder-lock.ts';
import type { IndexStore } from './storage/index-store.ts';
import { makeFolder } from './storage/make-folder.ts';
import { SchemaIndexReader } from './storage/schema-index-reader.ts';
import { systemClock } from './system-clock.ts';
import { SharedMemoryPressure } from './workers/shared-memory-pressure.ts';

/** Where a node says what it does and what went wrong; pino's loggers fit. */
export interface NodeLog {
  info(fields: object, text: string): void;
  warn(fields: object, text: string): void;
  error(fields: object, text: string): void;
}

/** What may be put in place of the embedded parts: other stores, a clock that a test moves. Stores given are closed by the node. */
export interface NodeDeps {
  readonly log?: NodeLog;
  readonly clock?: Clock;
  readonly chunks?: ChunkStore;
  readonly index?: IndexStore;
  /** In [0, 1). */
  readonly chance?: () => number;
  /** Threads shared with other nodes of the process; not closed by the node. */
  readonly workers?: NodeWorkers;
  /** A disk for the log, where the stores are given too: without it such a node has none. */
  readonly logDisk?: LogDisk;
  /** Told of what happens too fast to be asked for. */
  readonly observer?: NodeObserver;
  /** Of a member of a cluster: the membership store in place of the configured one. Closed by the node. */
  readonly members?: MembershipStore;
  /** Of a member of a cluster: how it talks to the others in place of gRPC. */
  readonly startPeers?: StartPeers;
  /** Of a member of a cluster: how it cuts what it hands over. */
  readonly messageSizes?: MessageSizes;
  /** Of a member of a cluster: the others no longer count it in. It acknowledges nothing any more; stop it and start it anew. */
  readonly onLost?: (reason: string) => void;
}

/** Gets figures of single events; it must not throw. */
export interface NodeObserver {
  /** A batch of the log is durable, so many ms after its write began. */
  committed(ms: number): void;
  /** A request to a store over the network failed and is sent again. */
  retried(store: 'chunks' | 'index'): void;
  /** A rule was evaluated, in so many ms. */
  evaluated(ms: number, isFine: boolean): void;
}

export interface LogDisk {
  readonly files: LogFiles;
  readonly identity: NodeIdentity;
}

/** What a node has for giving streams away and taking them. */
export interface HandOver {
  readonly moves: StreamMoves;
  readonly log: Log;
  /** `add` what was adopted, once there is CUSTODY. */
  readonly logged: LoggedSegments;
}

export interface RinglogNode {
  readonly services: NodeServices;
  /** Of a member of a cluster. */
  readonly cluster: ClusterMember | undefined;
  /**
   * Spawns a query as an actor. `reader` gets its events; send it `pull` for more, `cancel` to stop it (see docs/query-actor.md).
   */
  spawnQuery(request: QueryRequest, reader: QueryReader): Ref<QueryCommand>;
  figures(): NodeFigures;
  /** undefined without `compactor.retention_enabled`. */
  readonly compactor: Compactor | undefined;
  /** Evaluates from the node's start on; may be told to end that before the node stops. */
  readonly ruler: Pick<NodeRuler, 'figures' | 'endEvaluations'>;
  /** For moves of streams between nodes; undefined without a log. */
  readonly handOver: HandOver | undefined;
  /** Looks for idle and old streams now instead of at the next `flush_check_period`. */
  sweep(): Promise<void>;
  /**
   * Takes no more pushes, stores what is unflushed unless the log keeps it for the next start, closes. Nothing acknowledged is lost if it
   * resolves.
   * @throws RefusedError DEADLINE_EXCEEDED if not all could be stored in time; closed all the same
   */
  stop(options?: { readonly deadlineMs?: number }): Promise<void>;
}

/** A node that runs, and is no member of its cluster yet. */
export interface OpenNode extends RinglogNode {
  /**
   * A member of a cluster registers and takes its place; nothing to do for a node alone. `stop` it if this fails.
   * @throws MembershipError
   */
  join(httpAddress: string): Promise<void>;
}

/** @throws RefusedError STORAGE_UNAVAILABLE if the data folder cannot be used, or another node has it; MembershipError */
export const startNode = async (config: Config, deps: NodeDeps = {}): Promise<RinglogNode> => {
  const node = await openNode(config, deps);
  try {
    await node.join(config.http_listen);
  } catch (error) {
    await node.stop().catch(() => undefined);
    throw error;
  }
  return node;
};

/**
 * As `startNode`, but a member of a cluster has not joined: whoever listens for it does so before.
 * @throws RefusedError STORAGE_UNAVAILABLE if the data folder cannot be used, or another node has it
 */
export const openNode = async (config: Config, deps: NodeDeps = {}): Promise<OpenNode> => {
  const closers: Closer[] = [];
  try {
    return await openParts(config, deps, closers);
  } catch (error) {
    // A start that fails leaves nothing open: it may be tried again.
    await closeAll(closers).catch(() => undefined);
    throw error;
  }
};

type Closer = () => Promise<unknown>;

/** What was opened last first, each whatever becomes of the others. @throws the first error */
const closeAll = async (closers: readonly Closer[]): Promise<void> => {
  const outcomes: PromiseSettledResult<unknown>[] = [];
  for (const close of closers.toReversed()) outcomes.push(...(await Promise.allSettled([close()])));
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
};

/** @param closers gets what closes each part that was opened */
const openParts = async (config: Config, deps: NodeDeps, closers: Closer[]): Promise<OpenNode> => {
  const { clock = systemClock, log, chance = Math.random } = deps;
  const problems = new ProblemLog(clock, (fields, problem) => log?.error(fields, problem));
  const report = (problem: string, error: unknown, about?: object): void => problems.report(problem, error, about);
  const stores = await openStores(config, deps, { clock, chance, report });
  const { chunks, index, logDisk } = stores;
  const pressure = new SharedMemoryPressure();
  const memory = new HeadMemory((bytes) => pressure.dropped(bytes));
  closers.push(
    () => stores.release(),
    () => Promise.all([chunks.close(), index.close()]),
    async () => pressure.close(),
  );
  const committed = (ms: number): void => deps.observer?.committed(ms);
  // Where time is a test's, so is what takes time.
  const cpuWaitShare = deps.clock ? undefined : systemCpuWait()?.share;
  const told = toldTo(log);
  const shared = { clock, chance, chunks, report, info: told.info };
  const logDeps = { index, clock, chance, report, memory, committed, cpuWaitShare, ...told };
  const wal = logDisk && (await openLogOf(config, logDisk, logDeps));
  const { cut, scan } = deps.workers ?? startWorkers(config);
  if (!deps.workers) closers.push(() => Promise.all([cut.close(), scan.close()]));
  closers.push(async () => wal?.log.close());
  const cluster = await memberOf(config, deps, wal && logDisk, { ...shared, scanPool: scan, cpuWaitShare });
  closers.push(async () => cluster?.close());
  const compaction = compactionOf(config, {
    ...shared,
    index,
    rewrite: (task) => cut.run(task, [task.bytes.buffer as ArrayBuffer]) as Promise<RewrittenChunk>,
    router: cluster?.member.routing,
  });
  closers.push(async () => compaction?.compactor.stop());
  const identity = logDisk?.identity ?? newIdentity(clock);
  const results = resultsCacheOf(config);
  const parts = { clock, chance, chunks, index, memory, report, identity, wal, cluster, compaction, cut, scan };
  const node = localNodeOf(config, parts, results);
  if (cluster && wal) cluster.member.attach(node, wal.log, wal.logged);
  const ruler = rulerOf(config, {
    ...shared,
    services: node.services,
    cluster: cluster?.member.rules,
    evaluated: (ms, isFine) => deps.observer?.evaluated(ms, isFine),
  });
  const join = async (httpAddress: string): Promise<void> => {
    await cluster?.join(httpAddress);
    ruler.start();
  };
  return {
    join,
    cluster: cluster?.member,
    services: { ...node.services, deletes: compaction?.deletes, rules: ruler.rules },
    ruler,
    compactor: compaction?.compactor,
    spawnQuery: (request, reader) => node.spawnQuery(request, reader),
    handOver: wal && node.moves && { moves: node.moves, ...wal },
    figures: () => ({
      ...node.figures,
      chunkCache: chunks instanceof CachedChunkStore ? chunks.figures : undefined,
      indexCache: stores.indexCache?.(),
      resultsCache: results?.figures,
      compaction: compaction?.compactor.figures,
    }),
    sweep: () => node.sweep(),
    stop: async ({ deadlineMs = config.server.graceful_shutdown_timeout } = {}) => {
      const rulerStopped = ruler.stop(deadlineMs);
      try {
        await node.stop(deadlineMs);
      } finally {
        await rulerStopped;
        await closeAll(closers);
      }
    },
  };
};

const memberOf = async (
  config: Config,
  { members: store, startPeers, messageSizes, onLost }: NodeDeps,
  logDisk: LogDisk | undefined,
  parts: Pick<StartMemberDeps, 'clock' | 'chance' | 'scanPool' | 'chunks' | 'cpuWaitShare' | 'report' | 'info'>,
): Promise<StartedMember | undefined> => {
  if (!config.cluster.enabled) return undefined;
  if (!logDisk) throw needsLog();
  return await startMember(config, {
    ...parts,
    identity: logDisk.identity,
    store,
    startPeers,
    messageSizes,
    onLost: (reason) => onLost?.(reason),
  });
};

interface NodeParts
  extends Pick<LocalNodeDeps, 'clock' | 'chance' | 'chunks' | 'index' | 'memory' | 'report'>,
    NodeWorkers {
  readonly identity: NodeIdentity;
  readonly wal: Awaited<ReturnType<typeof openNodeLog>> | undefined;
  readonly cluster: StartedMember | undefined;
  readonly compaction: NodeCompaction | undefined;
}

const localNodeOf = (config: Config, parts: NodeParts, results: ResultsCache | undefined): LocalNode => {
  const { clock, chance, chunks, index, memory, report, identity, wal, cluster, compaction, cut, scan } = parts;
  const places = cluster?.member.places;
  const queryDeps = { scanPool: scan, clock, places, hidden: compaction?.hidden, results };
  return new LocalNode(localNodeOptions(config, cut.size, identity, wal !== undefined), {
    clock,
    chance,
    chunks,
    index,
    reader: new SchemaIndexReader(index, config.schema, (tenant) => config.limits.limitsFor(tenant).cardinalityLimit),
    cut: (task) => cut.run(task) as Promise<BlockData>,
    encode: (task) => cut.run(task) as Promise<EncodedChunk>,
    execute: (request, sources, signal) => queryEvents(request, sources, queryDeps, signal),
    memory,
    report,
    log: wal?.log,
    logged: wal?.logged,
    router: cluster?.member.routing,
    clusterMemory: cluster?.member.clusterMemory,
  });
};

const resultsCacheOf = ({ query_range }: Config): ResultsCache | undefined => {
  const { enabled, max_size_mb } = query_range.results_cache.cache.embedded_cache;
  return query_range.cache_results && enabled ? new ResultsCache(max_size_mb * BYTES_PER_MB) : undefined;
};

const needsLog = (): RefusedError =>
  new RefusedError({ code: 'STORAGE_UNAVAILABLE', text: 'a member of a cluster needs a log: ingester.wal.enabled' });

interface OpenStores {
  readonly chunks: ChunkStore;
  readonly index: IndexStore;
  readonly indexCache?: OpenIndex['cacheFigures'] | undefined;
  readonly logDisk: LogDisk | undefined;
  /** Lets another process have the data folder; call it when they are closed. */
  release(): Promise<void>;
}

const openStores = async (
  config: Config,
  deps: NodeDeps,
  { clock, chance, report }: Pick<IndexStoreDeps, 'clock' | 'chance' | 'report'>,
): Promise<OpenStores> => {
  const { logDisk, observer } = deps;
  if (deps.chunks && deps.index) {
    return { chunks: deps.chunks, index: deps.index, logDisk, release: async () => undefined };
  }
  const lock = await FolderLock.make(config.data_dir);
  let opened: ChunkStore | undefined;
  try {
    const isShared = config.store_dir !== '';
    const folder = isShared ? config.store_dir : config.data_dir;
    const chunks =
      deps.chunks ?? (await chunkStoreOf(config, { clock, chance, retried: () => observer?.retried('chunks') }));
    if (!deps.chunks) opened = chunks;
    const { index, cacheFigures } = deps.index
      ? { index: deps.index, cacheFigures: undefined }
      : await indexStoreOf(config, {
          folder: () => folderIn(folder, 'index'),
          isShared,
          clock,
          chance,
          report,
          retried: () => observer?.retried('index'),
        });
    return {
      chunks,
      index,
      indexCache: cacheFigures,
      logDisk: logDisk ?? (await logDiskOf(config, clock)),
      release: () => lock.release(),
    };
  } catch (error) {
    await opened?.close().catch(() => undefined);
    await lock.release();
    throw error;
  }
};

/** Of a process that has no disk: its segments are like no other's all the same. */
const newIdentity = (clock: Clock): NodeIdentity => ({
  uid: newUid(),
  incarnation: clock.nowMs(),
});

const logDiskOf = async (config: Config, clock: Clock): Promise<LogDisk | undefined> => {
  if (!config.ingester.wal.enabled) return undefined;
  const identity = await nextIdentity(config.data_dir, clock.nowMs());
  return { files: new NodeLogFiles(await folderIn(config.data_dir, 'log')), identity };
};

const openLogOf = (
  { ingester, schema }: Config,
  { files, identity }: LogDisk,
  deps: Omit<NodeLogDeps, 'files' | 'identity' | 'schema'>,
) => openNodeLog(ingester, { files, identity, schema, ...deps });

const toldTo = (log: NodeLog | undefined): Pick<NodeLogDeps, 'info' | 'warn'> => ({
  info: (fields, text) => log?.info(fields, text),
  warn: (fields, text) => log?.warn(fields, text),
});

const folderIn = async (parent: string, name: string): Promise<string> => {
  const folder = path.join(parent, name);
  await makeFolder(folder);
  return folder;
};
