/** Limits per tenant, named as in Loki's limits_config (the API specification, section 7), with the defaults of Loki 3.7. */
import { z } from 'zod';
import {
  anything,
  blockedQueryList,
  checked,
  count,
  duration,
  flag,
  httpStatus,
  type LimitKind,
  megabytes,
  oneOf,
  size,
  streamRetentions,
  text,
  texts,
  time,
} from './limit-values.ts';
import { readOtlpConfig } from './otlp/otlp-rules.ts';
import { tenantProblem } from './tenant.ts';

interface LimitField<T> extends LimitKind<T> {
  /** Loki's name. */
  readonly name: string;
  readonly initial: T;
}

const field = <T>(name: string, limitKind: LimitKind<T>, initial: T): LimitField<T> => ({
  ...limitKind,
  name,
  initial,
});

const MIB = 1024 ** 2;
const HOUR_MS = 3_600_000;

const SERVICE_LABELS = [
  ...['service', 'app', 'application', 'app_name', 'name', 'app_kubernetes_io_name', 'container', 'container_name'],
  ...['k8s_container_name', 'component', 'workload', 'job', 'k8s_job_name'],
];

const LEVEL_FIELDS = [
  ...['level', 'LEVEL', 'Level', 'log.level', 'severity', 'SEVERITY', 'Severity', 'SeverityText'],
  ...['lvl', 'LVL', 'Lvl', 'severity_text', 'Severity_Text', 'SEVERITY_TEXT'],
];

const OTLP_CONFIG_WANTED =
  'resource_attributes {ignore_defaults, attributes_config}, scope_attributes, log_attributes (lists of {action, attributes or regex}; ' +
  'index_label not for scopes) and severity_text_as_label';

/** Our name → Loki's. Names end in their unit: Bytes, Ms; other numbers are counts. 0 = no limit, where Loki says so. */
const PUSH_FIELDS = {
  ingestionRateBytes: field('ingestion_rate_mb', megabytes(), 4 * MIB),
  ingestionBurstBytes: field('ingestion_burst_size_mb', megabytes(), 6 * MIB),
  maxLabelNameBytes: field('max_label_name_length', count(), 1024),
  maxLabelValueBytes: field('max_label_value_length', count(), 2048),
  maxLabelNamesPerSeries: field('max_label_names_per_series', count(), 15),
  rejectOldSamples: field('reject_old_samples', flag(), true),
  rejectOldSamplesMaxAgeMs: field('reject_old_samples_max_age', duration(), 168 * HOUR_MS),
  creationGracePeriodMs: field('creation_grace_period', duration(), HOUR_MS / 6),
  maxLineBytes: field('max_line_size', size(), 256 * 1024),
  maxLineSizeTruncate: field('max_line_size_truncate', flag(), false),
  maxLineSizeTruncateIdentifier: field('max_line_size_truncate_identifier', text(), ''),
  incrementDuplicateTimestamp: field('increment_duplicate_timestamp', flag(), false),
  allowStructuredMetadata: field('allow_structured_metadata', flag(), true),
  maxStructuredMetadataBytes: field('max_structured_metadata_size', size(), 64 * 1024),
  maxStructuredMetadataEntriesCount: field('max_structured_metadata_entries_count', count(), 128),
  discoverServiceName: field('discover_service_name', texts(), SERVICE_LABELS),
  discoverLogLevels: field('discover_log_levels', flag(), true),
  logLevelFields: field('log_level_fields', texts(), LEVEL_FIELDS),
  logLevelFromJsonMaxDepth: field('log_level_from_json_max_depth', count(), 2),
  maxStreamsPerUser: field('max_streams_per_user', count(), 0),
  maxGlobalStreamsPerUser: field('max_global_streams_per_user', count(), 5000),
  unorderedWrites: field('unordered_writes', flag(), true),
  perStreamRateLimitBytes: field('per_stream_rate_limit', size(), 3 * MIB),
  perStreamRateLimitBurstBytes: field('per_stream_rate_limit_burst', size(), 15 * MIB),
  enforcedLabels: field('enforced_labels', texts(), []),
  /** Nothing is taken before it; 0 = everything is. */
  blockIngestionUntilMs: field('block_ingestion_until', time(), 0),
  blockIngestionStatusCode: field('block_ingestion_status_code', httpStatus(), 260),
  otlpConfig: field('otlp_config', checked(OTLP_CONFIG_WANTED, readOtlpConfig), {}),
};

