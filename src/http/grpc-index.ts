/** The part of Loki's `logproto.Querier` that is about streams, chunks and fields as a whole: one request, one answer each. */
import type { UntypedHandleCall } from '@grpc/grpc-js';
import type { NodeServices } from '../actors/node-services.ts';
import { parseMatchers } from '../logql/parser.ts';
import {
  encodeChunkIds,
  encodeDetectedFields,
  encodeIndexStats,
  encodeLabelValues,
  encodeVolumes,
} from '../protocol/index-messages.ts';
import { canonicalText } from '../protocol/label-text.ts';
import type { LabelMatcher } from '../protocol/matcher.ts';
import type { QuerierMessage } from '../protocol/querier-messages.ts';
import { RefusedError } from '../protocol/refusal.ts';
import type { TimeRangeNs } from '../protocol/time-range.ts';
import { DetectedFields } from '../query/detected-fields.ts';
import { labelValuesOf } from '../query/label-values.ts';
import { statsOf } from '../query/stream-volume.ts';
import { Turns } from '../query/turns.ts';
import { VolumeGroups } from '../query/volume-groups.ts';
import { rangeOf } from './asked-range.ts';
import { DETECTED_FIELDS, DETECTED_LINES } from './discovery.ts';
import type { EdgeOptions } from './edge-options.ts';
import { type Asked, readAsked } from './grpc-asked.ts';
import { type ErrorOf, method, type UnaryCall, unaryHandler } from './grpc-call.ts';
import { matchersOf } from './metadata.ts';
import { eachNewestEntry } from './newest-entries.ts';
import { VOLUME_LIMIT } from './parameters.ts';
import { aggregationOf, volumeMatchersOf } from './volume.ts';

type Options = Pick<EdgeOptions, 'tenantOf' | 'limitsOf' | 'metrics' | 'log' | 'isStarting' | 'nowMs'>;

const PATHS = {
  getChunkIds: '/logproto.Querier/GetChunkIDs',
  getStats: '/logproto.Querier/GetStats',
  getVolume: '/logproto.Querier/GetVolume',
  getDetectedFields: '/logproto.Querier/GetDetectedFields',
  getDetectedLabels: '/logproto.Querier/GetDetectedLabels',
} as const;

export const INDEX_METHODS = {
  getChunkIds: method(PATHS.getChunkIds),
  getStats: method(PATHS.getStats),
  getVolume: method(PATHS.getVolume),
  getDetectedFields: method(PATHS.getDetectedFields),
  getDetectedLabels: method(PATHS.getDetectedLabels),
};

type IndexHandlers = Record<keyof typeof PATHS, UntypedHandleCall>;

export const indexHandlers = (services: NodeServices, options: Options, errorOf: ErrorOf): IndexHandlers => {
  const index = new IndexAnswers(services, options);
  const answer = (
    path: string,
    message: QuerierMessage,
    work: (asked: Asked, signal: AbortSignal) => Promise<Buffer>,
  ): UntypedHandleCall => {
    const run = (call: UnaryCall): Promise<Buffer> => work(readAsked(options, call, message), goneSignal(call));
    return unaryHandler(options, path, async (call) => await run(call), errorOf) as UntypedHandleCall;
  };
  return {
    getChunkIds: answer(PATHS.getChunkIds, 'GetChunkIDsRequest', (asked, signal) => index.chunkIds(asked, signal)),
    getStats: answer(PATHS.getStats, 'IndexStatsRequest', (asked, signal) => index.stats(asked, signal)),
    getVolume: answer(PATHS.getVolume, 'VolumeRequest', (asked, signal) => index.volume(asked, signal)),
    getDetectedFields: answer(PATHS.getDetectedFields, 'DetectedFieldsRequest', (asked, signal) =>
      index.detectedFields(asked, signal),
    ),
    getDetectedLabels: answer(PATHS.getDetectedLabels, 'DetectedLabelsRequest', (asked) => index.detectedLabels(asked)),
  };
};

/** Fires once the client does not wait any more. */
const goneSignal = (call: UnaryCall): AbortSignal => {
  const gone = new AbortController();
  call.on('cancelled', () => gone.abort());
  return gone.signal;
};

