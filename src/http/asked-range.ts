import { type EdgeLimits, nowNsOf, tenantHeader } from './edge-options.ts';
import { type EdgeState, readForm } from './form.ts';
import { checkedBounds, type TimeBounds } from './parameters.ts';
import { readableRange } from './query-checks.ts';
import type { Exchange } from './routes.ts';

/** Of a request about what tenants have in a range of time. */
export interface AskedRange {
  readonly tenant: string;
  readonly limits: EdgeLimits;
  readonly form: URLSearchParams;
  /** As they are asked for. */
  readonly bounds: TimeBounds;
  /** What of them may be read; undefined: all of it is older than max_query_lookback. */
  readonly range: TimeBounds | undefined;
}

/** @throws RefusedError BAD_REQUEST, INVALID_QUERY for a range that is too long */
export const readAskedRange = async (exchange: Exchange, { options, bodies }: EdgeState): Promise<AskedRange> => {
  const tenant = options.queriedTenantOf(tenantHeader(exchange.request.headers));
  const form = await readForm(exchange, bodies);
  const nowNs = nowNsOf(options);
  const bounds = checkedBounds(form, nowNs);
  const limits = options.limitsOf(tenant);
  return { tenant, limits, form, bounds, range: readableRange(bounds, limits, nowNs) };
};