const QUERY_FIELDS = {
  maxQuerySeries: field('max_query_series', count(), 500),
  maxQueryLookbackMs: field('max_query_lookback', duration(), 0),
  maxQueryLengthMs: field('max_query_length', duration(), 721 * HOUR_MS),
  maxQueryRangeMs: field('max_query_range', duration(), 0),
  maxStreamsMatchersPerQuery: field('max_streams_matchers_per_query', count(), 1000),
  maxChunksPerQuery: field('max_chunks_per_query', count(), 2_000_000),
  /** Cells of one row of the index; 0 = any number. Loki's default of 100,000 binds in its cache of the index alone: rows may be longer in a store that never had one. */
  cardinalityLimit: field('cardinality_limit', count(), 0),
  maxConcurrentTailRequests: field('max_concurrent_tail_requests', count(), 10),
  maxEntriesLimitPerQuery: field('max_entries_limit_per_query', count(), 5000),
  queryTimeoutMs: field('query_timeout', duration(), HOUR_MS / 60),
  maxQueryBytesRead: field('max_query_bytes_read', size(), 0),
  maxQuerierBytesRead: field('max_querier_bytes_read', size(), 150 * 1024 ** 3),
  /** Tasks of one query at a time, on all nodes; 0: no queries. */
  maxQueryParallelism: field('max_query_parallelism', count(), 32),
  splitQueriesByIntervalMs: field('split_queries_by_interval', duration(), HOUR_MS),
  maxCacheFreshnessPerQueryMs: field('max_cache_freshness_per_query', duration(), HOUR_MS / 6),
  volumeEnabled: field('volume_enabled', flag(), true),
  volumeMaxSeries: field('volume_max_series', count(), 1000),
  blockedQueries: field('blocked_queries', blockedQueryList(), []),
  requiredLabels: field('required_labels', texts(), []),
  minimumLabelsNumber: field('minimum_labels_number', count(), 0),
};

/** They have an effect with compactor.retention_enabled alone. */
const RETENTION_FIELDS = {
  retentionPeriodMs: field('retention_period', duration(), 0),
  retentionStream: field('retention_stream', streamRetentions(), []),
  deletionMode: field('deletion_mode', oneOf(['disabled', 'filter-only', 'filter-and-delete']), 'filter-and-delete'),
};

/** Known, so that a configuration of Loki can be used, but without an effect yet. */
const UNUSED_FIELDS = {
  ingestionRateStrategy: field('ingestion_rate_strategy', oneOf(['global', 'local']), 'global'),
  shardStreams: field('shard_streams', anything(), {}),
  tsdbMaxQueryParallelism: field('tsdb_max_query_parallelism', count(), 128),
  splitInstantMetricQueriesByIntervalMs: field('split_instant_metric_queries_by_interval', duration(), HOUR_MS),
  queryReadyIndexNumDays: field('query_ready_index_num_days', count(), 0),
  metricAggregationEnabled: field('metric_aggregation_enabled', flag(), false),
  patternPersistenceEnabled: field('pattern_persistence_enabled', flag(), false),
  enableMultiVariantQueries: field('enable_multi_variant_queries', flag(), false),
  shardAggregations: field('shard_aggregations', texts(), []),
};

/** Checked when a group is stored. */
const RULER_FIELDS = {
  rulerMaxRulesPerRuleGroup: field('ruler_max_rules_per_rule_group', count(), 0),
  rulerMaxRuleGroupsPerTenant: field('ruler_max_rule_groups_per_tenant', count(), 0),
};

const FIELDS = { ...PUSH_FIELDS, ...QUERY_FIELDS, ...RETENTION_FIELDS, ...RULER_FIELDS, ...UNUSED_FIELDS };

type Fields = typeof FIELDS;

/** What a tenant may do: plain values, the same object for every look. */
export type Limits = {
  readonly [Name in keyof Fields]: Fields[Name] extends LimitField<infer Value> ? Value : never;
};

const fieldList: readonly (readonly [string, LimitField<unknown>])[] = Object.entries(FIELDS) as never;

const limitsSchema = z.strictObject(
  Object.fromEntries(fieldList.map(([, { name, schema }]) => [name, schema.optional()])),
);

export const DEFAULT_LIMITS: Limits = Object.fromEntries(
  fieldList.map(([name, { initial }]) => [name, initial]),
) as Limits;

