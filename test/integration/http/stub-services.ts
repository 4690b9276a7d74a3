/** A node without a store, for what the edge decides alone. */
import type { NodeServices, PushOutcome, TailFrame, TailRequest } from '../../../src/actors/node-services.ts';
import type { EdgeLimits, EdgeOptions } from '../../../src/http/edge-options.ts';
import { EdgeMetrics } from '../../../src/http/metrics.ts';
import type { HttpServerOptions } from '../../../src/http/server.ts';
import { DEFAULT_LIMITS } from '../../../src/protocol/limits.ts';
import { type Refusal, RefusedError } from '../../../src/protocol/refusal.ts';
import { NO_STATISTICS, type QueryRequest, type QueryResult } from '../../../src/query/query-messages.ts';
import type { StreamVolume } from '../../../src/query/stream-volume.ts';

export class StubServices implements NodeServices {
  readonly queries: QueryRequest[] = [];
  readonly tails: TailRequest[] = [];
  readonly pushes: string[] = [];
  flushes = 0;
  tailsCancelled = 0;
  outcome: PushOutcome = { acceptedLines: 1, acceptedBytes: 1, refusal: undefined };
  reason: string | undefined;
  frames: AsyncIterable<TailFrame> = (async function* () {})();
  answer: (request: QueryRequest, signal: AbortSignal) => Promise<QueryResult> = async () => ({
    type: 'streams',
    streams: [],
    statistics: NO_STATISTICS,
  });
  series: NodeServices['series'] = async () => [];
  labels: readonly string[] = [];

  async push(tenant: string): Promise<PushOutcome> {
    this.pushes.push(tenant);
    return this.outcome;
  }

  query(): never {
    throw new Error('the edge asks for whole answers');
  }

  queryAll(request: QueryRequest, signal: AbortSignal): Promise<QueryResult> {
    this.queries.push(request);
    return this.answer(request, signal);
  }

  tail(request: TailRequest) {
    this.tails.push(request);
    return {
      frames: this.frames,
      cancel: () => {
        this.tailsCancelled += 1;
      },
    };
  }

  async volumes(): Promise<readonly StreamVolume[]> {
    return [];
  }

  async chunkKeys(): Promise<readonly string[]> {
    return [];
  }

  async labelNames(): Promise<readonly string[]> {
    return this.labels;
  }

  async labelValues(): Promise<readonly string[]> {
    return this.labels;
  }

  async flush(): Promise<void> {
    this.flushes += 1;
  }

  notReady(): string | undefined {
    return this.reason;
  }
}

export const LIMITS: EdgeLimits = { ...DEFAULT_LIMITS, maxConcurrentTailRequests: 2, maxQueryLengthMs: 0 };

export const refused = (refusal: Refusal): RefusedError => new RefusedError(refusal);

export interface Logged {
  readonly level: string;
  readonly text: string;
}

export const stubOptions = (overrides: Partial<HttpServerOptions> = {}, logged: Logged[] = []): HttpServerOptions => {
  const at = (level: string) => (_fields: object, text: string) => logged.push({ level, text });
  let level = 'info';
  const options: EdgeOptions = {
    tenantOf: (header) => {
      if (!header) throw refused({ code: 'NO_TENANT', text: 'no org id' });
      return header;
    },
    queriedTenantOf: (header) => options.tenantOf(header),
    limitsOf: () => LIMITS,
    decodePush: ({ bytes }) => {
      if (bytes.length === 0) throw refused({ code: 'BAD_REQUEST', text: 'snappy: corrupt input' });
      return { streams: [] };
    },
    decodePushMessage: () => ({ streams: [] }),
    decodeOtlp: () => ({ streams: [] }),
    decodeOtlpMessage: () => ({ streams: [] }),
    metrics: new EdgeMetrics('test'),
    log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') },
    logLevel: {
      get: () => level,
      set: (next) => {
        level = next;
      },
    },
    configText: () => 'auth_enabled: true\n',
    notReady: () => undefined,
    isStarting: () => false,
    nowMs: () => Date.now(),
    bodyBytesMax: 1024 * 1024,
    bodyBytesInFlightMax: 4 * 1024 * 1024,
    tailMaxDurationMs: 60_000,
  };
  return {
    ...options,
    host: '127.0.0.1',
    port: 0,
    requestTimeoutMs: 30_000,
    connectionsMax: 1000,
    drainMs: 500,
    ...overrides,
  };
};