class IndexAnswers {
  readonly #services: NodeServices;
  readonly #options: Options;

  constructor(services: NodeServices, options: Options) {
    this.#services = services;
    this.#options = options;
  }

  /** Of stored chunks: the index is the same for all nodes. */
  async chunkIds(asked: Asked, signal: AbortSignal): Promise<Buffer> {
    const { tenant, request, limits } = asked;
    const { queryTimeoutMs: timeoutMs, maxChunksPerQuery: chunksMax } = limits;
    const matchers = parseMatchers(request.query);
    const range = rangeOf(asked);
    if (!range) return encodeChunkIds([]);
    return encodeChunkIds(await this.#services.chunkKeys({ tenant, matchers, range, timeoutMs, chunksMax }, signal));
  }

  async stats(asked: Asked, signal: AbortSignal): Promise<Buffer> {
    const matchers = parseMatchers(asked.request.query);
    const range = rangeOf(asked);
    return encodeIndexStats(statsOf(await this.#volumes(asked, range, matchers, signal), range ?? asked.bounds));
  }

  async volume(asked: Asked, signal: AbortSignal): Promise<Buffer> {
    const { request, limits } = asked;
    if (!limits.volumeEnabled) throw new RefusedError({ code: 'BAD_REQUEST', text: 'not found' });
    const matchers = volumeMatchersOf(request.query);
    const limit = request.limit || VOLUME_LIMIT;
    const grouping = {
      targetLabels: request.lists.targetLabels,
      names: matchers.map(({ name }) => name),
      aggregateBy: aggregationOf(request.aggregateBy),
      groupsMax: limits.volumeMaxSeries,
    };
    const range = rangeOf(asked);
    const groups = new VolumeGroups(grouping, range ? [range] : []);
    for (const stream of await this.#volumes(asked, range, matchers, signal)) groups.add(stream);
    const volumes = groups.largest(limit).map(({ labels, bytes: [bytes = 0] }) => ({
      // With `labels` it is the name alone.
      name: grouping.aggregateBy === 'labels' ? (labels[0] ?? '') : canonicalText(labels),
      bytes,
    }));
    return encodeVolumes(volumes, limit);
  }

  /** Those of Loki's `detected_fields`, or the values of one. */
  async detectedFields(asked: Asked, signal: AbortSignal): Promise<Buffer> {
    const { request } = asked;
    const limit = request.limit || DETECTED_FIELDS;
    const found = new DetectedFields(Math.max(limit, DETECTED_FIELDS));
    const lines = request.lineLimit || DETECTED_LINES;
    const newest = { ...asked, query: request.query, limit: lines };
    await eachNewestEntry(this.#services, newest, signal, this.#turns(), (stream, entry) => found.add(stream, entry));
    const fields = found.list();
    if (request.wantsValues) {
      const field = fields.find(({ label }) => label === request.name);
      return encodeDetectedFields([], [...(field?.values ?? [])].slice(0, limit), limit);
    }
    const shown = fields.slice(0, limit).map(({ values, jsonPath = [], ...field }) => {
      return { ...field, cardinality: values.size, jsonPath };
    });
    return encodeDetectedFields(shown, [], limit);
  }

  /** All labels with their values: which of them are worth showing is for the client to say, as in Loki. */
  async detectedLabels(asked: Asked): Promise<Buffer> {
    const matchers = matchersOf(asked.request.query);
    const range = rangeOf(asked);
    const series = range ? await this.#services.series(asked.tenant, [matchers], range) : [];
    return encodeLabelValues(await labelValuesOf(series, this.#turns()));
  }

  async #volumes(
    { tenant, limits }: Asked,
    range: TimeRangeNs | undefined,
    matchers: readonly LabelMatcher[],
    signal: AbortSignal,
  ) {
    if (!range) return [];
    const request = { tenant, matchers, range, timeoutMs: limits.queryTimeoutMs };
    return await this.#services.volumes(request, signal);
  }

  #turns(): Turns {
    return new Turns({ monotonicMs: this.#options.nowMs });
  }
}