/** Everything that is wrong with the limits in a configuration, a line each: key, value, what is allowed. */
export class LimitsError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.name = 'LimitsError';
    this.problems = problems;
  }
}

export class TenantLimits {
  readonly #defaults: Limits;
  readonly #configured: ReadonlyMap<string, Limits>;
  #byTenant: ReadonlyMap<string, Limits>;

  constructor(defaults: Limits, byTenant: ReadonlyMap<string, Limits>) {
    this.#defaults = defaults;
    this.#configured = byTenant;
    this.#byTenant = byTenant;
  }

  limitsFor(tenant: string): Limits {
    return this.#byTenant.get(tenant) ?? this.#defaults;
  }

  /**
   * Changes tenants' limits while the node runs: over what was configured, in place of what was given here before.
   * @param overrides tenant → limits that differ
   * @throws LimitsError, and nothing has changed
   */
  override(overrides: unknown): void {
    const problems: string[] = [];
    const byTenant = readOverrides(overrides, (tenant) => this.#configured.get(tenant) ?? this.#defaults, problems);
    if (problems.length > 0) throw new LimitsError(problems);
    this.#byTenant = new Map([...this.#configured, ...byTenant]);
  }

  /** Of all tenants that have some of their own, and of the others. */
  all(): readonly Limits[] {
    return [this.#defaults, ...this.#byTenant.values()];
  }

  /** The effective values under Loki's names: for all tenants, and in full for each that has overrides. */
  effective(): { limits_config: Record<string, unknown>; overrides: Record<string, Record<string, unknown>> } {
    const overrides = [...this.#byTenant].map(([tenant, limits]) => [tenant, printLimits(limits)] as const);
    return { limits_config: printLimits(this.#defaults), overrides: Object.fromEntries(overrides) };
  }
}

/** Limits under Loki's names, values as Loki prints them (`256KB`, `1w`). */
export const printLimits = (limits: Limits): Record<string, unknown> => {
  const values = limits as Readonly<Record<string, unknown>>;
  return Object.fromEntries(fieldList.map(([ours, { name, print }]) => [name, print(values[ours])]));
};

/**
 * Reads the limits of a configuration.
 * @param config what stands under `limits`; undefined or null = nothing
 * @param overrides tenant → limits that differ from `config`
 * @throws LimitsError that names every unknown key and bad value
 */
export const readLimits = (config: unknown, overrides: unknown = undefined): TenantLimits => {
  const problems: string[] = [];
  const defaults = readOver(DEFAULT_LIMITS, config ?? {}, 'limits', problems);
  const byTenant = readOverrides(overrides, () => defaults, problems);
  if (problems.length > 0) throw new LimitsError(problems);
  return new TenantLimits(defaults, byTenant);
};

const readOverrides = (
  overrides: unknown,
  baseOf: (tenant: string) => Limits,
  problems: string[],
): ReadonlyMap<string, Limits> => {
  const byTenant = new Map<string, Limits>();
  if (typeof (overrides ?? {}) !== 'object' || Array.isArray(overrides)) {
    problems.push(`overrides: got ${JSON.stringify(overrides)}, want tenants with their limits`);
    return byTenant;
  }
  for (const [tenant, own] of Object.entries(overrides ?? {})) {
    const problem = tenantProblem(tenant);
    if (problem !== undefined) problems.push(`overrides: ${problem}`);
    byTenant.set(tenant, readOver(baseOf(tenant), own ?? {}, `overrides.${tenant}`, problems));
  }
  return byTenant;
};

const readOver = (base: Limits, config: unknown, path: string, problems: string[]): Limits => {
  const parsed = limitsSchema.safeParse(config);
  if (!parsed.success) {
    for (const issue of parsed.error.issues) {
      const key = [path, ...issue.path].join('.');
      if (issue.code === 'unrecognized_keys')
        problems.push(...issue.keys.map((name) => `${key}.${name}: no such limit`));
      else if (issue.code === 'invalid_type')
        problems.push(`${key}: got ${JSON.stringify(config)}, want keys and values`);
      else problems.push(`${key}: ${issue.message}`);
    }
    return base;
  }
  const given = Object.entries(parsed.data).filter(([, value]) => value !== undefined);
  const oursOf = new Map(fieldList.map(([ours, { name }]) => [name, ours]));
  return { ...base, ...Object.fromEntries(given.map(([name, value]) => [oursOf.get(name), value])) };
};
