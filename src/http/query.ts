import type { NodeServices } from '../actors/node-services.ts';
import type { Expr } from '../logql/ast.ts';
import { parseExpr } from '../logql/parser.ts';
import { RefusedError } from '../protocol/refusal.ts';
import { queryLimitsOf } from '../query/query-limits.ts';
import { NO_STATISTICS, type QueryRequest, type QueryResult } from '../query/query-messages.ts';
import { answerPieces } from './answer-json.ts';
import { type EdgeLimits, nowNsOf, tenantHeader } from './edge-options.ts';
import { type EdgeState, encodingFlagsOf, readForm } from './form.ts';
import { legacyAnswerPieces } from './legacy-json.ts';
import { withRegexp } from './legacy-query.ts';
import { badRequest, parseDirection, parseInstantTime, parseLimit, parseRangeParameters } from './parameters.ts';
import { readableQuery } from './query-checks.ts';
import type { Exchange, Handler } from './routes.ts';

const emptyResult = (expr: Expr, isInstant: boolean): QueryResult => {
  if (expr.kind === 'log') return { type: 'streams', streams: [], statistics: NO_STATISTICS };
  return { type: isInstant ? 'vector' : 'matrix', series: [], statistics: NO_STATISTICS };
};

type QueryText = Omit<QueryRequest, 'tenant' | 'limits' | 'caching' | 'categorizeLabels'>;

/** Grafana's Logs Drilldown shows the first of too many values of a field; anybody else is told to ask for less. As Loki has it. */
const isFromDrilldown = ({ request }: Exchange): boolean =>
  String(request.headers['x-query-tags'] ?? '')
    .split(',')
    .some((tag) => /^\s*source\s*=\s*grafana-lokiexplore-app\s*$/i.test(tag));

/** undefined: the client wants no answer of before, or none to be kept. */
const cachingFor = (limits: EdgeLimits, cacheControl = ''): QueryRequest['caching'] => {
  const isUnwanted = cacheControl.split(',').some((one) => ['no-cache', 'no-store'].includes(one.trim().toLowerCase()));
  if (isUnwanted) return undefined;
  return { intervalMs: limits.splitQueriesByIntervalMs, freshnessMs: limits.maxCacheFreshnessPerQueryMs };
};

/** `/loki/api/v1/query_range` and `/query`: parameters → a query actor → JSON. */
export class QueryHandlers {
  readonly #services: NodeServices;
  readonly #state: EdgeState;

  constructor(services: NodeServices, state: EdgeState) {
    this.#services = services;
    this.#state = state;
  }

  readonly range: Handler = async (exchange) => {
    const { options } = this.#state;
    const tenant = options.queriedTenantOf(tenantHeader(exchange.request.headers));
    const form = await readForm(exchange, this.#state.bodies);
    const parameters = parseRangeParameters(form, nowNsOf(options));
    await this.#answer(exchange, tenant, { ...parameters, isInstant: false });
  };

  /** `/api/prom/query`: lines of a range, for clients of Loki's first API. */
  readonly legacy: Handler = async (exchange) => {
    const { options } = this.#state;
    const tenant = options.queriedTenantOf(tenantHeader(exchange.request.headers));
    const form = await readForm(exchange, this.#state.bodies);
    const parameters = parseRangeParameters(form, nowNsOf(options));
    const query = withRegexp(parameters.query, form.get('regexp') ?? '');
    await this.#answer(exchange, tenant, { ...parameters, query, isInstant: false }, true);
  };

  readonly instant: Handler = async (exchange) => {
    const { options } = this.#state;
    const tenant = options.queriedTenantOf(tenantHeader(exchange.request.headers));
    const form = await readForm(exchange, this.#state.bodies);
    const timeNs = parseInstantTime(form, nowNsOf(options));
    await this.#answer(exchange, tenant, {
      query: form.get('query') ?? '',
      startNs: timeNs,
      endNs: timeNs,
      stepNs: 0n,
      isInstant: true,
      limit: parseLimit(form),
      direction: parseDirection(form),
      intervalNs: 0n,
    });
  };

  async #answer(exchange: Exchange, tenant: string, text: QueryText, isLegacy = false): Promise<void> {
    const { options } = this.#state;
    const limits = options.limitsOf(tenant);
    const expr = parseExpr(text.query);
    if (isLegacy && expr.kind !== 'log') throw badRequest('legacy endpoints only support streams result type');
    if (text.isInstant && expr.kind === 'log') {
      throw new RefusedError({
        code: 'INVALID_QUERY',
        text: 'log queries are not supported as an instant query type, please change your query to a range query type',
      });
    }
    const within = readableQuery(text.query, expr, text, limits, nowNsOf(options));
    // The shape of the first API has no place for kinds of labels, nor to say that something is missing.
    const headers = isLegacy ? {} : exchange.request.headers;
    const flags = encodingFlagsOf(headers['x-loki-response-encoding-flags']);
    const allowsPartial = headers['x-ringlog-partial'] === 'allow';
    const categorizeLabels = flags.includes('categorize-labels');
    const caching = cachingFor(limits, exchange.request.headers['cache-control']);
    const request = { ...(within ?? text), tenant, categorizeLabels, allowsPartial, ...(caching && { caching }) };
    const result = within
      ? await this.#services.queryAll(
          { ...request, limits: { ...queryLimitsOf(limits), cutsSeries: isFromDrilldown(exchange) } },
          exchange.signal,
        )
      : emptyResult(expr, text.isInstant);
    options.metrics.countQuery(expr.kind, text.isInstant, result.statistics);
    await exchange.reply.jsonPieces(isLegacy ? legacyAnswerPieces(result) : answerPieces(result, flags));
  }
}
