/** The configuration: read from a YAML file, the environment and flags, each over the one before; every problem named. */
import { parse as parseYaml, stringify as toYaml } from 'yaml';
import type { z } from 'zod';
import { bigtableProblems } from './config-bigtable.ts';
import { retentionProblems } from './config-compactor.ts';
import { rulerProblems } from './config-ruler.ts';
import { configSchema, DURATION_KEYS, type Settings } from './config-schema.ts';
import { chunkStoreKind, chunkStoreProblems } from './config-storage.ts';
import { durationText } from './protocol/limit-values.ts';
import { DEFAULT_LIMITS, LimitsError, printLimits, readLimits, type TenantLimits } from './protocol/limits.ts';
import {
  chunkFormatOf,
  createSchemaConfig,
  periodAt,
  type SchemaConfig,
  SchemaConfigError,
  type SchemaVersion,
} from './storage/schema-config.ts';

/** Wrong configuration: one line per problem, each with the key, the value and what is allowed. */
export class ConfigError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[], options?: ErrorOptions) {
    super(problems.join('\n'), options);
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/** The configuration as the node runs with it: sizes in bytes, durations in ms. */
export interface Config extends Omit<Settings, 'limits' | 'overrides'> {
  readonly limits: TenantLimits;
  readonly schema: SchemaConfig;
}

/** Nested keys and values, as YAML gives them. */
export type ConfigInput = { readonly [key: string]: unknown };

export interface ConfigSources {
  /** The text of the configuration file, and its name for messages. */
  readonly file?: { readonly name: string; readonly text: string };
  /** Variables named RINGLOG_ and the key: RINGLOG_INGESTER_CHUNK_IDLE_PERIOD=10m. Others are ignored. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly flags?: ConfigInput;
}

const ENV_PREFIX = 'RINGLOG_';

/** Names the file itself; read by the command line. */
const ENV_CONFIG_FILE = 'RINGLOG_CONFIG';

/** @throws ConfigError with all problems */
export const loadConfig = ({ file, env = {}, flags = {} }: ConfigSources): Config =>
  checked(merged(merged(fromFile(file), fromEnv(env)), flags));

const fromFile = (file: ConfigSources['file']): ConfigInput => {
  if (!file) return {};
  const content = yamlOf(file.name, file.text);
  if (content === null || content === undefined) return {};
  if (!isMapping(content)) throw new ConfigError([`${file.name}: want keys and values, got ${shown(content)}`]);
  return content;
};

/** @throws ConfigError; it shows the place in lines of their own, indented */
const yamlOf = (name: string, text: string): unknown => {
  try {
    return parseYaml(text);
  } catch (error) {
    const lines = (error instanceof Error ? error.message : String(error)).split('\n');
    const problem = lines.filter((line) => line.trim() !== '').join('\n  ');
    throw new ConfigError([`${name}: ${problem}`], { cause: error });
  }
};

const fromEnv = (env: Readonly<Record<string, string | undefined>>): ConfigInput => {
  const paths = new Map(knownPaths().map((path) => [ENV_PREFIX + path.join('_').toUpperCase(), path]));
  let input: ConfigInput = {};
  const problems: string[] = [];
  for (const [variable, value] of Object.entries(env)) {
    if (value === undefined || !variable.startsWith(ENV_PREFIX) || variable === ENV_CONFIG_FILE) continue;
    const path = paths.get(variable);
    if (path) input = merged(input, nested(path, yamlOf(variable, value)));
    else problems.push(`${variable}: no such setting`);
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return input;
};

const nested = (path: readonly string[], value: unknown): ConfigInput =>
  path.reduceRight<unknown>((inner, key) => ({ [key]: inner }), value) as ConfigInput;

/** Later over earlier, key by key; lists are replaced whole. */
const merged = (earlier: ConfigInput, later: ConfigInput): ConfigInput => {
  const result: Record<string, unknown> = { ...earlier };
  for (const [key, value] of Object.entries(later)) {
    if (value === undefined) continue;
    const known = result[key];
    result[key] = isMapping(known) && isMapping(value) ? merged(known, value) : value;
  }
  return result;
};

const isMapping = (value: unknown): value is ConfigInput =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const shown = (value: unknown): string => {
  const json = JSON.stringify(value) ?? 'nothing';
  return json.length > 80 ? `${json.slice(0, 77)}...` : json;
};

const describeIssue = (issue: z.core.$ZodIssue): readonly string[] => {
  const path = issue.path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`)).join('');
  const key = path.replace(/^\./, '');
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((unknown) => `${key === '' ? '' : `${key}.`}${unknown}: no such setting`);
  }
  return [`${key || 'configuration'}: got ${shown(issue.input)}, ${wantedBy(issue)}`];
};

const wantedBy = (issue: z.core.$ZodIssue): string => {
  if (issue.code !== 'invalid_type') return issue.message;
  return issue.expected === 'array' ? 'want a list' : 'want keys and values';
};

const HOUR_MS = 3_600_000;

/** Asking all members what they hold takes up to 6 s, in rounds: what was there in the first must be there in the last. */
const LINGER_MS_MIN = 10_000;
/** A drain takes a linger at least, and needs as long again for what it sends. */
const LINGERS_PER_SHUTDOWN = 2;

const lingerProblems = ({ cluster, server }: Settings): readonly string[] => {
  const { enabled, linger, unsafe_short_linger: isShortAllowed } = cluster;
  if (!enabled) return [];
  const got = `cluster.linger: got ${durationText(linger)}`;
  const timeout = server.graceful_shutdown_timeout;
  if (linger < LINGER_MS_MIN && !isShortAllowed) {
    return [
      `${got}, want 10s or more: a query that runs for longer would miss what moves (tests: cluster.unsafe_short_linger)`,
    ];
  }
  if (linger * LINGERS_PER_SHUTDOWN > timeout) {
    return [
      `${got}, want at most half of server.graceful_shutdown_timeout, which is ${durationText(timeout)}: a drain takes a linger at least`,
    ];
  }
  return [];
};

/** Nodes of a cluster must find what the others have stored: not in a folder of each node's own where the rest is shared. */
const sharedStoreProblems = (settings: Settings): readonly string[] => {
  const { cluster, store_dir, schema_config } = settings;
  if (!cluster.enabled || store_dir !== '') return [];
  const hasOwnChunks = chunkStoreKind(settings) === 'filesystem';
  const hasOwnIndex = schema_config.configs.some(({ store = 'lmdb' }) => store === 'lmdb');
  if (hasOwnChunks === hasOwnIndex) return [];
  const what = hasOwnIndex ? 'the index of a period with store: lmdb' : 'chunks with object_store: filesystem';
  return [`store_dir: got "", want a folder that all nodes of the cluster share, for ${what}`];
};

const checked = (input: ConfigInput): Config => {
  const parsed = configSchema.safeParse(input, { reportInput: true });
  const problems: string[] = parsed.success
    ? [
        ...lingerProblems(parsed.data),
        ...chunkStoreProblems(parsed.data),
        ...bigtableProblems(parsed.data),
        ...sharedStoreProblems(parsed.data),
        ...rulerProblems(parsed.data),
      ]
    : parsed.error.issues.flatMap(describeIssue);
  const schema = parsed.success ? attempt(() => schemaOf(parsed.data), problems) : undefined;
  const old = schema && schemaWithoutMetadata(schema);
  const limits = attempt(() => readLimits(limitsIn(input['limits'], old), input['overrides']), problems);
  if (old && limits) problems.push(...metadataProblems(limits, old));
  if (limits) problems.push(...retentionProblems(limits));
  if (!parsed.success || !limits || !schema || problems.length > 0) throw new ConfigError(problems);
  const { limits: _raw, overrides: _rawOverrides, ...settings } = parsed.data;
  return { ...settings, limits, schema };
};

/** The schema in force, or the newest, if chunks of it keep no structured metadata. */
const schemaWithoutMetadata = (schema: SchemaConfig): SchemaVersion | undefined =>
  [periodAt(schema, Date.now()), schema.at(-1) ?? schema[0]].find((period) => chunkFormatOf(period) < 4)?.schema;

/** With an old schema metadata is refused, as Loki would have it set, unless the configuration says otherwise; then it is wrong. */
const limitsIn = (limits: unknown, old: SchemaVersion | undefined): unknown =>
  old && isMapping(limits ?? {}) ? { allow_structured_metadata: false, ...(limits as object | undefined) } : limits;

/** Metadata would be taken, and be gone once its chunk is stored. */
const metadataProblems = (limits: TenantLimits, old: SchemaVersion): readonly string[] => {
  const { limits_config, overrides } = limits.effective();
  const places = Object.entries({ limits: limits_config, ...withPrefix('overrides.', overrides) });
  return places.flatMap(([place, { allow_structured_metadata: isAllowed }]) =>
    isAllowed
      ? [`${place}.allow_structured_metadata: got true, want false with schema ${old}: structured metadata needs v13`]
      : [],
  );
};

const withPrefix = <Value>(prefix: string, values: Readonly<Record<string, Value>>): Record<string, Value> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [prefix + name, value]));

/** Gathers what a reader of a part of the configuration finds wrong. */
const attempt = <Part>(read: () => Part, problems: string[]): Part | undefined => {
  try {
    return read();
  } catch (error) {
    if (error instanceof LimitsError) problems.push(...error.problems);
    else if (error instanceof SchemaConfigError) problems.push(error.message);
    else throw error;
    return undefined;
  }
};

const schemaOf = ({ schema_config: { configs } }: Settings): SchemaConfig =>
  createSchemaConfig(
    configs.map(({ from, schema, store, index, row_shards }) => ({
      from,
      schema,
      store,
      prefix: index.prefix,
      periodHours: index.period / HOUR_MS,
      rowShards: row_shards,
    })),
  );

/** The configuration a node runs with, as YAML that may be given back to it. */
export const configYaml = ({ limits, schema: _schema, ...settings }: Config): string => {
  const { limits_config, overrides } = limits.effective();
  return toYaml({ ...(printed(settings) as object), limits: limits_config, overrides });
};

const printed = (value: unknown, key = ''): unknown => {
  if (typeof value === 'number') return DURATION_KEYS.has(key) ? durationText(value) : value;
  if (Array.isArray(value)) return value.map((item) => printed(item));
  if (!isMapping(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, printed(inner, name)]));
};

/** Paths of all settings that are single values, and of the limits. */
const knownPaths = (): readonly (readonly string[])[] => [
  ...pathsOf(configSchema.parse({}), []).filter(([first]) => first !== 'schema_config'),
  ...Object.keys(printLimits(DEFAULT_LIMITS)).map((name) => ['limits', name]),
];

const pathsOf = (settings: ConfigInput, prefix: readonly string[]): readonly (readonly string[])[] =>
  Object.entries(settings).flatMap(([key, value]) =>
    isMapping(value) ? pathsOf(value, [...prefix, key]) : [[...prefix, key]],
  );
