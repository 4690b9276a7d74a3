import { type EdgeLimits, nowNsOf, tenantHeader } from './edge-options.ts';
import { type EdgeState, readForm } from './form.ts';
import { checkedBounds, type TimeBounds } from './parameters.ts';
import { readableRange } from './query-checks.ts';
import type { Exchange } from './routes.ts';

/** A range of time that somebody asks about. */
export interface AskedBounds {
  readonly tenant: string;
  readonly limits: EdgeLimits;
  /** As they are asked for. */
  readonly bounds: TimeBounds;
  readonly nowNs: bigint;
}

/** Of a request about what tenants have in a range of time. */
export interface AskedRange extends AskedBounds {
  readonly form: URLSearchParams;
}

/** What of the range may be read; undefined: all of it is older than max_query_lookback. @throws RefusedError INVALID_QUERY for a range that is too long */
export const rangeOf = ({ bounds, limits, nowNs }: AskedBounds): TimeBounds | undefined =>
  readableRange(bounds, limits, nowNs);

/** @throws RefusedError BAD_REQUEST */
export const readAskedRange = async (exchange: Exchange, { options, bodies }: EdgeState): Promise<AskedRange> => {
  const tenant = options.queriedTenantOf(tenantHeader(exchange.request.headers));
  const form = await readForm(exchange, bodies);
  const nowNs = nowNsOf(options);
  const bounds = checkedBounds(form, nowNs);
  return { tenant, limits: options.limitsOf(tenant), form, bounds, nowNs };
};
