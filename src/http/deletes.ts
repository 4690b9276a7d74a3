import type { DeleteService, ShownRequest } from '../compaction/delete-service.ts';
import type { LogExpr } from '../logql/ast.ts';
import { validateStages } from '../logql/compile-pipeline.ts';
import { formatGoDuration, parseGoDuration } from '../logql/durations.ts';
import { parseLogExpr } from '../logql/parser.ts';
import { RefusedError } from '../protocol/refusal.ts';
import { parseRfc3339 } from '../protocol/time-text.ts';
import { tenantHeader } from './edge-options.ts';
import type { EdgeState } from './form.ts';
import { badRequest } from './parameters.ts';
import type { Exchange, Handler } from './routes.ts';

const NS_PER_MS = 1_000_000n;
const NS_PER_SECOND = 1_000_000_000n;

/** `/loki/api/v1/delete`, with Loki's statuses and texts (the API's section 5). Parameters are those of the URL alone. */
export class DeleteHandlers {
  readonly #deletes: DeleteService;
  readonly #state: EdgeState;

  constructor(deletes: DeleteService, state: EdgeState) {
    this.#deletes = deletes;
    this.#state = state;
  }

  readonly handle: Handler = async (exchange) => {
    const { request, reply } = exchange;
    const { options } = this.#state;
    const tenant = options.tenantOf(tenantHeader(request.headers));
    if (options.limitsOf(tenant).deletionMode === 'disabled') {
      await refuse(exchange, 403, 'deletion is not available for this tenant');
      return;
    }
    switch (request.method) {
      case 'GET':
        await reply.json(200, `${JSON.stringify((await this.#deletes.list(tenant)).map(shown))}\n`);
        return;
      case 'DELETE':
        await this.#cancel(exchange, tenant);
        return;
      default:
        await this.#add(exchange, tenant);
    }
  };

  async #add(exchange: Exchange, tenant: string): Promise<void> {
    const { search, reply } = exchange;
    const nowMs = Math.trunc(this.#state.options.nowMs());
    let asked: { readonly query: string; readonly startMs: number; readonly endMs: number };
    try {
      const query = search.get('query') ?? '';
      const expr = parsedQuery(query);
      const startMs = startOf(search);
      const endMs = endOf(search, startMs, nowMs);
      if (expr.stages.length > 0) checkInterval(search.get('max_interval') ?? '', endMs - startMs, this.#deletes);
      asked = { query, startMs, endMs };
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      await refuse(exchange, 400, error.refusal.text);
      return;
    }
    const requestId = await this.#deletes.add(tenant, asked);
    this.#state.options.metrics.countDeleteRequest(tenant);
    await reply.empty(204, { 'x-delete-request-id': requestId });
  }

  async #cancel(exchange: Exchange, tenant: string): Promise<void> {
    const { search, reply } = exchange;
    const isForced = search.get('force') === 'true';
    const outcome = await this.#deletes.cancel(tenant, search.get('request_id') ?? '', isForced);
    switch (outcome) {
      case 'cancelled':
        await reply.empty(204);
        return;
      case 'not-found':
        await refuse(exchange, 404, 'could not find delete request with given id');
        return;
      case 'processed':
        await refuse(exchange, 400, 'deletion of request which is in process or already processed is not allowed');
        return;
      case 'too-late': {
        const period = formatGoDuration(BigInt(Math.round(this.#deletes.cancelPeriodMs)) * NS_PER_MS);
        const text =
          'Cancellation of partially completed delete request or delete request past the deadline of ' +
          `${period} since its creation is not allowed. To force, use the ?force query parameter`;
        await refuse(exchange, 400, text);
      }
    }
  }
}

/** As Go's http.Error. */
const refuse = ({ reply }: Exchange, status: number, text: string): Promise<void> =>
  reply.text(status, `${text}\n`, undefined, { 'x-content-type-options': 'nosniff' });

/** Whole seconds, outwards: a client of Loki reads integers. */
const shown = ({ requestId, startMs, endMs, query, status, createdMs }: ShownRequest) => ({
  request_id: requestId,
  start_time: Math.floor(startMs / 1000),
  end_time: Math.ceil(endMs / 1000),
  query,
  status,
  created_at: Math.floor(createdMs / 1000),
  user_id: '',
});

const parsedQuery = (query: string): LogExpr => {
  if (query === '') throw badRequest('query not set');
  try {
    const expr = parseLogExpr(query, { mayBeUnselective: true });
    validateStages(expr.stages);
    return expr;
  } catch (error) {
    throw error instanceof RefusedError ? badRequest('invalid query expression') : error;
  }
};

const startOf = (search: URLSearchParams): number => {
  const text = search.get('start') ?? '';
  if (text === '') throw badRequest('start time not set');
  const startMs = timeMs(text);
  if (startMs === undefined) throw badRequest('invalid start time: require unix seconds or RFC3339 format');
  return startMs;
};

const endOf = (search: URLSearchParams, startMs: number, nowMs: number): number => {
  const text = search.get('end') ?? '';
  const endMs = text === '' ? nowMs : timeMs(text);
  if (endMs === undefined) throw badRequest('invalid end time: require unix seconds or RFC3339 format');
  if (endMs > nowMs) throw badRequest('deletes in the future are not allowed');
  if (startMs >= endMs) throw badRequest("start time can't be greater than or equal to end time");
  return endMs;
};

/** RFC 3339, or seconds since 1970 of exactly ten digits. */
const timeMs = (text: string): number | undefined => {
  const time = parseRfc3339(text);
  if (time) return Number((BigInt(time.seconds) * NS_PER_SECOND + BigInt(time.nanos)) / NS_PER_MS);
  return /^\d{10}$/.test(text) ? Number(text) * 1000 : undefined;
};

/** Loki splits what has to be looked at line by line into intervals of so long. Here tables are the parts; the parameter is checked all the same. */
const checkInterval = (text: string, lengthMs: number, { maxIntervalMs }: DeleteService): void => {
  if (text === '') return;
  const intervalNs = parseGoDuration(text);
  if (intervalNs === undefined || intervalNs < NS_PER_SECOND) {
    throw badRequest("invalid max_interval: valid time units are 's', 'm', 'h'");
  }
  const maxNs = BigInt(Math.round(maxIntervalMs)) * NS_PER_MS;
  if (maxNs > 0n && intervalNs > maxNs)
    throw badRequest(`max_interval can't be greater than ${formatGoDuration(maxNs)}`);
  const lengthNs = BigInt(lengthMs) * NS_PER_MS;
  if (intervalNs <= lengthNs) return;
  throw badRequest(`max_interval can't be greater than the interval to be deleted (${formatGoDuration(lengthNs)})`);
};
