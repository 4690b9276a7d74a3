import { stringify as toYaml } from 'yaml';
import { printLimits } from '../protocol/limits.ts';
import { LOKI_VERSION } from './admin.ts';
import { tenantHeader } from './edge-options.ts';
import type { EdgeState } from './form.ts';
import type { Exchange, Handler } from './routes.ts';

/** Limits that Loki tells its tenants (the API specification, 3.6). */
const PUBLISHED: ReadonlySet<string> = new Set([
  ...['discover_log_levels', 'discover_service_name', 'log_level_fields', 'max_entries_limit_per_query'],
  ...['max_line_size_truncate', 'max_query_bytes_read', 'max_query_length', 'max_query_lookback', 'max_query_range'],
  ...['max_query_series', 'metric_aggregation_enabled', 'otlp_config', 'pattern_persistence_enabled', 'query_timeout'],
  ...['retention_period', 'retention_stream', 'volume_enabled', 'volume_max_series'],
]);

/** `/loki/api/v1/drilldown-limits`, `/config/tenant/v1/limits`. */
export class LimitsHandlers {
  readonly #state: EdgeState;

  constructor(state: EdgeState) {
    this.#state = state;
  }

  readonly drilldown: Handler = async (exchange) => {
    const limits = this.#limitsOf(exchange);
    const body = { limits, pattern_ingester_enabled: true, version: LOKI_VERSION };
    await exchange.reply.json(200, JSON.stringify(body));
  };

  readonly tenant: Handler = async (exchange) => {
    await exchange.reply.text(200, toYaml(this.#limitsOf(exchange)));
  };

  #limitsOf({ request }: Exchange): Readonly<Record<string, unknown>> {
    const { options } = this.#state;
    const all = printLimits(options.limitsOf(options.queriedTenantOf(tenantHeader(request.headers))));
    return Object.fromEntries(Object.entries(all).filter(([name]) => PUBLISHED.has(name)));
  }
}
