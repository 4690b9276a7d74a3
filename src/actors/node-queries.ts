import type { Ref } from 'nact';
import type { QueryCommand, QueryRequest, QueryResult } from '../query/query-messages.ts';
import type { MemoryStream, QuerySources } from '../query/query-source.ts';
import { selectionsOf } from '../query/query-tenants.ts';
import type { StreamVolume } from '../query/stream-volume.ts';
import { Turns } from '../query/turns.ts';
import { ChunkBound, checkChunkCount } from '../storage/chunk-bound.ts';
import { ChunkRefs } from '../storage/chunk-refs.ts';
import { inTurn } from './in-turn.ts';
import { LabelQueries } from './label-queries.ts';
import type { ClusterWideMemory, LocalNodeDeps, LocalNodeOptions } from './local-node-options.ts';
import type { StreamMemory } from './memory-source.ts';
import type { ChunkKeysRequest, NodeServices, RunningQuery, VolumeRequest } from './node-services.ts';
import type { PushPressure } from './push-pressure.ts';
import { type QuerierDeps, type QueryReader, spawnQuery } from './querier.ts';
import { type GateFigures, QueryGate } from './query-gate.ts';
import { readAll, readEvents } from './query-reading.ts';
import { startTail } from './tail.ts';
import { TenantLabels } from './tenant-labels.ts';
import { VolumeQueries } from './volume-queries.ts';

/** The reading side of a node: query actors, questions about labels, tails. */
export class NodeQueries {
  readonly #deps: LocalNodeDeps;
  readonly #options: LocalNodeOptions;
  readonly #memory: ClusterWideMemory;
  readonly #querier: QuerierDeps;
  readonly #labels: TenantLabels;
  readonly #volumes: VolumeQueries;

  constructor(
    system: Ref<never>,
    options: LocalNodeOptions,
    deps: LocalNodeDeps,
    local: StreamMemory,
    pressure: PushPressure,
  ) {
    this.#deps = deps;
    this.#options = options;
    const memory: ClusterWideMemory = deps.clusterMemory?.(local) ?? local;
    this.#memory = memory;
    const stored = { index: deps.reader, chunks: deps.chunks };
    this.#labels = new TenantLabels(
      new LabelQueries({ memory, stored, series: deps.reader, clock: deps.clock }),
      deps.clock,
    );
    this.#volumes = new VolumeQueries({ clock: deps.clock, memory, stored, index: deps.index });
    this.#querier = {
      parent: system,
      clock: deps.clock,
      gate: new QueryGate({ ...options.gate, sparing: { isDue: () => pressure.isHigh, clock: deps.clock } }),
      execute: (request, signal) => deps.execute(request, { memory, stored }, signal),
      report: deps.report,
    };
  }

  readonly services: Pick<
    NodeServices,
    'query' | 'queryAll' | 'tail' | 'labelNames' | 'labelValues' | 'series' | 'volumes' | 'chunkKeys'
  > = {
    query: (request) => this.#query(request),
    queryAll: (request, signal) => this.#queryAll(request, signal),
    tail: (request) =>
      startTail(
        {
          clock: this.#deps.clock,
          memory: this.#memory,
          queryAll: (query, signal) => this.#queryAll(query, signal),
          queryStreams: (query, streams, signal) => this.#queryStreams(query, streams, signal),
          queryTimeoutMs: this.#options.limits.limitsFor(request.tenant).queryTimeoutMs,
        },
        request,
      ),
    labelNames: (tenant, matchers, range) => this.#labels.names(tenant, matchers, range),
    labelValues: (tenant, name, matchers, range) => this.#labels.values(tenant, name, matchers, range),
    series: (tenant, selectors, range) => this.#labels.series(tenant, selectors, range),
    volumes: (request, signal) => this.#volumesInTurn(request, signal),
    chunkKeys: (request, signal) => this.#chunkKeys(request, signal),
  };

  get figures(): GateFigures {
    return this.#querier.gate.figures;
  }

  /** See spawnQuery. */
  spawn(request: QueryRequest, reader: QueryReader): Ref<QueryCommand> {
    return spawnQuery(this.#querier, request, reader);
  }

  #query(request: QueryRequest): RunningQuery {
    return readEvents((reader) => this.spawn(request, reader));
  }

  async #queryAll(request: QueryRequest, signal: AbortSignal): Promise<QueryResult> {
    return await readAll(this.#query(request), signal);
  }

  async #volumesInTurn(request: VolumeRequest, signal: AbortSignal): Promise<readonly StreamVolume[]> {
    const { tenant, matchers, range } = request;
    return await inTurn(this.#querier, request, signal, async (check) => {
      const streams: StreamVolume[] = [];
      for (const one of selectionsOf(tenant, matchers)) {
        for (const stream of await this.#volumes.volumes(one.tenant, one.matchers, range, check)) streams.push(stream);
      }
      return streams;
    });
  }

  async #chunkKeys(request: ChunkKeysRequest, signal: AbortSignal): Promise<readonly string[]> {
    const { tenant, matchers, range, chunksMax } = request;
    return await inTurn(this.#querier, request, signal, async (check) => {
      const refs = await this.#deps.reader.chunkRefs(tenant, matchers, range, new ChunkBound(chunksMax, range));
      checkChunkCount(refs.count, chunksMax);
      const turns = new Turns(this.#deps.clock);
      const keys: string[] = [];
      for (const { key } of refs) {
        keys.push(key);
        if (keys.length % REFS_PER_LOOK !== 0) continue;
        await turns.breathe();
        check();
      }
      return keys;
    });
  }

  /** For tails: the same engine over streams given to it, outside the tenant's turn. */
  async #queryStreams(
    request: QueryRequest,
    streams: readonly MemoryStream[],
    signal: AbortSignal,
  ): Promise<QueryResult> {
    const sources = sourcesOf(streams);
    const querier = {
      ...this.#querier,
      gate: UNBOUNDED,
      execute: (query: QueryRequest, stopped: AbortSignal) => this.#deps.execute(query, sources, stopped),
    };
    return await readAll(
      readEvents((reader) => spawnQuery(querier, request, reader)),
      signal,
    );
  }
}

/** Between two looks at the clock: 0.2 ms of keys. */
const REFS_PER_LOOK = 256;

const UNBOUNDED = new QueryGate({
  runningMax: Number.POSITIVE_INFINITY,
  runningPerTenantMax: Number.POSITIVE_INFINITY,
  waitingPerTenantMax: 0,
});

const sourcesOf = (streams: readonly MemoryStream[]): QuerySources => ({
  memory: { select: async () => streams, subscribe: () => () => undefined },
  stored: {
    index: {
      chunkRefs: async (tenant) => new ChunkRefs(tenant),
      labelNames: async () => [],
      labelValues: async () => [],
    },
    chunks: { get: async () => undefined, getRange: async () => undefined },
  },
});
