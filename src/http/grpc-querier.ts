/** Loki's `logproto.Querier`: what is asked of a node over gRPC, over all the data there is. */

import {
  type ServerErrorResponse,
  type ServerWritableStream,
  type ServiceDefinition,
  status,
  type UntypedHandleCall,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import type { NodeServices } from '../actors/node-services.ts';
import type { Expr, LogExpr } from '../logql/ast.ts';
import { validateStages } from '../logql/compile-pipeline.ts';
import { parseExpr, parseLogExpr } from '../logql/parser.ts';
import { printExpr } from '../logql/print.ts';
import { isInShard, parseShards } from '../protocol/fingerprint-shard.ts';
import { canonicalText } from '../protocol/label-text.ts';
import {
  type AskedDelete,
  encodeLabelResponse,
  encodeQueryResponse,
  encodeSampleResponse,
  encodeSeriesResponse,
  encodeTailersCount,
  encodeTailResponse,
  type QuerierMessage,
} from '../protocol/querier-messages.ts';
import { type Refusal, RefusedError } from '../protocol/refusal.ts';
import type { TimeRangeNs } from '../protocol/time-range.ts';
import { queryLimitsOf } from '../query/query-limits.ts';
import type { LogStream, QueryRequest } from '../query/query-messages.ts';
import type { DeletedEntries } from '../query/scan/hidden-entries.ts';
import { entryBatches, mergedLabels } from './answered-batches.ts';
import { sampleBatches, sampleSourceOf } from './answered-samples.ts';
import { rangeOf } from './asked-range.ts';
import type { EdgeOptions } from './edge-options.ts';
import { type Asked, askingTenant, readAsked } from './grpc-asked.ts';
import { answerTo, method, observedCall, type UnaryCall, unaryHandler } from './grpc-call.ts';
import { grpcErrorOf, plainError } from './grpc-error.ts';
import { INDEX_METHODS, indexHandlers } from './grpc-index.ts';
import { groupsOf, matchersOf } from './metadata.ts';
import { readableQuery, readableTail } from './query-checks.ts';

export type GrpcQuerierOptions = Pick<
  EdgeOptions,
  'tenantOf' | 'limitsOf' | 'metrics' | 'log' | 'isStarting' | 'nowMs' | 'tailMaxDurationMs'
>;

type StreamCall = ServerWritableStream<Buffer, Buffer>;

const PATHS = {
  query: '/logproto.Querier/Query',
  querySample: '/logproto.Querier/QuerySample',
  label: '/logproto.Querier/Label',
  series: '/logproto.Querier/Series',
  tail: '/logproto.Querier/Tail',
  tailersCount: '/logproto.Querier/TailersCount',
} as const;

export const QUERIER_METHODS: ServiceDefinition = {
  query: method(PATHS.query, true),
  querySample: method(PATHS.querySample, true),
  label: method(PATHS.label),
  series: method(PATHS.series),
  tail: method(PATHS.tail, true),
  tailersCount: method(PATHS.tailersCount),
  ...INDEX_METHODS,
};

/** What has no HTTP status in Loki's gRPC, as a query that does not parse, is UNKNOWN with its text alone. */
const querierErrorOf = (refusal: Refusal): ServerErrorResponse => {
  switch (refusal.code) {
    case 'INVALID_QUERY':
    case 'BAD_REQUEST':
    case 'NO_TENANT':
      return plainError(status.UNKNOWN, refusal.text);
    case 'UNSUPPORTED_QUERY':
      return plainError(status.UNIMPLEMENTED, refusal.text);
    case 'CANCELLED':
      return plainError(status.CANCELLED, refusal.text);
    case 'INVALID_ENTRIES':
    case 'INGESTION_BLOCKED':
    case 'TOO_LARGE':
    case 'RATE_LIMITED':
    case 'STREAM_LIMIT':
    case 'EMPTY_PUSH':
    case 'DEADLINE_EXCEEDED':
    case 'OVERLOADED':
    case 'STORAGE_UNAVAILABLE':
    case 'INTERNAL':
      return grpcErrorOf(refusal);
  }
};

/** @throws RefusedError INVALID_QUERY for a selector that is no log query */
const deletedEntriesOf = ({ selector, startNs, endNs }: AskedDelete): DeletedEntries => {
  const { matchers, stages } = parseLogExpr(selector, { mayBeUnselective: true });
  validateStages(stages);
  return { matchers, stages, startNs, endNs };
};

interface LogSelection {
  readonly range: TimeRangeNs;
  readonly limit: number;
  readonly categorizeLabels: boolean;
}

/** What a query may read, by the same limits as over HTTP: its client's own limits need not be this tenant's. @throws RefusedError INVALID_QUERY */
const readable = ({ request, bounds, limits, nowNs }: Asked, expr: Expr): TimeRangeNs | undefined => {
  const limit = request.limit || Number.POSITIVE_INFINITY;
  // Whoever asks for samples has widened their range by what each step reads.
  const query = { ...bounds, limit, isInstant: false, isAllThatIsRead: true };
  const within = readableQuery(request.query, expr, query, limits, nowNs);
  return within && { startNs: within.startNs, endNs: within.endNs };
};

export class GrpcQuerier {
  readonly #services: NodeServices;
  readonly #options: GrpcQuerierOptions;
  readonly #tailsOf = new Map<string, number>();
  readonly #tails = new Set<() => void>();
  readonly handlers: UntypedServiceImplementation;

  constructor(services: NodeServices, options: GrpcQuerierOptions) {
    this.#services = services;
    this.#options = options;
    const unary = (path: string, work: (call: UnaryCall) => Promise<Buffer>): UntypedHandleCall =>
      unaryHandler(options, path, work, querierErrorOf) as UntypedHandleCall;
    this.handlers = {
      query: this.#streaming(PATHS.query, 'QueryRequest', (asked, signal) => this.#query(asked, signal)),
      querySample: this.#streaming(PATHS.querySample, 'SampleQueryRequest', (asked, signal) =>
        this.#querySample(asked, signal),
      ),
      tail: this.#streaming(PATHS.tail, 'TailRequest', (asked, signal) => this.#tail(asked, signal)),
      label: unary(PATHS.label, (call) => this.#label(call)),
      series: unary(PATHS.series, (call) => this.#series(call)),
      tailersCount: unary(PATHS.tailersCount, async (call) =>
        encodeTailersCount(this.#tailsOf.get(askingTenant(options, call)) ?? 0),
      ),
      ...indexHandlers(services, options, querierErrorOf),
    };
  }

  /** Ends every tail: the node is stopping. */
  close(): void {
    for (const end of this.#tails) end();
  }

  async *#query(asked: Asked, signal: AbortSignal): AsyncGenerator<Buffer> {
    const { request, isCategorized } = asked;
    const { isBackward } = request;
    const expr = parseLogExpr(request.query);
    const range = readable(asked, expr);
    if (!range) return;
    // No limit is none, if the tenant may have that: the answer goes out as it is found, at the pace of the client.
    const limit = request.limit || Number.MAX_SAFE_INTEGER;
    const found = this.#logs(asked, expr, { range, limit, categorizeLabels: true }, signal);
    for await (const streams of found) {
      for (const batch of entryBatches(streams, isBackward, isCategorized)) yield encodeQueryResponse(batch);
    }
  }

  /** Samples line by line, which the client aggregates. */
  async *#querySample(asked: Asked, signal: AbortSignal): AsyncGenerator<Buffer> {
    const expr = parseExpr(asked.request.query);
    if (expr.kind === 'log')
      throw new RefusedError({ code: 'INVALID_QUERY', text: 'only sample expression supported' });
    const source = sampleSourceOf(expr);
    const range = readable(asked, expr);
    if (!range) return;
    const selection = { range, limit: Number.MAX_SAFE_INTEGER, categorizeLabels: false };
    const found = this.#logs(asked, source.log, selection, signal);
    for await (const streams of found) {
      for (const batch of sampleBatches(streams, source)) yield encodeSampleResponse(batch);
    }
  }

  /** Entries of a log query, some streams at a time. */
  async *#logs(
    { tenant, limits, request }: Asked,
    expr: LogExpr,
    { range, limit, categorizeLabels }: LogSelection,
    signal: AbortSignal,
  ): AsyncGenerator<readonly LogStream[]> {
    const query: QueryRequest = {
      tenant,
      query: printExpr(expr),
      ...range,
      stepNs: 0n,
      isInstant: false,
      limit,
      direction: request.isBackward ? 'backward' : 'forward',
      intervalNs: 0n,
      categorizeLabels,
      limits: queryLimitsOf(limits),
      shard: parseShards(request.lists.shards),
      deletes: request.lists.deletes.map(deletedEntriesOf),
    };
    const running = this.#services.query(query);
    const cancel = (): void => running.cancel();
    signal.addEventListener('abort', cancel, { once: true });
    try {
      for await (const event of running.events) {
        if (event.type === 'entries') yield event.streams;
        else if (event.type === 'failed') throw new RefusedError(event.refusal);
        else if (event.type === 'done') this.#options.metrics.countQuery('log', false, event.statistics);
      }
    } finally {
      signal.removeEventListener('abort', cancel);
      running.cancel();
    }
  }

  async #label(call: UnaryCall): Promise<Buffer> {
    const asked = readAsked(this.#options, call, 'LabelRequest');
    const { tenant, request } = asked;
    const matchers = matchersOf(request.query);
    const range = rangeOf(asked);
    if (!range) return encodeLabelResponse([]);
    const texts = request.wantsValues
      ? await this.#services.labelValues(tenant, request.name, matchers, range)
      : await this.#services.labelNames(tenant, matchers, range);
    return encodeLabelResponse(texts);
  }

  async #series(call: UnaryCall): Promise<Buffer> {
    const asked = readAsked(this.#options, call, 'SeriesRequest');
    const { tenant, request } = asked;
    const shard = parseShards(request.lists.shards);
    const groups = groupsOf(request.lists.groups);
    const range = rangeOf(asked);
    const found = range ? await this.#services.series(tenant, groups, range) : [];
    const own = shard ? found.filter(({ fingerprint }) => isInShard(shard, fingerprint)) : found;
    return encodeSeriesResponse(own.map(({ pairs }) => pairs));
  }

  async *#tail(
    { tenant, request, isCategorized, bounds, limits, nowNs }: Asked,
    signal: AbortSignal,
  ): AsyncGenerator<Buffer> {
    const { query, limit } = request;
    const tail = this.#services.tail({
      tenant,
      query,
      startNs: readableTail({ query, startNs: bounds.startNs, limit }, limits, nowNs),
      limit,
      delayMs: Math.min(request.delaySeconds, 5) * 1000,
      categorizeLabels: true,
    });
    const leave = this.#enterTail(tenant, signal, () => tail.cancel());
    try {
      for await (const { streams, dropped } of tail.frames) {
        let untold = dropped.map(({ timeNs, labels }) => ({ timeNs, labels: canonicalText(labels) }));
        for (const { labels, entries } of streams) {
          for (const entry of entries) {
            const text = canonicalText(isCategorized ? labels : mergedLabels(labels, entry));
            yield encodeTailResponse({ labels: text, entries: [entry] }, untold);
            untold = [];
          }
        }
        if (untold.length > 0) yield encodeTailResponse(undefined, untold);
      }
    } finally {
      leave();
    }
  }

  /** Counts a tail, which ends when the client goes, when the node stops or when its time is up. @throws RefusedError */
  #enterTail(tenant: string, signal: AbortSignal, cancel: () => void): () => void {
    const { limitsOf, metrics, tailMaxDurationMs } = this.#options;
    const count = (this.#tailsOf.get(tenant) ?? 0) + 1;
    const max = limitsOf(tenant).maxConcurrentTailRequests;
    if (max > 0 && count > max) {
      cancel();
      const text = `max concurrent tail requests limit exceeded, count > limit (${count} > ${max})`;
      throw new RefusedError({ code: 'INVALID_QUERY', text });
    }
    this.#tailsOf.set(tenant, count);
    this.#tails.add(cancel);
    metrics.tailActive.inc();
    signal.addEventListener('abort', cancel, { once: true });
    const lifetime = setTimeout(cancel, tailMaxDurationMs);
    return () => {
      clearTimeout(lifetime);
      signal.removeEventListener('abort', cancel);
      this.#tails.delete(cancel);
      metrics.tailActive.dec();
      const left = (this.#tailsOf.get(tenant) ?? 1) - 1;
      if (left > 0) this.#tailsOf.set(tenant, left);
      else this.#tailsOf.delete(tenant);
      cancel();
    };
  }

  /** A method of one request and many answers, each taken when the client has room for it. */
  #streaming(
    path: string,
    message: QuerierMessage,
    work: (asked: Asked, signal: AbortSignal) => AsyncGenerator<Buffer>,
  ): UntypedHandleCall {
    const run = async (call: StreamCall, signal: AbortSignal): Promise<number> => {
      let bytes = 0;
      for await (const answer of work(readAsked(this.#options, call, message), signal)) {
        bytes += answer.length;
        if (!call.write(answer)) await drained(call, signal);
        if (signal.aborted) break;
      }
      return bytes;
    };
    return (call: StreamCall) => {
      const done = observedCall(this.#options, path, call.request.length);
      const gone = new AbortController();
      call.on('cancelled', () => gone.abort());
      run(call, gone.signal).then(
        (bytes) => {
          done(gone.signal.aborted ? 'cancel' : 'success', bytes);
          call.end();
        },
        (error: unknown) => {
          if (!(error instanceof RefusedError)) this.#options.log.error({ err: error, path }, 'gRPC call failed');
          const { answer, code } = answerTo(error, querierErrorOf);
          done(gone.signal.aborted ? 'cancel' : code, 0);
          call.emit('error', answer);
        },
      );
    };
  }
}

/** Room for more, or nobody left who wants it. */
const drained = (call: StreamCall, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      call.off('drain', done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    call.on('drain', done);
    signal.addEventListener('abort', done);
    if (signal.aborted) done();
  });
