import type { NodeServices, VolumeRequest } from '../actors/node-services.ts';
import { parseMatchers } from '../logql/parser.ts';
import type { LabelMatcher } from '../protocol/matcher.ts';
import type { TimeRangeNs } from '../protocol/time-range.ts';
import { type MetricSeries, NO_STATISTICS } from '../query/query-messages.ts';
import { type StreamShard, shardsOf } from '../query/stream-shards.ts';
import { statsOf } from '../query/stream-volume.ts';
import { Turns } from '../query/turns.ts';
import { type VolumeGroup, VolumeGroups } from '../query/volume-groups.ts';
import { systemClock } from '../system-clock.ts';
import { answerPieces, statisticsJson } from './answer-json.ts';
import { type AskedRange, rangeOf, readAskedRange } from './asked-range.ts';
import type { EdgeState } from './form.ts';
import {
  badRequest,
  checkResolution,
  EVERY_STREAM,
  parseShardBytes,
  parseStep,
  parseVolumeLimit,
  type TimeBounds,
} from './parameters.ts';
import type { Exchange, Handler } from './routes.ts';

const NS_PER_MS = 1_000_000n;

/** `/loki/api/v1/index/stats`, `index/shards`, `index/volume`, `index/volume_range`. */
export class VolumeHandlers {
  readonly #services: Pick<NodeServices, 'volumes'>;
  readonly #state: EdgeState;

  constructor(services: Pick<NodeServices, 'volumes'>, state: EdgeState) {
    this.#services = services;
    this.#state = state;
  }

  readonly stats: Handler = async (exchange) => {
    const asked = await readAskedRange(exchange, this.#state);
    const range = rangeOf(asked);
    const matchers = parseMatchers(asked.form.get('query') ?? '');
    const body = statsOf(await this.#volumes(exchange, asked, range, matchers), range ?? asked.bounds);
    await exchange.reply.json(200, JSON.stringify(body));
  };

  /** Where a query may be cut by fingerprints, so that each part reads about so many bytes. */
  readonly shards: Handler = async (exchange) => {
    const asked = await readAskedRange(exchange, this.#state);
    const range = rangeOf(asked);
    const matchers = parseMatchers(asked.form.get('query') ?? '');
    const bytesMax = parseShardBytes(asked.form);
    const volumes = await this.#volumes(exchange, asked, range, matchers);
    const shards = await shardsOf(volumes, range ?? asked.bounds, bytesMax, new Turns(systemClock));
    await exchange.reply.json(200, shardsJson(shards));
  };

  readonly volume: Handler = async (exchange) => {
    await this.#answer(exchange, () => (range) => [range]);
  };

  readonly volumeRange: Handler = async (exchange) => {
    await this.#answer(exchange, (form, bounds) => {
      const stepNs = parseStep(form, bounds);
      checkResolution(bounds, stepNs);
      return (range) => bucketsOf(range, stepNs);
    });
  };

  /** @param cutterOf how the range that may be read is cut, of the one that is asked for */
  async #answer(
    exchange: Exchange,
    cutterOf: (form: URLSearchParams, bounds: TimeBounds) => (range: TimeBounds) => readonly TimeRangeNs[],
  ): Promise<void> {
    const asked = await readAskedRange(exchange, this.#state);
    const { form, bounds, limits } = asked;
    const range = rangeOf(asked);
    if (!limits.volumeEnabled) {
      await exchange.reply.text(404, 'not found');
      return;
    }
    const limit = parseVolumeLimit(form);
    const cut = cutterOf(form, bounds);
    const ranges = range ? cut(range) : [];
    const aggregateBy = aggregationOf(form.get('aggregateBy') ?? '');
    const targetLabels = (form.get('targetLabels') ?? '').split(',').filter((name) => name !== '');
    const matchers = volumeMatchersOf(form.get('query') ?? '');
    const names = matchers.map(({ name }) => name);
    const groups = new VolumeGroups({ targetLabels, names, aggregateBy, groupsMax: limits.volumeMaxSeries }, ranges);
    for (const stream of await this.#volumes(exchange, asked, range, matchers)) groups.add(stream);
    const series = groups.largest(limit).map((group) => seriesOf(group, ranges));
    const type = series.every(({ timesMs }) => timesMs.length < 2) ? 'vector' : 'matrix';
    await exchange.reply.jsonPieces(answerPieces({ type, series, statistics: NO_STATISTICS }, []));
  }

  async #volumes(
    exchange: Exchange,
    { tenant, limits }: AskedRange,
    range: TimeRangeNs | undefined,
    matchers: readonly LabelMatcher[],
  ) {
    if (!range) return [];
    const request: VolumeRequest = { tenant, matchers, range, timeoutMs: limits.queryTimeoutMs };
    return await this.#services.volumes(request, exchange.signal);
  }
}

/** `{}` is every stream. @throws RefusedError */
export const volumeMatchersOf = (query: string): readonly LabelMatcher[] =>
  EVERY_STREAM.test(query) ? [] : parseMatchers(query);

/** "" is by series. @throws RefusedError BAD_REQUEST */
export const aggregationOf = (text: string): 'series' | 'labels' => {
  if (text !== '' && text !== 'series' && text !== 'labels') throw badRequest('invalid aggregation option');
  return text === 'labels' ? 'labels' : 'series';
};

/** Cut at the multiples of the step. */
const bucketsOf = (range: TimeBounds, stepNs: bigint): readonly TimeRangeNs[] => {
  const buckets: TimeRangeNs[] = [];
  for (let startNs = range.startNs; startNs <= range.endNs; ) {
    const nextNs = startNs - (startNs % stepNs) + stepNs;
    buckets.push({ startNs, endNs: nextNs - 1n < range.endNs ? nextNs - 1n : range.endNs });
    startNs = nextNs;
  }
  return buckets;
};

/** A sample for each range in which there is anything, at its end. */
const seriesOf = ({ labels, bytes }: VolumeGroup, ranges: readonly TimeRangeNs[]): MetricSeries => {
  const timesMs: number[] = [];
  const values: number[] = [];
  for (const [index, { endNs }] of ranges.entries()) {
    const value = bytes[index] ?? 0;
    if (value === 0) continue;
    // One nanosecond before the next bucket is its first millisecond.
    timesMs.push(Number((endNs + NS_PER_MS - 1n) / NS_PER_MS));
    values.push(value);
  }
  return { labels, timesMs, values };
};

const shardsJson = (shards: readonly StreamShard[]): string => {
  const texts = shards.map(
    ({ min, max, stats }) => `{"bounds":{"min":${min},"max":${max}},"stats":${JSON.stringify(stats)}}`,
  );
  return `{"shards":[${texts.join(',')}],"statistics":${statisticsJson(NO_STATISTICS)},"chunkGroups":[]}`;
};
