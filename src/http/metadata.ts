import type { NodeServices } from '../actors/node-services.ts';
import { parseMatchers } from '../logql/parser.ts';
import type { LabelMatcher } from '../protocol/matcher.ts';
import { labelsJson } from './answer-json.ts';
import { nowNsOf, tenantHeader } from './edge-options.ts';
import { type EdgeState, readForm } from './form.ts';
import { jsonString } from './json-text.ts';
import { legacyListJson } from './legacy-json.ts';
import { badRequest, EVERY_STREAM, parseBounds, type TimeBounds } from './parameters.ts';
import { readableRange } from './query-checks.ts';
import type { Exchange, Handler } from './routes.ts';

interface MetadataRequest {
  readonly tenant: string;
  readonly form: URLSearchParams;
  /** undefined: all of it is older than max_query_lookback. */
  readonly range: TimeBounds | undefined;
}

const listJson = (texts: readonly string[]): string =>
  texts.length === 0 ? '{"status":"success"}' : `{"status":"success","data":[${texts.map(jsonString).join(',')}]}`;

function* seriesPieces(labelSets: readonly (readonly string[])[]): Generator<string> {
  let piece = '{"status":"success","data":[';
  for (let index = 0; index < labelSets.length; index += 1) {
    piece += (index > 0 ? ',' : '') + labelsJson(labelSets[index]);
    if (piece.length < 64 * 1024) continue;
    yield piece;
    piece = '';
  }
  yield `${piece}]}`;
}

/** Of a request for series. None, or `{}` alone: every stream. @throws RefusedError */
export const groupsOf = (texts: readonly string[]): readonly (readonly LabelMatcher[])[] => {
  if (texts.length === 0 || (texts.length === 1 && EVERY_STREAM.test(texts[0] ?? ''))) return [];
  return texts.map((text) => {
    if (EVERY_STREAM.test(text)) throw badRequest('0 matchers in group: {}');
    return parseMatchers(text, { mayBeUnselective: true });
  });
};

/** Of a request for labels; "" is every stream. @throws RefusedError */
export const matchersOf = (query: string): readonly LabelMatcher[] =>
  query === '' || EVERY_STREAM.test(query) ? [] : parseMatchers(query, { mayBeUnselective: true });

/** `/loki/api/v1/labels`, `/label/{name}/values`, `/series`, and those of `/api/prom`. */
export class MetadataHandlers {
  readonly #services: NodeServices;
  readonly #state: EdgeState;

  constructor(services: NodeServices, state: EdgeState) {
    this.#services = services;
    this.#state = state;
  }

  readonly labelNames: Handler = async (exchange) => {
    await exchange.reply.json(200, listJson(await this.#names(exchange)));
  };

  readonly legacyLabelNames: Handler = async (exchange) => {
    await exchange.reply.json(200, legacyListJson(await this.#names(exchange)));
  };

  readonly labelValues: Handler = async (exchange) => {
    await exchange.reply.json(200, listJson(await this.#values(exchange)));
  };

  readonly legacyLabelValues: Handler = async (exchange) => {
    await exchange.reply.json(200, legacyListJson(await this.#values(exchange)));
  };

  readonly series: Handler = async (exchange) => {
    const { tenant, form, range } = await this.#read(exchange);
    const groups = groupsOf([...form.getAll('match'), ...form.getAll('match[]')]);
    const labelSets = range ? await this.#services.series(tenant, groups, range) : [];
    await exchange.reply.jsonPieces(seriesPieces(labelSets.map(({ pairs }) => pairs)));
  };

  async #names(exchange: Exchange): Promise<readonly string[]> {
    const { tenant, form, range } = await this.#read(exchange);
    const matchers = matchersOf(form.get('query') ?? '');
    return range ? await this.#services.labelNames(tenant, matchers, range) : [];
  }

  async #values(exchange: Exchange): Promise<readonly string[]> {
    const { tenant, form, range } = await this.#read(exchange);
    const matchers = matchersOf(form.get('query') ?? '');
    return range ? await this.#services.labelValues(tenant, exchange.labelName, matchers, range) : [];
  }

  async #read(exchange: Exchange): Promise<MetadataRequest> {
    const { options, bodies } = this.#state;
    const tenant = options.queriedTenantOf(tenantHeader(exchange.request.headers));
    const form = await readForm(exchange, bodies);
    const nowNs = nowNsOf(options);
    const bounds = parseBounds(form, nowNs);
    if (bounds.endNs < bounds.startNs) {
      throw badRequest('this data is no longer available, it is past now - max_query_lookback (0s)');
    }
    return { tenant, form, range: readableRange(bounds, options.limitsOf(tenant), nowNs) };
  }
}
